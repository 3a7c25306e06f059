# SPDX-License-Identifier: BSD-3-Clause
"""A qemu-storage-daemon with one iothread, all of it on the lcore's CPU: it does not tell which of
its threads is which."""

import json
import os
import socket
import subprocess
import time

from .process import LCORE_CPU, BenchError, pinned


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


class StorageDaemon:
    """Runs in a directory that is somebody else's."""

    def __init__(self, directory, env=None):
        self.dir = directory
        self.monitor = None
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["qemu-storage-daemon", "--object", "iothread,id=io", "--chardev",
             f"socket,id=qmp,server=on,wait=off,path={self.path('qmp')}", "--monitor",
             "chardev=qmp"], preexec_fn=pinned(LCORE_CPU),
            env={**os.environ, **(env or {})})
        deadline = time.monotonic() + 20.0
        while not self.monitor:
            try:
                self.monitor = Monitor(self.path("qmp"))
            except OSError as error:
                if time.monotonic() > deadline:
                    self.close()
                    raise BenchError("qemu-storage-daemon does not start") from error
                time.sleep(0.01)

    def path(self, name):
        return os.path.join(self.dir, name)

    def add(self, name, file, aio):
        """A file, without the page cache."""
        self.monitor.execute("blockdev-add", driver="file", filename=file, cache={"direct": True},
                             aio=aio, **{"node-name": name})

    def add_null(self, name, size):
        """What reads and writes go to and leave no trace."""
        self.monitor.execute("blockdev-add", driver="null-co", size=size,
                             **{"node-name": name, "read-zeroes": False})

    def export(self, name, queues=1):
        """Its vhost-user socket is NAME.sock."""
        self.monitor.execute("block-export-add", type="vhost-user-blk", id=name, writable=True,
                             addr={"type": "unix", "path": self.path(f"{name}.sock")},
                             iothread="io", **{"node-name": name, "num-queues": queues})

    def unexport(self, name):
        """Takes an export away; how long that took in ms."""
        start = time.monotonic()
        self.monitor.execute("block-export-del", id=name, mode="hard")
        self.monitor.wait_event("BLOCK_EXPORT_DELETED")
        return (time.monotonic() - start) * 1e3

    def remove(self, name):
        self.monitor.execute("blockdev-del", **{"node-name": name})

    def close(self):
        if self.monitor:
            self.monitor.close()
        self.process.kill()
        self.process.wait()
