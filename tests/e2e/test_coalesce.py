#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Interrupt coalescing: fewer interrupts where it is asked for, none lost, and no request later
than the delay allows. vhostperf is a driver that sleeps until it is interrupted."""

import itertools
import sys
import time

import perf_run
from vhostd_rpc import Daemon, expect, run_tests

BLOCK = ["--wait", "block", "--phases", "--json"]
DELAY_US = 5000


def add(client, **keys):
    keys = {"name": "d0", "backend": "null", "size": "1G", **keys}
    return client.ok("device.add", **keys)["socket"]


def counters(client):
    """Sums over the queues of d0."""
    queues = client.ok("stats.get", name="d0")["devices"][0]["queues"]
    return {key: sum(queue["counters"][key] for queue in queues)
            for key in ("reads", "interrupts")}


def wait_reads(client, n):
    deadline = time.monotonic() + perf_run.PATIENCE_S
    while counters(client)["reads"] < n:
        assert time.monotonic() < deadline, f"{counters(client)}, and no more"
        time.sleep(0.01)


def rates(client, seconds=0.5):
    """Reads and interrupts a second for a while."""
    start, before = time.monotonic(), counters(client)
    time.sleep(seconds)
    after, took = counters(client), time.monotonic() - start
    return {key: (after[key] - before[key]) / took for key in after}


def finish(process):
    result, status, err = perf_run.Phases(process).finish()
    expect((status, err), (0, ""))
    return result


def test_fewer_interrupts_and_as_many_as_the_delay_says():
    with Daemon() as daemon, daemon.client() as client:
        path = add(client, coalesce_us=DELAY_US)
        with perf_run.running(path, "--depth", 8, *BLOCK) as process:
            wait_reads(client, 200)
            rate = rates(client)
            finish(process)
        most = 1e6 / DELAY_US
        assert 0 < rate["interrupts"] <= 1.5 * most + 20, rate


def test_changed_at_run_time():
    with Daemon() as daemon, daemon.client() as client:
        path = add(client)
        with perf_run.running(path, "--depth", 8, *BLOCK) as process:
            wait_reads(client, 2000)
            at_once = rates(client)
            expect(client.ok("device.coalesce", name="d0", coalesce_us=DELAY_US),
                   {"name": "d0", "coalesce_us": DELAY_US, "coalesce_iops": 0})
            time.sleep(0.1)
            later = rates(client)
            client.ok("device.coalesce", name="d0", off=True)
            wait_reads(client, counters(client)["reads"] + 2000)
            again = rates(client)
            finish(process)
        most = 1.5e6 / DELAY_US + 20
        assert later["interrupts"] <= most, later
        assert at_once["interrupts"] > most and again["interrupts"] > most, f"{at_once} {again}"


def test_only_above_the_rate():
    with Daemon() as daemon, daemon.client() as client:
        path = add(client, coalesce_us=10000, coalesce_iops=4000000000)
        with perf_run.running(path, "--depth", 1, *BLOCK) as process:
            wait_reads(client, 20000)  # 200 s if each of them had to wait
            finish(process)
        now = counters(client)
        assert now["interrupts"] >= 0.9 * now["reads"], now


def test_none_is_lost():
    """Also where a queue would go to sleep long before the delay is over, or long after."""
    for args in ["--poll", "busy"], ["--poll-idle-us", "1"], ["--poll-idle-us", "1000"]:
        with Daemon(*args) as daemon, daemon.client() as client:
            path = add(client, queues=2, coalesce_us=100)
            for ring, event_idx in itertools.product(("split", "packed"), ("on", "off")):
                for depth in 1, 16:
                    before = counters(client)["reads"]
                    with perf_run.running(path, "--depth", depth, "--queues", 2, "--ring", ring,
                                          "--event-idx", event_idx, *BLOCK) as process:
                        wait_reads(client, before + 1000)
                        assert finish(process)["sleeps"] > 0


def test_a_queue_that_a_limit_holds_back_is_told_in_time():
    """Each of the two has a time of its own, and the lcore sleeps until the earlier one."""
    with Daemon("--poll-idle-us", "1") as daemon, daemon.client() as client:
        path = add(client, coalesce_us=3000, iops=200, burst="10ms")
        with perf_run.running(path, "--depth", 2, *BLOCK) as process:
            wait_reads(client, 10)
            before = client.ok("lcore.list")["lcores"][0]
            rate = rates(client, 0.6)
            after = client.ok("lcore.list")["lcores"][0]
            finish(process)
        # One lost interrupt, and the driver sends nothing more.
        assert 100 <= rate["reads"] <= 300 and rate["interrupts"] >= 40, rate
        assert after["asleep_us"] - before["asleep_us"] > 0.5 * 600000, f"{before} {after}"


def test_a_stop_and_a_deletion_do_not_wait():
    with Daemon() as daemon, daemon.client() as client:
        path = add(client, coalesce_us=10000)
        for _ in range(3):
            with perf_run.running(path, "--depth", 32, *BLOCK) as process:
                wait_reads(client, counters(client)["reads"] + 100)
                finish(process)  # it stops the virtqueue and waits for its last requests
        with perf_run.running(path, "--depth", 32, *BLOCK):
            wait_reads(client, counters(client)["reads"] + 100)
            client.ok("device.del", name="d0", force=True)


def test_no_delay_for_drivers_that_poll():
    with Daemon() as daemon, daemon.client() as client:
        path = add(client, coalesce_us=10000)
        with perf_run.running(path, "--depth", 1, "--phases", "--json") as process:
            wait_reads(client, 20000)  # 200 s if they had to wait
            finish(process)
        assert counters(client)["interrupts"] <= 1, counters(client)


def test_shown():
    with Daemon() as daemon, daemon.client() as client:
        add(client, coalesce_us=50, coalesce_iops=20000)
        shown = client.ok("device.show", name="d0")
        expect((shown["coalesce_us"], shown["coalesce_iops"]), (50, 20000))
        for params, wanted in [({}, (50, 20000)), ({"coalesce_us": 70}, (70, 20000)),
                               ({"coalesce_iops": 0}, (70, 0)), ({"coalesce_iops": 5}, (70, 5)),
                               ({"coalesce_us": 0}, (0, 0)),
                               ({"coalesce_us": 9, "coalesce_iops": 1}, (9, 1)),
                               ({"off": True}, (0, 0))]:
            got = client.ok("device.coalesce", name="d0", **params)
            expect((got["coalesce_us"], got["coalesce_iops"]), wanted, params)


def test_refused():
    with Daemon() as daemon, daemon.client() as client:
        disk = {"backend": "null", "size": "1G"}
        for params, wanted in [
                ({"coalesce_us": 10001}, "coalesce_us: 10001 is not from 0 to 10000"),
                ({"coalesce_iops": 7}, "coalesce_iops: 7 means nothing without coalesce_us"),
                ({"coalesce_us": "soon"}, "coalesce_us")]:
            name, text = client.error("device.add", name="d0", **disk, **params)
            assert name == "PARAMS" and wanted in text, text
        add(client)
        for params, wanted in [
                ({"coalesce_us": 10001}, "coalesce_us: 10001 is not from 0 to 10000"),
                ({"coalesce_iops": 7}, "coalesce_iops: 7 means nothing without coalesce_us"),
                ({"coalesce_us": 7, "off": True}, "off: can't be given with coalesce_us")]:
            name, text = client.error("device.coalesce", name="d0", **params)
            assert name == "PARAMS" and wanted in text, text
        expect(client.error("device.coalesce", name="d1")[0], "NOT_FOUND")
        expect(client.ok("device.coalesce", name="d0")["coalesce_us"], 0)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
