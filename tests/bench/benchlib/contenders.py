# SPDX-License-Identifier: BSD-3-Clause
"""Who does the same work on the same file: fio by itself, and vhostperf through a vhostd or a
qemu-storage-daemon. All of them have one thread on the lcore's CPU; the front end polls on the
other one. A CPU that is busy takes something from its neighbours (the host's own threads have to
run somewhere), so for fio a loop keeps the front end's CPU as busy."""

import contextlib
import json
import subprocess

from .process import LCORE_CPU, OTHER_CPU, BenchError, pinned

TIMEOUT_S = 60.0


class Work:
    """What is done."""

    def __init__(self, kind, block_bytes, depth):
        self.kind = kind  # randread, randwrite, read or write
        self.block_bytes = block_bytes
        self.depth = depth

    def title(self):
        return f"{self.kind} {self.block_bytes >> 10}k"


def output_of(command, cpu):
    """A program's standard output as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=TIMEOUT_S, preexec_fn=pinned(cpu))
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout[done.stdout.index("{"):])


@contextlib.contextmanager
def busy(build, cpu, gives_way=False):
    """A loop on that CPU."""
    loop = subprocess.Popen([f"{build}/tests/bench/bench-spin", str(cpu), str(TIMEOUT_S)],
                            stdout=subprocess.DEVNULL, preexec_fn=pinned(cpu, gives_way))
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


# fio's names for its engines, by what they are called here. Polling: fio looks for completions
# again and again instead of sleeping, as an lcore does; at depth 1 only, because it does not fill
# up a deeper queue then. Awake: a loop that gives way to fio keeps its CPU from sleeping, as an lcore
# that polls does: what that alone costs on this machine.
ENGINES = {"libaio": ["libaio"], "io_uring": ["io_uring"], "awake": ["io_uring"],
           "polling": ["libaio", "--userspace_reap", "--iodepth_batch_complete_min=0"]}


class Fio:
    """The file itself: one job with fio's defaults but O_DIRECT."""

    def __init__(self, build, engine):
        self.build = build
        self.engine = ENGINES[engine]
        self.name = f"fio {engine}"
        self.depth_max = 1 if engine == "polling" else None
        self.awake = engine == "awake"

    def measure(self, store, work, seconds):
        command = ["fio", "--name=raw", f"--filename={store.path}", "--direct=1",
                   f"--rw={work.kind}", f"--bs={work.block_bytes}", f"--iodepth={work.depth}",
                   "--time_based", f"--runtime={int(seconds * 1000)}ms",
                   f"--size={store.size_bytes}", "--norandommap", "--invalidate=0",
                   "--overwrite=1", "--lat_percentiles=1", "--clat_percentiles=0",
                   "--output-format=json", f"--ioengine={self.engine[0]}", *self.engine[1:]]
        with contextlib.ExitStack() as stack:
            stack.enter_context(busy(self.build, OTHER_CPU))
            if self.awake:
                stack.enter_context(busy(self.build, LCORE_CPU, gives_way=True))
            out = output_of(command, LCORE_CPU)
        figures = out["jobs"][0]["read" if work.kind.endswith("read") else "write"]
        percentiles = figures["lat_ns"]["percentile"]
        return {"iops": figures["iops"], "p50_us": percentiles["50.000000"] / 1e3,
                "p99_us": percentiles["99.000000"] / 1e3}


def vhostperf(build, socket_path, work, seconds):
    """What a guest would see."""
    out = output_of([f"{build}/tools/vhostperf/vhostperf", socket_path, "--rw", work.kind, "--bs",
                     str(work.block_bytes), "--depth", str(work.depth), "--time", str(seconds),
                     "--wait", "poll", "--overwrite", "--json"], OTHER_CPU)
    if out["errors"]:
        raise BenchError(f"{socket_path}: {out['errors']} requests failed")
    return {"iops": out["iops"], "p50_us": out["latency_us"]["p50"],
            "p99_us": out["latency_us"]["p99"]}


class Vhostd:
    """A disk that is made for each measurement: without one the lcore sleeps."""

    depth_max = None

    def __init__(self, build, daemon, backend, poll=None):
        self.build = build
        self.daemon = daemon
        self.backend = backend
        self.mode = {"poll": poll} if poll else {}  # else the default: adaptive
        self.name = f"vhostd {backend} {poll}" if poll else f"vhostd {backend}"

    def measure(self, store, work, seconds):
        with self.daemon.client() as client:
            client.ok("device.add", name="disk", backend=self.backend, path=store.path,
                      **self.mode)
            try:
                before = client.ok("lcore.list", reset=True)["lcores"][0]
                row = vhostperf(self.build, self.daemon.path("disk.sock"), work, seconds)
                after = client.ok("lcore.list")["lcores"][0]
                row["store"] = client.ok("device.show", name="disk")["store"]
            finally:
                client.call("device.del", name="disk", force=True)
        for key in ("turns_over_50us", "turns_over_1ms"):
            row[key] = after[key] - before[key]
        row["longest_turn_us"] = after["longest_turn_us"]
        return row


class Qsd:
    """An export that is made for each measurement: the file is locked while there is one."""

    depth_max = None

    def __init__(self, build, daemon, aio):
        self.build = build
        self.daemon = daemon
        self.aio = aio
        self.name = f"qsd {aio}"

    def measure(self, store, work, seconds):
        self.daemon.add("disk", store.path, self.aio)
        try:
            self.daemon.export("disk")
            try:
                return vhostperf(self.build, self.daemon.path("disk.sock"), work, seconds)
            finally:
                self.daemon.unexport("disk")
        finally:
            self.daemon.remove("disk")
