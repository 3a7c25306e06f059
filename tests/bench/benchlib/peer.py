# SPDX-License-Identifier: BSD-3-Clause
"""The same troubles for qemu-storage-daemon: two exports on one iothread, on the lcore's CPU, and
the deletion by block-export-del. Its main thread is on that CPU, too: it does not tell which of its
threads is which.

QEMU 7.2 does not end a deletion with requests in flight: its main thread waits for the export's
coroutine and holds the lock of the iothread, which waits for this lock to complete the requests. A,
on the same iothread, stands still with it."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from .process import LCORE_CPU, BenchError, pinned
from .scenarios import ForcedUnderLoad, FrontEndExits, KilledWithMemory, Scenario

GIB = 1 << 30
MONITOR_TIMEOUT_S = 20.0


class Monitor:
    """QMP."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(MONITOR_TIMEOUT_S)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")
        self.events = []  # that came while an answer was awaited
        self.file.readline()
        self.execute("qmp_capabilities")

    def next_line(self):
        line = self.file.readline()
        if not line:
            raise BenchError("qemu-storage-daemon: the monitor has hung up")
        return json.loads(line)

    def execute(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.file.flush()
        while True:
            answer = self.next_line()
            if "error" in answer:
                raise BenchError(f"qemu-storage-daemon: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return
            if "event" in answer:
                self.events.append(answer["event"])

    def wait_event(self, name):
        while name not in self.events:
            self.events.append(self.next_line().get("event"))
        self.events.remove(name)

    def close(self):
        self.file.close()
        self.sock.close()


class NoControl:
    """There is no control plane beside the monitor that a deletion is made with."""

    error = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def figures(self):
        return {}


class PeerRig:
    """A qemu-storage-daemon with disks A and B on files in memory."""

    name = "qemu-storage-daemon"

    def __init__(self, options):
        self.build = os.path.abspath(options.build)
        self.seconds = options.seconds
        self.memory = options.memory
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        self.process = self.monitor = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, env):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["qemu-storage-daemon", "--object", "iothread,id=io", "--chardev",
             f"socket,id=qmp,server=on,wait=off,path={self.path('qmp')}", "--monitor",
             "chardev=qmp"], preexec_fn=pinned(LCORE_CPU), env={**os.environ, **env})
        deadline = time.monotonic() + 20.0
        while not self.monitor:
            try:
                self.monitor = Monitor(self.path("qmp"))
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BenchError("qemu-storage-daemon does not start") from error
                time.sleep(0.01)
        for name in "AB":
            with open(self.path(f"{name}.img"), "wb") as file:
                file.truncate(GIB)
            self.monitor.execute("blockdev-add", driver="file", filename=self.path(f"{name}.img"),
                                 cache={"direct": True}, aio="native",
                                 **{"node-name": name})
        self.export("A")

    def export(self, name):
        self.monitor.execute("block-export-add", type="vhost-user-blk", id=name, writable=True,
                             addr={"type": "unix", "path": self.path(f"{name}.sock")},
                             iothread="io", **{"node-name": name})

    def unexport(self, name):
        """Takes an export away; how long that took in ms."""
        start = time.monotonic()
        self.monitor.execute("block-export-del", id=name, mode="hard")
        self.monitor.wait_event("BLOCK_EXPORT_DELETED")
        return (time.monotonic() - start) * 1e3

    def control(self):
        return NoControl()

    def forget_turns(self, trace=False):
        """It does not measure itself."""

    def turns(self):
        return None, None, []

    def stop(self):
        if self.monitor:
            self.monitor.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        self.monitor = self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class PeerScenario(Scenario):
    """Deletions by block-export-del."""

    def add(self, name="B", **params):
        self.rig.export(name)

    def timed_del(self, force=True, name="B"):
        try:
            return self.rig.unexport(name)
        except TimeoutError:
            self.failure = f"block-export-del did not end in {MONITOR_TIMEOUT_S:.0f} s"
            return MONITOR_TIMEOUT_S * 1e3

    def wait_until_unused(self, timeout_s=20.0):
        """It can be deleted at any time."""

    def clean(self):
        if self.front_end:
            self.leave()


class PeerFrontEndExits(PeerScenario, FrontEndExits):
    """1."""


class PeerForcedUnderLoad(PeerScenario, ForcedUnderLoad):
    """2."""


class PeerKilledWithMemory(PeerScenario, KilledWithMemory):
    """3."""


PEER_SCENARIOS = (PeerFrontEndExits, PeerForcedUnderLoad, PeerKilledWithMemory)
