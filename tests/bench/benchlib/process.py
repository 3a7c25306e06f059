# SPDX-License-Identifier: BSD-3-Clause
"""Programs of the build on CPUs of their own, which end with the benchmark, however it ends."""

import ctypes
import json
import os
import platform
import select
import signal
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1

# The lcore's, and everybody else's.
LCORE_CPU = 1
OTHER_CPU = 0


class BenchError(Exception):
    """Something that a measurement rests on did not happen."""


def machine():
    """What it was measured on, in words."""
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (f"{os.cpu_count()} CPUs ({model}), {pages >> 30} GiB, Linux {platform.release()}; "
            f"lcore on CPU {LCORE_CPU}, all else on CPU {OTHER_CPU}")


def pinned(cpu, gives_way=False):
    """A preexec_fn: this CPU, and SIGKILL with the parent. What gives way runs when nobody else
    wants the CPU: a loop that polls would keep a control plane on the same CPU waiting for ticks."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {cpu})
        if gives_way:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return prepare


class Lines:
    """A child that is talked to line by line on its standard input and output."""

    def __init__(self, command, cpu=OTHER_CPU, gives_way=False):
        self.command = command
        self.errors = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        self.child = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            preexec_fn=pinned(cpu, gives_way))
        self.rest = b""

    def send(self, line):
        try:
            self.child.stdin.write(line.encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError as error:
            raise self.failure("has gone") from error

    def failure(self, what):
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip()
        return BenchError(f"{' '.join(self.command)}: {what}: {said}")

    def receive(self, timeout_s):
        """The next line."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.child.stdout], [], [], left_s)[0]:
                raise self.failure(f"says nothing for {timeout_s} s")
            data = os.read(self.child.stdout.fileno(), 65536)
            if not data:
                raise self.failure("has ended")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def expect(self, word, timeout_s=60.0):
        """The next line, which begins with this word; the rest of it."""
        line = self.receive(timeout_s)
        if line.split(" ", 1)[0] != word:
            raise self.failure(f"says {line!r} instead of {word!r}")
        return line[len(word):].strip()

    def kill(self):
        """As a crash."""
        self.child.kill()
        self.child.wait()

    def close(self, timeout_s=10.0):
        """End of its input; killed if it does not end by itself."""
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self.child.stdout.close()
        self.errors.close()
        return self.child.returncode


class Noise:
    """What the machine itself takes away, by pinned loops on both CPUs while nothing else runs."""

    def __init__(self, build):
        self.build = build
        self.seconds = 0.0
        self.longest_us = {LCORE_CPU: 0.0, OTHER_CPU: 0.0}  # at once, so far
        self.lost_percent = 0.0  # on the lcore's CPU, at worst

    def listen(self, seconds):
        """For so long; both CPUs must be free."""
        out = subprocess.run([f"{self.build}/tests/bench/bench-spin",
                              f"{OTHER_CPU},{LCORE_CPU}", str(seconds)],
                             capture_output=True, text=True, check=True).stdout
        for row in map(json.loads, out.splitlines()):
            cpu = row["cpu"]
            self.longest_us[cpu] = max(self.longest_us[cpu], row["gap_max_us"])
            if cpu == LCORE_CPU:
                self.lost_percent = max(self.lost_percent, row["lost_percent"])
        self.seconds += seconds

    def judge(self, row):
        """Puts into a row of the table what is known of the noise so far."""
        row["noise_us"] = self.longest_us[LCORE_CPU]

    def describe(self):
        return (f"Noise: in {self.seconds:.0f} s a loop that did nothing on the lcore's CPU lost "
                f"{self.lost_percent:.1f} % of its time, {self.longest_us[LCORE_CPU]:.0f} us "
                f"at once; on the other CPU, {self.longest_us[OTHER_CPU]:.0f} us at once")
