# SPDX-License-Identifier: BSD-3-Clause
"""Back ends that are measured side by side: vhostd, qemu-storage-daemon, and one that only echoes
rings. Each runs on the lcore's CPU; those that are not measured at the moment are stopped by
signal, so that each has the CPU to itself without being started anew."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

from vhostd_rpc import Daemon

from .process import LCORE_CPU, BenchError, Lines, pinned
from .qsd import StorageDaemon

START_TIMEOUT_S = 20.0


def cpu_ns(pid):
    """CPU time of all threads so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def memory_bytes(pid):
    """Resident memory that is the process's own: without the guests', which is shared."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    raise BenchError("/proc/PID/status has no RssAnon")


def wait_for(path, process):
    deadline = time.monotonic() + START_TIMEOUT_S
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{path}: its back end does not start")
        time.sleep(0.01)


class Backend:
    """What all have: a directory, a process, and the right to run."""

    name = ""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-")
        self.process = None

    def socket(self, disk):
        return os.path.join(self.dir, f"{disk}.sock")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def cpu_ns(self):
        return cpu_ns(self.process.pid)

    def memory_bytes(self):
        return memory_bytes(self.process.pid)

    def lcore_busy_us(self):
        """Time of the turns that found work, where it is accounted for."""
        return None

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Vhostd(Backend):
    """One lcore, or those named. `poll` is how idle lcores wait; disks have a mode of their own."""

    name = "vhostd"
    kinds = {"null": "null", "memory": "malloc"}

    def __init__(self, build, poll="adaptive", lcores=str(LCORE_CPU)):
        super().__init__()
        os.environ["VHOSTD"] = f"{build}/src/vhostd"
        self.daemon = Daemon("--lcores", lcores, "--poll", poll, "--memory", "256",
                             directory=self.dir)
        self.process = self.daemon.process
        self.client = self.daemon.client()

    def add(self, disk, kind, size, path=None, queues=1, poll="busy", **more):
        store = {"path": path} if path else {"backend": self.kinds[kind], "size": size}
        self.client.ok("device.add", name=disk, queues=queues, poll=poll, **store, **more)

    def delete(self, disk):
        self.client.ok("device.del", name=disk, force=True)

    def lcore(self):
        return self.client.ok("lcore.list")["lcores"][0]

    def lcore_busy_us(self):
        return self.lcore()["busy_us"]

    def close(self):
        self.client.close()
        super().close()


class Qsd(Backend):
    """qemu-storage-daemon with one iothread; its main thread is on the same CPU and sleeps."""

    name = "qsd"

    def __init__(self):
        super().__init__()
        self.files = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        self.daemon = StorageDaemon(self.dir)
        self.process = self.daemon.process

    def add(self, disk, kind, size, path=None, queues=1, poll=None):
        del poll  # it adapts by itself
        if kind == "null":
            self.daemon.add_null(disk, size)
        else:
            self.daemon.add(disk, path or self.memory_file(disk, size), "native")
        self.daemon.export(disk, queues)

    def memory_file(self, disk, size):
        path = os.path.join(self.files, disk)
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    def delete(self, disk):
        self.daemon.unexport(disk)
        self.daemon.remove(disk)

    def close(self):
        self.daemon.close()
        super().close()
        shutil.rmtree(self.files, ignore_errors=True)


class Echo(Backend):
    """No store, and one socket, whatever disk is asked for."""

    name = "echo"

    def __init__(self, build, queues=2):
        super().__init__()
        self.process = subprocess.Popen([f"{build}/tests/bench/bench-echo", self.socket("echo"),
                                         str(LCORE_CPU), str(queues)], preexec_fn=pinned(LCORE_CPU))
        wait_for(self.socket("echo"), self.process)

    def socket(self, disk):
        return super().socket("echo")


class Crowd:
    """Front ends of idle disks, in one process."""

    def __init__(self, build):
        self.lines = Lines([f"{build}/tests/bench/bench-crowd"])

    def attach(self, path):
        """How long it took in us; None when the connection is refused."""
        self.lines.send(f"attach {path}")
        word, rest = self.lines.receive(60.0).split(" ", 1)
        return float(rest) if word == "ready" else None

    def detach(self):
        self.lines.send("detach")
        self.lines.expect("done")

    def first(self, n, pause_ms):
        """Latencies in us of single reads after pauses, on the disk attached last."""
        self.lines.send(f"first {n} {pause_ms}")
        return [float(word) for word in self.lines.expect("first").split()]

    def floor(self, n, pause_ms):
        """The same for a thread that does nothing but sleep on the lcore's CPU and answer."""
        self.lines.send(f"floor {n} {pause_ms} {LCORE_CPU}")
        return [float(word) for word in self.lines.expect("floor").split()]

    def close(self):
        self.lines.close()
