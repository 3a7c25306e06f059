# SPDX-License-Identifier: BSD-3-Clause
"""An lcore never sleeps in the kernel, whatever the store is: what would have to wait is left to
the helpers. The lcore polls busily, so it has no reason of its own to sleep.

How often it did is counted exactly, by the kernel (voluntary context switches of its thread) and by
the lcore itself. The lcore also counts how long its turns took, and a turn may be long because
something else got the CPU: those are no more than the preemptions.

The backend is named by the first argument. Mounts and loop devices go with the process.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile

import perf_run
from vhostd_rpc import Daemon, expect, run_tests

MIB = 1 << 20
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
LONG_TURN_US = 5000
LONG_TURNS_ALLOWED = 3  # the machine's own
LARGE_TURNS_ALLOWED = 50
TRIES = 10
WRITES = ("--rw", "randwrite", "--overwrite")
MIXED = ("--rw", "mixed", "--overwrite")
LIBC = ctypes.CDLL(None, use_errno=True)

BACKEND = None  # set by the command line


def own_mounts():
    """From here on mounts are this process's and its children's, and go with them."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "a mount namespace of our own")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sparse(path, n_bytes):
    with open(path, "wb") as file:
        file.truncate(n_bytes)
    return path


def filled(path, n_bytes):
    with open(path, "wb") as file:
        for _ in range(n_bytes // MIB):
            file.write(b"\1" * MIB)
        os.fsync(file.fileno())
    return path


class FaultFs:
    """A file system that misbehaves on command."""

    def __init__(self, directory):
        self.back, self.front = (os.path.join(directory, name) for name in ("back", "front"))
        os.mkdir(self.back)
        os.mkdir(self.front)
        self.child = subprocess.Popen([os.environ["FAULTFS"], self.back, self.front], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        expect(self.child.stdout.readline().strip(), "ready")

    def tell(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        expect(self.child.stdout.readline().split()[0], "ok", line)

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


class Rig:
    """A vhostd of one lcore, which is its first thread."""

    def __init__(self, daemon, client, directory):
        self.daemon = daemon
        self.client = client
        self.dir = directory

    def path(self, name):
        return os.path.join(self.dir, name)

    def add(self, name, path):
        disk = self.client.ok("device.add", name=name, backend=BACKEND, path=path, poll="busy")
        return disk["socket"]

    def helped(self, name):
        return self.client.ok("device.show", name=name)["store"]["helped"]

    def n_sleeps(self):
        with open(f"/proc/{self.daemon.process.pid}/task/{self.daemon.process.pid}/status",
                  encoding="ascii") as file:
            for line in file:
                key, value = line.split(":", 1)
                if key == "voluntary_ctxt_switches":
                    return int(value)
        raise AssertionError("no voluntary_ctxt_switches")


@contextlib.contextmanager
def rig():
    with tempfile.TemporaryDirectory(prefix="vhostd-") as directory, Daemon("--poll", "busy") as daemon:
        with daemon.client() as client:
            yield Rig(daemon, client, directory)


@contextlib.contextmanager
def ext4(directory):
    """A new file system on a loop device."""
    image, mount = sparse(os.path.join(directory, "image"), 256 * MIB), os.path.join(directory, "m")
    os.mkdir(mount)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop", image, mount)
    try:
        yield mount
    finally:
        run("umount", "--lazy", mount)


@contextlib.contextmanager
def loop_device(path):
    """Its own detaching waits for its last close: it goes with this process, too."""
    device = run("losetup", "--find", "--show", path)
    with open(device, "rb"):
        run("losetup", "--detach", device)
        yield device


def lcore_figures(r):
    return r.client.ok("lcore.list")["lcores"][0]


def load(r, socket, *args, time="1", at_least=10):
    """Requests for a while, more than so many in all: the results of the last while."""
    n_before, before = r.n_sleeps(), lcore_figures(r)
    r.client.ok("lcore.trace", over_us=LONG_TURN_US)
    n_requests = 0
    for _ in range(TRIES):  # on a loaded machine it may take a while until there is something to see
        result = perf_run.measure(socket, "--time", time, *args)
        n_requests += result["requests"]
        if n_requests > at_least:
            break
    turns = r.client.ok("lcore.trace", off=True)["turns"]
    n_after, after = r.n_sleeps(), lcore_figures(r)
    figures = {key: after[key] - before[key] for key in
               ("turns_over_50us", "turns_over_1ms", "preemptions", "kernel_sleeps")}
    print(f"# {n_requests} requests, {figures}, {n_after - n_before} voluntary switches,"
          f" turns of {[turn['us'] for turn in turns]} us", flush=True)
    expect(figures["kernel_sleeps"], 0, "sleeps that the lcore has seen")
    expect(n_after - n_before, 0, "sleeps that the kernel has seen")
    # A turn is long when something else got the CPU, or the machine's host took it.
    assert len(turns) <= figures["preemptions"] + LONG_TURNS_ALLOWED, turns
    assert n_requests > at_least, n_requests
    return {**result, **figures}


def test_reads_of_a_sparse_file():
    with rig() as r, ext4(r.dir) as mount:
        socket = r.add("d", sparse(f"{mount}/f", 128 * MIB))
        load(r, socket, at_least=100)


def test_large_reads_of_holes():
    """The kernel makes the zeroes in the lcore's own time: of 64 MiB at once that would be many
    milliseconds."""
    with rig() as r, ext4(r.dir) as mount:
        socket = r.add("d", sparse(f"{mount}/f", 192 * MIB))
        result = load(r, socket, "--rw", "read", "--bs", "64M", "--depth", "2", at_least=20)
        # Each of them was one, and there were hundreds.
        assert result["turns_over_1ms"] <= result["preemptions"] + LARGE_TURNS_ALLOWED, result


def test_the_first_writes_of_a_file_system():
    """Into blocks that are there. The kernel makes ready for direct writes at the first one."""
    with rig() as r, ext4(r.dir) as mount:
        socket = r.add("d", filled(f"{mount}/f", 32 * MIB))
        load(r, socket, *WRITES, at_least=100)


def test_writes_that_allocate():
    with rig() as r, ext4(r.dir) as mount:
        socket = r.add("d", sparse(f"{mount}/f", 192 * MIB))
        load(r, socket, *WRITES)
        assert r.helped("d") > 10, "allocations were not left to the helpers"


def test_a_loop_device():
    with rig() as r, loop_device(sparse(r.path("f"), 64 * MIB)) as device:
        socket = r.add("d", device)
        load(r, socket, *MIXED)
        r.client.ok("device.del", name="d", force=True)


def test_a_file_system_that_delays_every_call():
    """All requests wait for 200 ms each, in the helpers: longer by far than any turn may take."""
    with rig() as r:
        fs = FaultFs(r.dir)
        try:
            sparse(f"{fs.back}/f", 64 * MIB)
            socket = r.add("d", f"{fs.front}/f")
            fs.tell("delay 200")
            result = load(r, socket, "--depth", "8", *MIXED, time="2", at_least=7)
            assert result["latency_us"]["min"] >= 200e3, result
            assert r.helped("d") >= result["requests"] >= 8, result
            fs.tell("pass")
            r.client.ok("device.del", name="d", force=True)
        finally:
            fs.close()


if __name__ == "__main__":
    BACKEND = sys.argv.pop(1)
    own_mounts()
    sys.exit(run_tests(sys.modules[__name__]))
