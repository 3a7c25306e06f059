#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhostperf against qemu-storage-daemon: it measures any vhost-user-blk back end."""

import json
import os
import subprocess
import sys
import tempfile
import time

import perf_run
from vhostd_rpc import expect, run_tests

SIZE = 16 << 20
QUEUES = 2


class Qsd:
    """A qemu-storage-daemon that exports one file."""

    def __init__(self, writable=True):
        self.dir = tempfile.TemporaryDirectory(prefix="vhostperf-")
        self.socket = os.path.join(self.dir.name, "sock")
        self.image = os.path.join(self.dir.name, "image")
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        self.process = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev", f"file,node-name=f,filename={self.image}",
             "--export", f"vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={self.socket},"
             f"num-queues={QUEUES},writable={'on' if writable else 'off'}"],
            stdin=subprocess.DEVNULL)

    def __enter__(self):
        deadline = time.monotonic() + perf_run.PATIENCE_S
        while not os.path.exists(self.socket):
            assert self.process.poll() is None and time.monotonic() < deadline, "no qsd"
            time.sleep(0.01)
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.dir.cleanup()


def test_every_kind():
    with Qsd() as qsd:
        for kind in "randread", "randwrite", "read", "write", "mixed":
            for wait in "poll", "block":
                result = perf_run.measure(qsd.socket, "--rw", kind, "--overwrite", "--wait", wait,
                                          "--time", 0.3, "--depth", 16, "--queues", QUEUES)
                assert result["requests"] > 0, result
                assert (result["writes"] > 0) == (kind not in ("read", "randread")), result


def test_verify():
    for ring in ["--indirect", "on"], ["--indirect", "off"], ["--event-idx", "off"]:
        with Qsd() as qsd:
            for kind in "mixed", "write", "read":
                result = perf_run.measure(qsd.socket, "--rw", kind, "--overwrite", "--verify",
                                          "--time", 0.3, *ring)
                assert result["verified_blocks"] > 0, result


def test_verify_finds_corruption():
    with Qsd() as qsd:
        perf_run.measure(qsd.socket, "--rw", "write", "--overwrite", "--verify", "--size", "64k",
                         "--depth", 4, "--time", 0.5)
        with open(qsd.image, "r+b") as file:
            file.seek(8192)
            file.write(b"x")
        result, err = perf_run.failing(qsd.socket, "--rw", "read", "--verify", "--size", "64k",
                                       "--depth", 4, "--time", 0.5)
        assert result["mismatches"] > 0 and "wrong data in sector 16: " in err, err


def test_phases():
    with Qsd() as qsd, perf_run.running(qsd.socket, "--phases", "--json") as process:
        phases = perf_run.Phases(process)
        phases.wait_load()
        for name in "a", "b":
            time.sleep(0.3)
            assert phases.end(name)["requests"] > 0
        last, status, err = phases.finish()
        expect((last["phase"], status, err), ("", 0, ""))


def test_what_it_has_not():
    with Qsd(writable=False) as qsd:
        for args, wanted in (["--queues", QUEUES + 1], f"the disk has {QUEUES}"), \
                            (["--rw", "write", "--overwrite"], "the disk is read-only"), \
                            (["--size", "1T"], f"the disk has {SIZE} bytes"), \
                            (["--ring", "packed"], "--ring packed: the back end doesn't offer"):
            status, err = perf_run.refused(qsd.socket, *args)
            expect(status, 2, err)
            assert wanted in err, err


def test_it_dies():
    with Qsd() as qsd, perf_run.running(qsd.socket, "--phases", "--json") as process:
        perf_run.Phases(process).wait_load()
        qsd.process.kill()
        expect(json.loads(process.stdout.read())["phase"], "")
        expect(process.wait(perf_run.PATIENCE_S), 1)
        assert "the back end closed the connection after" in process.stderr.read()


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
