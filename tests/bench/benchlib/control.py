# SPDX-License-Identifier: BSD-3-Clause
"""The control plane while something happens to disk B: how long the operations on others take."""

import socket
import struct
import threading
import time

from .absence import Absence
from .process import OTHER_CPU

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
    """A thread that gives disk C one life after another. A's front end polls on the same CPU."""

    def __init__(self, build, daemon):
        self.daemon = daemon
        self.absence = Absence(build, OTHER_CPU)
        self.operations = []  # (name, begin, end) since the last figures
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
        self.absence.close()

    def timed(self, what, operation, *args, **params):
        begin = time.monotonic()
        result = operation(*args, **params)
        self.operations.append((what, begin, time.monotonic()))
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
        except Exception as error:  # pylint: disable=broad-except
            self.error = f"the control plane failed: {error}"

    def figures(self):
        """Longest of each operation in ms: as the clock has it, and without the time in which the
        CPU was not there. Forgets them."""
        taken, self.operations = self.operations, []
        self.absence.learn()
        gross, net = dict.fromkeys(OPERATIONS, 0.0), dict.fromkeys(OPERATIONS, 0.0)
        for name, begin, end in taken:
            ms = (end - begin) * 1e3
            gross[name] = max(gross[name], round(ms, 2))
            net[name] = max(net[name], round(ms - self.absence.ms(begin, end), 2))
        return gross, net
