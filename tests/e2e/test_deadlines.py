#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Steps of a disk's life that overstay their deadline: told once, counted, shown, never cut short.
The storage that hangs is a file system of ours ($FAULTFS), the guest is $BENCH_TROUBLE."""

import os
import sys
import tempfile
import time

from vhostd_rpc import Daemon, Talker, expect, run_tests

PATIENCE_S = 20.0
DEADLINES = ("--open-deadline", "1", "--drain-deadline", "1", "--close-deadline", "1")


class Rig:
    """A daemon with deadlines of a second, and a file on storage that hangs when told to."""

    def __init__(self, *args):
        self.dir = tempfile.TemporaryDirectory(prefix="vhostd-")
        back, front = (os.path.join(self.dir.name, name) for name in ("back", "front"))
        os.mkdir(back)
        os.mkdir(front)
        with open(os.path.join(back, "disk"), "wb") as file:
            file.truncate(16 << 20)
        self.path = os.path.join(front, "disk")
        self.storage = Talker(os.environ["FAULTFS"], back, front)
        self.storage.expect("ready")
        self.daemon = Daemon(*(args or DEADLINES))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.daemon.__exit__(*exc)
        self.storage.__exit__(*exc)
        self.dir.cleanup()


def wait_for_overstay(client, number):
    """What device.show says once so many steps of the disk have overstayed."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        disk = client.ok("device.show", name="d0")
        if disk["overstays"] >= number:
            return disk
        time.sleep(0.02)
    raise AssertionError(f"{number} overstays: {disk}")


def test_a_store_that_opens_and_closes_slowly():
    with Rig() as rig, rig.daemon.client() as client, rig.daemon.client() as other:
        rig.storage.tell("hang read", "ok")
        client.send("device.add", name="d0", backend="aio", path=rig.path)
        disk = wait_for_overstay(other, 1)
        expect((disk["state"], disk["step"]), ("new", "open"))
        expect(disk["waits_for"], "the store to open; the worker is opening the store")
        assert disk["step_age_ms"] >= 1000, disk
        rig.storage.tell("pass", "ok")
        expect(client.receive()["result"]["state"], "listening")
        assert "step" not in other.ok("device.show", name="d0")

        rig.storage.tell("hang close", "ok")
        client.send("device.del", name="d0")
        disk = wait_for_overstay(other, 2)
        expect((disk["state"], disk["step"]), ("removing", "close"))
        expect(disk["waits_for"],
               "the socket and the store to close; the worker is closing the store")
        time.sleep(2.2)
        expect(other.ok("device.show", name="d0")["overstays"], 2, "told once")
        rig.storage.tell("pass", "ok")
        expect(client.receive()["result"], {"name": "d0", "state": "gone"})
        expect(other.ok("daemon.info")["overstays"], 2)
        log = rig.daemon.log()
        expect(log.count('d0: warning: new: the step "open" takes longer than 1 s'), 1, log)
        expect(log.count('d0: warning: removing: the step "close" takes longer than 1 s'), 1, log)
        assert 'd0: the step "open" has ended after' in log, log


def wait_until_stuck(client, number):
    """So many requests are in flight, and none of them ends."""
    deadline = time.monotonic() + PATIENCE_S
    seen = None
    while time.monotonic() < deadline:
        disk = client.ok("device.show", name="d0")
        last, seen = seen, (disk["inflight"], disk["queues"][0]["counters"]["reads"])
        if seen == last and seen[0] == number:
            return
        time.sleep(0.3)
    raise AssertionError(f"{number} requests are not in flight: {seen}")


def test_requests_that_end_slowly():
    with Rig() as rig, rig.daemon.client() as client, rig.daemon.client() as other:
        socket_path = client.ok("device.add", name="d0", backend="aio", path=rig.path)["socket"]
        with Talker(os.environ["BENCH_TROUBLE"], "load", "--socket", socket_path, "--depth",
                    "8") as guest:
            guest.expect("ready")
            guest.tell("go", "running")
            rig.storage.tell("hang read", "ok")
            wait_until_stuck(other, 8)
            client.send("device.del", name="d0", force=True)
            disk = wait_for_overstay(other, 1)
            expect((disk["state"], disk["step"]), ("quiescing", "drain"))
            expect(disk["waits_for"], "8 requests in flight")
            rig.storage.tell("pass", "ok")
            expect(client.receive()["result"]["state"], "gone")
            guest.expect("done")


def test_without_deadlines_nothing_is_told():
    never = [word if word.startswith("--") else "0" for word in DEADLINES]
    with Rig(*never) as rig, rig.daemon.client() as client, rig.daemon.client() as other:
        rig.storage.tell("hang read", "ok")
        client.send("device.add", name="d0", backend="aio", path=rig.path)
        time.sleep(2.5)
        disk = other.ok("device.show", name="d0")
        expect((disk["step"], disk["overstays"]), ("open", 0))
        rig.storage.tell("pass", "ok")
        expect(client.receive()["result"]["state"], "listening")
        assert "takes longer" not in rig.daemon.log()


if __name__ == "__main__":
    run_tests(sys.modules[__name__])
