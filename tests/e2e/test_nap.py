#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An lcore that waits for a disk and has nothing else to do sleeps, or polls, as the settings say."""

import os
import sys
import time

import perf_run
from vhostd_rpc import Daemon, expect, run_tests

BYTES = 8 << 20
LONG_US = "1000000"
READS = 50


def figures(client):
    """(sleeps of the lcore, reads) so far."""
    queue = client.ok("stats.get", name="d0")["devices"][0]["queues"]
    return (client.ok("lcore.list")["lcores"][0]["sleeps"],
            sum(one["counters"]["reads"] for one in queue))


def wait_reads(client, n):
    deadline = time.monotonic() + perf_run.PATIENCE_S
    while figures(client)[1] < n:
        assert time.monotonic() < deadline, f"{figures(client)}, and no more"
        time.sleep(0.01)
    return figures(client)


def sleeps_a_read(*settings, **disk):
    """How often the lcore slept for each of the reads of a driver that polls, one at a time. They
    are away for a while: the disk of the file does them, or, on tmpfs, another thread."""
    with Daemon("--poll-idle-us", LONG_US, *settings) as daemon, daemon.client() as client:
        path = daemon.path("image")
        with open(path, "wb") as file:
            file.write(os.urandom(BYTES))
            file.flush()
            os.fsync(file.fileno())
        client.ok("device.add", name="d0", backend="uring", path=path, **disk)
        with perf_run.running(daemon.path("d0.sock"), "--depth", 1, "--phases", "--json") as process:
            sleeps, reads = wait_reads(client, READS)
            more_sleeps, more_reads = wait_reads(client, reads + READS)
            result, status, err = perf_run.Phases(process).finish()
        expect((status, err, result["errors"]), (0, "", 0))
        return (more_sleeps - sleeps) / (more_reads - reads)


def test_it_sleeps_where_it_has_no_patience():
    share = sleeps_a_read("--poll-io-us", "0")
    assert share > 0.5, share


def test_it_polls_where_it_has_patience():
    share = sleeps_a_read("--poll-io-us", LONG_US)
    assert share < 0.3, share


def test_it_does_not_sleep_for_a_disk_that_is_always_polled():
    share = sleeps_a_read("--poll-io-us", "0", poll="busy")
    assert share < 0.3, share


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
