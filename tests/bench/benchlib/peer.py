# SPDX-License-Identifier: BSD-3-Clause
"""The same troubles for qemu-storage-daemon: two exports on one iothread, on the lcore's CPU, and
the deletion by block-export-del. Its main thread is on that CPU, too: it does not tell which of its
threads is which."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from . import report
from .probe import Probe
from .process import LCORE_CPU, BenchError, Lines, pinned

GIB = 1 << 30


class Monitor:
    """QMP."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60.0)
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


class PeerRig:
    """A qemu-storage-daemon with disks A and B on files in memory."""

    def __init__(self, options):
        self.build = os.path.abspath(options.build)
        self.seconds = options.seconds
        self.memory = options.memory
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        self.process = self.monitor = self.front_end = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["qemu-storage-daemon", "--object", "iothread,id=io", "--chardev",
             f"socket,id=qmp,server=on,wait=off,path={self.path('qmp')}", "--monitor",
             "chardev=qmp"], preexec_fn=pinned(LCORE_CPU))
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

    def prepare(self, kind):
        self.export("B")
        self.front_end = Lines([f"{self.build}/tests/bench/bench-trouble",
                                *(arg.format(memory=self.memory) for arg in kind.arguments),
                                "--socket", self.path("B.sock")], gives_way=True)
        self.front_end.expect("ready", 300.0)
        self.front_end.send("go")
        self.front_end.expect("running")

    def happen(self, kind):
        if kind.leaves == "killed":
            self.front_end.kill()
        elif kind.leaves == "exits":
            self.front_end.send("stop")
            self.front_end.expect("done")
        start = time.monotonic()
        if kind.leaves != "stays":
            self.front_end.close()
        self.monitor.execute("block-export-del", id="B", mode="hard")
        self.monitor.wait_event("BLOCK_EXPORT_DELETED")
        ms = (time.monotonic() - start) * 1e3
        if kind.leaves == "stays":
            self.front_end.close()
        self.front_end = None
        return ms

    def close(self):
        if self.front_end:
            self.front_end.kill()
        if self.monitor:
            self.monitor.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def measure(self, kind, depth):
        probe = Probe(self.build, self.path("A.sock"), depth)
        try:
            self.prepare(kind)
            time.sleep(0.5)
            probe.end_phase("start")
            time.sleep(self.seconds)
            quiet = probe.end_phase("quiet")
            deadline = time.monotonic() + self.seconds
            ms = self.happen(kind)
            time.sleep(max(0.0, deadline - time.monotonic()))
            busy = probe.end_phase("busy")
        finally:
            probe.close()
        return {"number": kind.number, "title": kind.title.format(memory=self.memory),
                "depth": depth, "quiet": quiet, "busy": busy, "rounds": 1, "del_ms": ms,
                "turn_us": None, "turn_cause": None, "control_ms": None, "control_held_ms": {}}

    @classmethod
    def run(cls, options, noise, kind, depth):
        noise.listen(min(options.seconds, 2.0))
        rig = cls(options)
        try:
            rig.start()
            row = rig.measure(kind, depth)
        finally:
            rig.close()
        row["noise_us"] = noise.listen(min(options.seconds, 2.0))
        row["verdict"] = report.verdict(row)
        return row


class PeerScenario:
    """How B's front end is made, and how it goes."""

    def __init__(self, number, title, arguments, leaves):
        self.number = number
        self.title = title
        self.arguments = arguments
        self.leaves = leaves


PEER_SCENARIOS = (
    PeerScenario(1, "1 front end exits, del", ("load", "--depth", "4", "--bs", "4K"), "exits"),
    PeerScenario(2, "2 del, 128 in flight", ("load", "--depth", "128", "--bs", "4K"), "stays"),
    PeerScenario(3, "3 front end killed, {memory} touched, del",
                 ("idle", "--mem", "{memory}", "--touch"), "killed"),
)
