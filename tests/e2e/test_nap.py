#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An lcore that waits for a disk and has nothing else to do sleeps, or polls, as the settings say."""

import os
import sys

import perf_run
from vhostd_rpc import Daemon, run_tests

BYTES = 8 << 20
LONG_US = "1000000"


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
        before = client.ok("lcore.list")["lcores"][0]["sleeps"]
        n = perf_run.measure(daemon.path("d0.sock"), "--depth", 1, "--time", "0.4")["requests"]
        assert n > 20, n
        return (client.ok("lcore.list")["lcores"][0]["sleeps"] - before) / n


def test_it_sleeps_where_it_has_no_patience():
    share = sleeps_a_read("--poll-io-us", "0")
    assert share > 0.5, share


def test_it_polls_where_it_has_patience():
    share = sleeps_a_read("--poll-io-us", LONG_US)
    assert share < 0.4, share


def test_it_does_not_sleep_for_a_disk_that_is_always_polled():
    share = sleeps_a_read("--poll-io-us", "0", poll="busy")
    assert share < 0.4, share


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
