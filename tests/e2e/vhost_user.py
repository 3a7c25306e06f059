# SPDX-License-Identifier: BSD-3-Clause
"""A front end that speaks the vhost-user protocol byte by byte, what one may leave behind, and what
the daemon's threads and descriptors are: for tests with vhostd_rpc."""

import os
import signal
import socket
import struct
import time

BOUND_S = 10.0  # wide: what must not wait for anything
HEADER = struct.Struct("<III")
GET_FEATURES = HEADER.pack(1, 1, 0)
SET_VRING_ERR = HEADER.pack(14, 1, 8) + bytes(8)
SET_BACKEND_REQ_FD = HEADER.pack(21, 1, 0)
LINGER_S = 60


class FrontEnd:
    """A connection to a disk."""

    def __init__(self, daemon, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(BOUND_S)
        self.sock.connect(daemon.path(name + ".sock"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def ask(self):
        try:
            self.sock.sendall(GET_FEATURES)
        except BrokenPipeError:
            pass  # is_answered() will tell
        return self

    def is_answered(self):
        """True; False when the connection is closed instead."""
        try:
            answer = self.sock.recv(HEADER.size + 8)
        except ConnectionResetError:
            return False
        return len(answer) == HEADER.size + 8

    def is_kept_waiting(self, seconds):
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(1)
        except socket.timeout:
            self.sock.settimeout(BOUND_S)
            return True
        return False

    def send_descriptor(self, fd):
        """With a byte, nothing that would be a message."""
        socket.send_fds(self.sock, [b"x"], [fd])


class Lingering:
    """A socket that takes LINGER_S to close for whoever is the last to have it."""

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.sock = socket.create_connection(server.getsockname())
            self.peer, _ = server.accept()
        self.sock.setblocking(False)
        try:
            while True:  # more than the peer, who reads nothing, has room for
                self.sock.send(b"\0" * 65536)
        except BlockingIOError:
            pass
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, LINGER_S))
        self.sock.setblocking(True)
        return self

    def __exit__(self, *exc):
        self.peer.close()  # what was sent is reset: nobody waits any more

    def give_to(self, front_end):
        front_end.send_descriptor(self.sock.fileno())

    def leave(self):
        """The daemon has the last ones: our own is closed without lingering."""
        os.close(self.sock.detach())


def threads_of(daemon):
    """(name, the fields of /proc's stat from the state on) of each."""
    tasks = f"/proc/{daemon.process.pid}/task"
    for tid in os.listdir(tasks):
        with open(f"{tasks}/{tid}/stat", encoding="ascii") as file:
            name, fields = file.read().split("(", 1)[1].rsplit(")", 1)
        yield name, fields.split()


def cpu_ticks(daemon, wanted):
    """CPU time that the daemon's thread of that name has used."""
    for name, fields in threads_of(daemon):
        if name == wanted:
            return int(fields[11]) + int(fields[12])
    raise AssertionError(f"no thread {wanted}")


def pause(daemon):
    daemon.signal(signal.SIGSTOP)
    while any(fields[0] != "T" for _, fields in threads_of(daemon)):
        time.sleep(0.001)


def resume(daemon):
    daemon.signal(signal.SIGCONT)


def n_descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
