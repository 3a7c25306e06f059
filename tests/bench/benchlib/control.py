# SPDX-License-Identifier: BSD-3-Clause
"""The control plane while something happens to disk B: how long the operations on others take."""

import socket
import struct
import threading
import time

# vhost-user: request, flags (version 1), size; GET_FEATURES is 1, its answer a u64.
GET_FEATURES = struct.pack("<III", 1, 1, 0)
OPERATIONS = ("list", "add", "connect", "del")
PAUSE_S = 0.02


def connect(path, timeout_s=20.0):
    """A front end's first exchange: connected, and answered once. Returns the socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    sock.connect(path)
    sock.sendall(GET_FEATURES)
    if len(sock.recv(20, socket.MSG_WAITALL)) != 20:
        raise OSError("no answer to GET_FEATURES")
    return sock


class ControlProbe:
    """A thread that gives disk C one life after another."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.longest_ms = {}
        self.n_lives = 0
        self.error = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()

    def timed(self, key, operation, *args, **params):
        start = time.monotonic()
        result = operation(*args, **params)
        ms = (time.monotonic() - start) * 1e3
        self.longest_ms[key] = max(ms, self.longest_ms.get(key, 0.0))
        return result

    def life(self, client):
        self.timed("list", client.ok, "device.list")
        disk = self.timed("add", client.ok, "device.add", name="C", backend="null", size="1G")
        sock = self.timed("connect", connect, disk["socket"])
        sock.close()
        self.timed("del", client.ok, "device.del", name="C", force=True)
        self.n_lives += 1

    def run(self):
        try:
            with self.daemon.client() as client:
                while not self.stop.is_set():
                    self.life(client)
                    self.stop.wait(PAUSE_S)
        except (OSError, AssertionError) as error:
            self.error = f"the control plane failed: {error}"

    def figures(self):
        """Longest of each operation in ms, and forget them."""
        taken, self.longest_ms = self.longest_ms, {}
        return {name: round(taken.get(name, 0.0), 2) for name in OPERATIONS}
