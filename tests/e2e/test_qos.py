#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Limits of requests and bytes a second: kept, changed while there is load, and no business of any
other disk. Measured by the daemon's own counters; bounds are hard above and wide below, since a
busy machine makes everything slower and nothing faster."""

import contextlib
import json
import os
import subprocess
import sys
import time

import perf_run
from vhostd_rpc import DISK, Daemon, expect, run_tests

PATIENCE_S = 30.0
SOON_S = 15.0  # what doesn't wait for a limit takes far less
WINDOW_S = 1.0
LEAST = 0.2  # of a limit, on a machine that is busy with other things
SLICE_S = 0.001
DEPTH = 32
UNLIMITED = {"iops": 0, "read_iops": 0, "write_iops": 0, "bandwidth": 0, "read_bandwidth": 0,
             "write_bandwidth": 0}


SHARED = []  # one daemon for most of the tests: under a sanitizer a start takes long


@contextlib.contextmanager
def serving():
    """(the daemon, a client of it); disks go at the end."""
    if not SHARED:
        SHARED.append(Daemon())
    daemon = SHARED[0]
    with daemon.client() as client:
        try:
            yield daemon, client
        except BaseException:
            sys.stderr.write(daemon.log())
            raise
        finally:
            for disk in client.ok("device.list")["devices"]:
                client.ok("device.del", name=disk["name"], force=True)


class Load:
    """A front end that keeps DEPTH requests in flight on a disk, until it is killed."""

    def __init__(self, client, name, *args, **keys):
        self.client, self.name = client, name
        disk = client.ok("device.add", name=name, **{**DISK, **keys})
        self.bs = 4096
        if "--bs" in args:
            self.bs = int(args[args.index("--bs") + 1])
        # With phases it ends only with its standard input.
        self.running = perf_run.running(disk["socket"], "--wait", "block", "--depth", DEPTH,
                                        "--cpu", min(os.sched_getaffinity(0)), "--phases", *args,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.process = self.running.__enter__()
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.running.__exit__(*exc)

    def queues(self):
        stats = self.client.ok("stats.get", name=self.name)["devices"][0]
        return [queue["counters"] for queue in stats["queues"]]

    def total(self, *counters):
        return sum(queue[counter] for queue in self.queues() for counter in counters)

    def done(self):
        return self.total("reads", "writes")

    def wait_done(self, n, timeout_s=PATIENCE_S):
        deadline = time.monotonic() + timeout_s
        while self.done() < n:
            assert time.monotonic() < deadline, f"{self.name}: {self.done()} of {n} requests"
            time.sleep(0.02)


def measure(loads, seconds=WINDOW_S):
    """For each load what its counters did meanwhile, and for how long that was at most and at
    least."""
    before, began = [], []
    for load in loads:
        began.append(time.monotonic())
        before.append(load.queues())
    inner = time.monotonic()
    time.sleep(seconds)
    least_s = time.monotonic() - inner
    result = []
    for load, queues, start in zip(loads, before, began):
        after = load.queues()
        result.append(([{key: new[key] - old[key] for key in new}
                        for old, new in zip(queues, after)], least_s, time.monotonic() - start))
    return result


def within(what, n, per_s, least_s, most_s, burst_s, in_flight, n_lcores=1):
    """Fails if that is more than a limit allows, or far less."""
    most = per_s * (most_s + burst_s + n_lcores * SLICE_S) + in_flight + 1
    assert n <= most, f"{what}: {n} in {most_s:.2f} s, at most {most:.0f} are allowed"
    assert n >= LEAST * per_s * least_s, f"{what}: {n} in {least_s:.2f} s, of {per_s} a second"


def total(queues, *keys):
    return sum(queue[key] for queue in queues for key in keys)


RATES = {  # disk: (its limits, the load, counters that are limited, to what)
    "iops": ({"iops": 500}, [], ["reads", "writes"], 500),
    "mixed": ({"iops": 500}, ["--rw", "mixed", "--overwrite"], ["reads", "writes"], 500),
    "reads": ({"read_iops": 300}, [], ["reads"], 300),
    "writes": ({"write_iops": 300}, ["--rw", "randwrite", "--overwrite"], ["writes"], 300),
    "bandwidth": ({"bandwidth": "8M"}, ["--bs", "65536"], ["read_bytes"], 8 << 20),
    "read": ({"read_bandwidth": 4 << 20}, ["--bs", "16384"], ["read_bytes"], 4 << 20),
    "written": ({"write_bandwidth": "8M"},
                ["--rw", "randwrite", "--overwrite", "--bs", "131072"], ["written_bytes"], 8 << 20),
    "lower": ({"iops": 1000000, "bandwidth": "1G", "read_iops": 400}, [], ["reads"], 400),
    "debts": ({"bandwidth": "4M", "burst": "10ms"}, ["--bs", "262144"], ["read_bytes"], 4 << 20),
    "queues": ({"iops": 400, "queues": 4}, ["--queues", "4"], ["reads"], 400),
}


def test_rates_are_kept():
    """All of them side by side, on one lcore."""
    with serving() as (daemon, client), contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(client, name, *args, **keys))
                 for name, (keys, args, _, _) in RATES.items()]
        for load in loads:
            load.wait_done(1)
        for load, (queues, least_s, most_s) in zip(loads, measure(loads)):
            _, _, counters, per_s = RATES[load.name]
            unit = load.bs if counters[0].endswith("bytes") else 1
            n = total(queues, *counters)
            print(f"# {load.name}: {n / most_s:.0f} of {per_s} a second")
            within(load.name, n, per_s, least_s, most_s, 0.1, DEPTH * len(queues) * unit)
            assert total(queues, "throttled") >= LEAST * n / unit, f"{load.name}: {queues}"
            assert total(queues, "throttled_us") > 0, f"{load.name}: {queues}"
            for queue in queues:  # none lives at another's cost
                assert queue["reads"] + queue["writes"] >= n / unit / len(queues) / 5, queues
        qos = client.ok("device.show", name="iops")["qos"]
        expect({key: qos[key] for key in UNLIMITED}, {**UNLIMITED, "iops": 500})
        assert qos["throttled"] > 0 and qos["throttled_us"] > 0, qos


def test_what_is_not_limited_goes_on():
    """Reads of a disk whose writes are limited, and a neighbour on the same lcore."""
    with serving() as (daemon, client), \
            Load(client, "reader", write_iops=10, write_bandwidth="64K") as reader, \
            Load(client, "victim") as victim, \
            Load(client, "slow", "--bs", "1048576", bandwidth=4096) as slow:
        slow.wait_done(1)
        for load in reader, victim:
            load.wait_done(load.done() + 1000, SOON_S)
        assert slow.done() <= 2, slow.queues()
        expect(reader.total("throttled", "throttled_us"), 0)
        expect(victim.total("throttled", "throttled_us"), 0)


def test_bursts():
    """An idle disk has saved up what its burst says, and no more."""
    with serving() as (daemon, client):
        with Load(client, "d0", iops=100, burst="5s") as load:
            load.wait_done(400)
            (queues, least_s, most_s), = measure([load])
            within("after the burst", total(queues, "reads"), 100, least_s, most_s, 1, DEPTH)
            client.ok("device.qos", name="d0", burst="10ms")
            (queues, _, most_s), = measure([load], 0.5)
            within("without", total(queues, "reads"), 100, 0, most_s, 0.01, DEPTH)
        expect(client.ok("device.qos", name="d0")["qos"]["burst_ms"], 10)


def test_changes_at_run_time():
    with serving() as (daemon, client), Load(client, "d0") as load:
        load.wait_done(1000)
        changed = client.ok("device.qos", name="d0", iops=200)
        expect((changed["name"], changed["qos"]["iops"]), ("d0", 200))
        time.sleep(0.1)
        (queues, least_s, most_s), = measure([load], 0.7)
        within("200", total(queues, "reads"), 200, least_s, most_s, 0.1, DEPTH)
        client.ok("device.qos", name="d0", bandwidth="40K", iops=0)
        (queues, _, most_s), = measure([load], 0.7)
        within("10", total(queues, "reads"), 10, 0, most_s, 0.1, DEPTH)
        qos = client.ok("device.qos", name="d0")["qos"]
        expect({key: qos[key] for key in UNLIMITED}, {**UNLIMITED, "bandwidth": 40 << 10})
        expect(client.ok("device.show", name="d0")["qos"]["bandwidth"], 40 << 10)
        client.ok("device.qos", name="d0", off=True)
        load.wait_done(load.done() + 1000, SOON_S)
        qos = client.ok("device.qos", name="d0")["qos"]
        expect({key: qos[key] for key in UNLIMITED}, UNLIMITED)
        expect(qos["burst_ms"], 100)
        assert "control: qos d0 by pid" in daemon.log()


def test_debts_end_with_the_limit():
    """A request that is paid for in minutes holds up the next, and nothing but that; also beside a
    disk for which the lcore never sleeps."""
    with serving() as (daemon, client), \
            Load(client, "busy", poll="busy") as busy, \
            Load(client, "d0", "--bs", "1048576", bandwidth=4096) as load, \
            Load(client, "d1", "--bs", "1048576", bandwidth=4096) as other:
        for each in busy, load, other:
            each.wait_done(1)
        time.sleep(0.3)
        assert load.done() <= 2, load.queues()
        show = client.ok("device.show", name="d0")
        expect((show["state"], show["inflight"]), ("running", 0))
        expect(client.ok("device.resize", name="d0", size="2G")["size_bytes"], 2 << 30)
        began = time.monotonic()
        client.ok("device.qos", name="d0", bandwidth=0)
        load.wait_done(load.done() + 100, SOON_S)
        client.ok("device.del", name="d1", force=True)
        other.process.kill()
        other.process.wait()
        # Its front end hangs up, and another one comes.
        client.ok("device.qos", name="d0", bandwidth=4096)
        time.sleep(0.3)
        load.process.kill()
        load.process.wait()
        client.ok("device.qos", name="d0", off=True)
        perf_run.measure(daemon.path("d0.sock"), "--time", 0.2, "--wait", "block")
        assert time.monotonic() - began < 2 * SOON_S


def lcore_of(client):
    return client.ok("lcore.list")["lcores"][0]


def test_a_held_lcore_sleeps():
    """And wakes up in time for the limit; one that polls for another disk keeps it as well."""
    with serving() as (daemon, client), \
            Load(client, "d0", iops=40, burst="50ms") as load:
        load.wait_done(4)
        before = lcore_of(client)
        (queues, least_s, most_s), = measure([load])
        after = lcore_of(client)
        within("d0", total(queues, "reads"), 40, least_s, most_s, 0.05, DEPTH)
        assert after["sleeps"] - before["sleeps"] >= 5, f"{before}\n{after}"
        turns = after["turns"] - before["turns"]
        print(f"# {turns} turns")
        assert turns < 1000000 * least_s, f"the lcore spins: {turns} turns"
        expect(client.ok("device.show", name="d0")["queues"][0]["state"], "polling")
        with Load(client, "busy", poll="busy") as busy:
            busy.wait_done(1)
            (queues, least_s, most_s), = measure([load], 0.7)
            within("beside busy", total(queues, "reads"), 40, least_s, most_s, 0.05, DEPTH)


def test_lcores_share_a_limit():
    cpus = sorted(os.sched_getaffinity(0))[:2]
    with Daemon("--lcores", ",".join(map(str, cpus))) as daemon, daemon.client() as client, \
            Load(client, "d0", "--queues", "2", queues=2, iops=400) as load:
        load.wait_done(10)
        (queues, least_s, most_s), = measure([load])
        within("both", total(queues, "reads"), 400, least_s, most_s, 0.1, 2 * DEPTH, 2)
        for queue in queues:
            assert queue["reads"] >= total(queues, "reads") / 10, queues


def test_bad_values():
    refused = [
        ({"iops": -1}, "iops: -1 is not a whole number"),
        ({"iops": "many"}, "iops: "),
        ({"iops": 4294967296}, "iops: 4294967296 is not"),
        ({"read_iops": 1.5}, "read_iops: 1.5 is not"),
        ({"bandwidth": "200X"}, 'bandwidth: "200X" is not a number of bytes a second'),
        ({"bandwidth": -1}, "bandwidth: -1 is not"),
        ({"bandwidth": 4095}, "bandwidth: 4095 is less than 4096 bytes a second"),
        ({"write_bandwidth": "1"}, "write_bandwidth: 1 is less than 4096"),
        ({"burst": 2}, 'burst: 2 is not a time, such as "500ms" or "2s"'),
        ({"burst": "2"}, 'burst: "2" is not a time'),
        ({"burst": "2m"}, 'burst: "2m" is not a time'),
        ({"burst": "9ms"}, "burst: 9 ms is not from 10 ms to 3600 s"),
        ({"burst": "0s"}, "burst: 0 ms is not from"),
        ({"burst": "3601s"}, "burst: 3601000 ms is not from"),
        ({"burst": "99999999999s"}, "burst: "),
        ({"iopps": 5}, 'did you mean "iops"'),
    ]
    with serving() as (daemon, client):
        client.ok("device.add", name="d0", iops=7, **DISK)
        for keys, wanted in refused:
            for method, params in (("device.qos", {"name": "d0", **keys}),
                                   ("device.add", {"name": "d1", **DISK, **keys})):
                name, text = client.error(method, **params)
                expect(name, "PARAMS", keys)
                assert wanted in text, f"{method} {keys}: {text!r} doesn't say {wanted!r}"
        name, text = client.error("device.qos", name="d0", off=True, iops=5)
        assert name == "PARAMS" and "off: " in text, text
        name, text = client.error("device.qos", name="nobody")
        assert name == "NOT_FOUND" and "nobody" in text, text
        expect(client.ok("device.qos", name="d0", off=False)["qos"]["iops"], 7)
        config = {"devices": [{"name": "x", **DISK, "burst": "1s"},
                              {"name": "y", **DISK, "bandwidth": 1}]}
    with Daemon(config=json.dumps(config, indent=1), start=False) as daemon:
        code, out = daemon.run("--check-config")
        assert code != 0 and "devices[1].bandwidth: 1 is less than 4096" in out, out


def test_configured():
    config = {"devices": [{"name": "d0", **DISK, "iops": 5000, "write_bandwidth": "200M",
                           "burst": "2s"}]}
    with Daemon(config=config) as daemon, daemon.client() as client:
        qos = client.ok("device.show", name="d0")["qos"]
        expect(qos, {**UNLIMITED, "iops": 5000, "write_bandwidth": 200 << 20, "burst_ms": 2000,
                     "throttled": 0, "throttled_us": 0})


def test_vhostctl():
    with serving() as (daemon, client):
        def ctl(*args):
            return subprocess.run([os.environ["VHOSTCTL"], "--control", daemon.control, *args],
                                  capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        client.ok("device.add", name="d0", **DISK)
        done = ctl("qos", "d0", "--iops", "5000", "--bandwidth", "200M", "--burst", "2s")
        expect((done.returncode, done.stderr), (0, ""))
        expect(done.stdout, ctl("qos", "d0").stdout)
        lines = [line.split(None, 1) for line in done.stdout.splitlines()]
        for wanted in ["requests/s", "5000"], ["bandwidth", "200.0 MiB/s"], ["burst", "2.0 s"], \
                ["writes/s", "-"]:
            assert wanted in lines, done.stdout
        done = ctl("qos", "d0", "--iops=0", "--write-bandwidth", "1")
        expect(done.returncode, 1)
        assert "write_bandwidth: 1 is less than 4096" in done.stderr, done.stderr
        expect(client.ok("device.qos", name="d0")["qos"]["iops"], 5000)
        expect(ctl("qos", "d0", "--off").returncode, 0)
        expect(client.ok("device.qos", name="d0")["qos"]["iops"], 0)


if __name__ == "__main__":
    try:
        sys.exit(run_tests(sys.modules[__name__]))
    finally:
        for each in SHARED:
            each.__exit__(None, None, None)
