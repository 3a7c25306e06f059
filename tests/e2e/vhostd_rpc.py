# SPDX-License-Identifier: BSD-3-Clause
"""A vhostd of one's own, clients of its control socket, and TAP: for tests in Python's standard
library alone. The daemon's binary is named by $VHOSTD."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

START_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 20.0

# The keys of a disk that costs nothing, but for its name.
DISK = {"backend": "null", "size": "1G"}


def expect(got, wanted, what=""):
    """Fails with both values."""
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def request(method="device.list", request_id=1, **params):
    """A request as a line."""
    line = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params:
        line["params"] = params
    return json.dumps(line).encode() + b"\n"


class Hangup(Exception):
    """The daemon has closed the connection."""


class Client:
    """One connection. Requests get ids 1, 2, ..."""

    def __init__(self, path, timeout_s=ANSWER_TIMEOUT_S):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout_s)
        self.sock.connect(path)
        self.rest = b""
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, method, **params):
        """Sends a request without waiting; returns its id."""
        self.last_id += 1
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params:
            request["params"] = params
        self.send_raw(json.dumps(request).encode() + b"\n")
        return self.last_id

    def receive(self):
        """The next answer as an object."""
        while b"\n" not in self.rest:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError as error:
                raise Hangup() from error
            if not data:
                raise Hangup()
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, **params):
        """The answer to one request, an object with "result" or "error"."""
        wanted = self.send(method, **params)
        answer = self.receive()
        assert answer["id"] == wanted, f"answer to {wanted}: {answer}"
        return answer

    def ok(self, method, **params):
        """The result of a request that is served."""
        answer = self.call(method, **params)
        assert "result" in answer, f"{method} {params}: {answer}"
        return answer["result"]

    def error(self, method, **params):
        """(name, message) of a request that is refused."""
        answer = self.call(method, **params)
        assert "error" in answer, f"{method} {params}: {answer}"
        return answer["error"]["data"]["error"], answer["error"]["message"]

    def raw_error(self, line):
        """(name, id) of the error that a line is answered with."""
        self.send_raw(line)
        answer = self.receive()
        assert "error" in answer, f"{line[:80]!r}: {answer}"
        return answer["error"]["data"]["error"], answer["id"]


class Daemon:
    """A vhostd in a directory of its own, which goes with it."""

    def __init__(self, *args, config=None, env=None, directory=None, start=True, program=None):
        self.program = program or os.environ["VHOSTD"]
        self.own_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="vhostd-")
        self.control = os.path.join(self.dir, "control.sock")
        self.log_path = os.path.join(self.dir, "log")
        self.args = list(args)
        self.env = dict(os.environ, **(env or {}))
        if config is not None:
            self.config_path = self.write("vhostd.json", config)
            self.args += ["--config", self.config_path]
        self.process = None
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0]:
            sys.stderr.write(self.log())
        self.kill()
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        return path

    def command(self, *more):
        return [self.program, "--control", self.control, "--socket-dir", self.dir,
                "--state-dir", self.dir, "--memory", "64", *self.args, *more]

    def spawn(self):
        """Starts the process without waiting for its socket."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.env)

    def start(self):
        self.spawn()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"vhostd ended: {self.process.returncode}\n{self.log()}")
            try:
                Client(self.control).close()
                return
            except OSError:
                time.sleep(0.005)
        raise AssertionError("vhostd doesn't listen\n" + self.log())

    def run(self, *more):
        """Runs one that is expected to end by itself: (exit code, its output)."""
        done = subprocess.run(self.command(*more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=self.env, timeout=START_TIMEOUT_S, check=False)
        return done.returncode, done.stdout

    def client(self):
        return Client(self.control)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(timeout=START_TIMEOUT_S)

    def stop(self):
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, text, timeout_s=10.0):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if text in self.log():
                return
            time.sleep(0.01)
        raise AssertionError(f"not in the log: {text!r}\n{self.log()}")


class Talker:
    """A program that is talked to line by line."""

    def __init__(self, *command):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        try:
            self.process.wait(ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def expect(self, word):
        line = self.process.stdout.readline()
        assert line.split()[:1] == [word], f"{self.process.args[0]}: {line!r} instead of {word!r}"

    def tell(self, line, answer):
        self.process.stdin.write(line + "\n")
        self.expect(answer)


def run_tests(module):
    """Runs the module's functions test_*, those named on the command line or all, as TAP."""
    if "VHOSTD" not in os.environ:
        print("1..0 # SKIP $VHOSTD must name the daemon's binary")
        return 77
    tests = [(name, fn) for name, fn in vars(module).items()
             if name.startswith("test_") and (len(sys.argv) < 2 or name in sys.argv[1:])]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        began = time.monotonic()
        note = ""
        try:
            test()
            word = "ok"
        except unittest.SkipTest as why:
            word, note = "ok", f"SKIP {why}; "
        except Exception:  # whatever it is, the next test is run
            traceback.print_exc()
            word = "not ok"
            failed += 1
        print(f"{word} {number} - {name} # {note}{time.monotonic() - began:.2f} s", flush=True)
    return 1 if failed else 0
