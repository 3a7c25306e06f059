# SPDX-License-Identifier: BSD-3-Clause
"""The folder and the processes of one run.

A Sandbox is the current directory while it lives, so that the paths of its sockets stay short
(a Unix socket's path has at most 107 bytes). Its processes end with it, on every way out, and
the kernel kills them should this program itself be killed.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """Something is not as it has to be; the text says what."""


def wait_until(condition, what, timeout=10, interval=0.05):
    """Waits until condition() is true and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {timeout} s")
        time.sleep(interval)


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program that was started here; its output goes to NAME.log."""

    def __init__(self, name, argv, keep=False):
        self.name = name
        self.log_path = f"{name}.log"
        with open(self.log_path, "ab") as log:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=keep,
                preexec_fn=None if keep else _die_with_parent)

    @property
    def pid(self):
        return self._child.pid

    def alive(self):
        return self._child.poll() is None

    def log_tail(self, n_lines=15):
        with open(self.log_path, errors="replace") as log:
            return log.read().splitlines()[-n_lines:]

    def kill(self):
        self._child.kill()
        self._child.wait()

    def stop(self, timeout=5):
        """SIGTERM, and SIGKILL if that doesn't help; the exit status."""
        if self.alive():
            self._child.terminate()
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._child.returncode


class Sandbox:
    """with Sandbox(parent) as box: a fresh folder, removed at the end with all that runs in it."""

    def __init__(self, parent, path=None):
        os.makedirs(parent, exist_ok=True)
        self.path = path or tempfile.mkdtemp(prefix="run.", dir=parent)
        self.keep = False  # leave folder and processes as they are
        self.keep_files = False
        self._processes = []

    def __enter__(self):
        self._old_cwd = os.getcwd()
        os.chdir(self.path)
        return self

    def __exit__(self, *exc_info):
        os.chdir(self._old_cwd)
        if self.keep:
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._processes):
            process.kill()
        if not self.keep_files:
            shutil.rmtree(self.path, ignore_errors=True)

    def start(self, name, argv, keep=False):
        process = Process(name, argv, keep)
        self._processes.append(process)
        return process

    def file(self, name, size_bytes):
        """A new sparse file; its absolute path."""
        with open(name, "wb") as f:
            f.truncate(size_bytes)
        return os.path.abspath(name)
