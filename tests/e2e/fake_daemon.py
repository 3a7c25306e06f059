# SPDX-License-Identifier: BSD-3-Clause
"""A scripted peer for tests of vhostctl, and what such tests need to report in TAP."""

import contextlib
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PATIENCE_S = 20  # longest that anything here may take


class FakeDaemon:
    """Listens on a Unix socket; each connection is given to `script(conn)` on a thread."""

    def __init__(self, script):
        self.dir = tempfile.mkdtemp(prefix="vhostctl-test-")
        self.path = os.path.join(self.dir, "control.sock")
        self.requests = []
        self._script = script
        self._connections = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                conn = Connection(self._listener.accept()[0], self.requests)
                self._connections.append(conn)
                thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, conn):
        with contextlib.suppress(OSError, EOFError):
            self._script(conn)
        conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for conn in self._connections:
            conn.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        shutil.rmtree(self.dir)


class Connection:
    """One client, as the script sees it."""

    def __init__(self, sock, requests):
        self._sock = sock
        self._buf = b""
        self._requests = requests
        sock.settimeout(PATIENCE_S)

    def request(self):
        """The next request, decoded; EOFError at the end."""
        while b"\n" not in self._buf:
            data = self._sock.recv(65536)
            if not data:
                raise EOFError
            self._buf += data
        line, self._buf = self._buf.split(b"\n", 1)
        request = json.loads(line)
        self._requests.append(request)
        return request

    def send(self, data):
        self._sock.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self, request, result):
        self.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n")

    def refuse(self, request, code, name, message):
        error = {"code": code, "message": message, "data": {"error": name}}
        self.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}) + "\n")

    def close(self):
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def answering(result):
    """A script that answers every request with `result`."""
    def script(conn):
        while True:
            conn.answer(conn.request(), result)
    return script


def silent(conn):
    """A script that reads and never answers."""
    while True:
        conn.request()


class Run:
    """An ended command: status, out, err and how long it took."""

    def __init__(self, argv, env=None, cwd=None, stdout=subprocess.PIPE, user=None):
        start = time.monotonic()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout,
                              stderr=subprocess.PIPE, env=env, cwd=cwd, user=user,
                              timeout=PATIENCE_S, check=False)
        self.seconds = time.monotonic() - start
        self.status = done.returncode
        self.raw_out = done.stdout or b""
        self.out = self.raw_out.decode()
        self.err = done.stderr.decode()


def run_on_terminal(argv, env):
    """Status and output of a command whose standard output is a terminal."""
    master, slave = pty.openpty()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    out = b""
    deadline = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            out += data
        return child.wait(PATIENCE_S), out.decode().replace("\r\n", "\n")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)


def run_tap(tests):
    """Runs functions and reports them in TAP; the exit status of the program."""
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        what = (test.__doc__ or test.__name__).strip().splitlines()[0]
        try:
            test()
            print(f"ok {number} - {what}")
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {what}")
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        sys.stdout.flush()
    return 1 if failed else 0


def expect(value, wanted):
    """Raises unless equal, and shows both."""
    if value != wanted:
        raise AssertionError(f"\n got: {value!r}\nwant: {wanted!r}")


def expect_in(part, whole):
    """Raises unless `part` is in `whole`, and shows both."""
    if part not in whole:
        raise AssertionError(f"\nwant: {part!r}\n  in: {whole!r}")
