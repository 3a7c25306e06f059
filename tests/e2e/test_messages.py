# SPDX-License-Identifier: BSD-3-Clause
"""Messages that come in pieces, and such that are none: what they cost their front end, and that
they cost nobody else anything. Descriptors come with them that take a minute to close."""

import array
import contextlib
import os
import socket
import sys
import time

from vhost_user import (BOUND_S, GET_FEATURES, HEADER, LINGER_S, SET_VRING_ERR, FrontEnd, Lingering,
                        n_descriptors, pause, resume, threads_of)
from vhostd_rpc import DISK, Daemon, expect, run_tests

SET_VRING_NUM, SET_VRING_KICK, SET_INFLIGHT_FD = 8, 12, 32
PAYLOAD_MAX = 632


def message(request, payload=b"", n_bytes=None):
    return HEADER.pack(request, 1, len(payload) if n_bytes is None else n_bytes) + payload


def state(index):
    """The payload of a message about a virtqueue."""
    return index.to_bytes(4, "little") + bytes(4)


def add_disks(daemon, *names):
    with daemon.client() as client:
        for name in names:
            client.ok("device.add", name=name, **DISK)


def wait_for(what, is_true):
    end = time.monotonic() + BOUND_S
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def send(sock, data, *fds):
    """As one piece, with the descriptors."""
    numbers = array.array("i", fds)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if fds else []
    expect(sock.sendmsg([data], ancillary), len(data))


def test_pieces():
    """A message may take its time, byte by byte; others are served meanwhile."""
    with Daemon() as daemon:
        add_disks(daemon, "d", "e")
        with FrontEnd(daemon, "d") as slow, FrontEnd(daemon, "e") as other:
            for i in range(len(GET_FEATURES)):
                send(slow.sock, GET_FEATURES[i:i + 1])
                time.sleep(0.12 if i % 4 == 0 else 0)
                assert other.ask().is_answered()
            assert slow.is_answered()
            send(slow.sock, GET_FEATURES + GET_FEATURES[:5])
            assert slow.is_answered()
            send(slow.sock, GET_FEATURES[5:])
            assert slow.is_answered()


def test_descriptors_of_pieces():
    """They belong to the message that the piece is of."""
    with Daemon() as daemon:
        add_disks(daemon, "d")
        eventfd = os.eventfd(0)
        kick = message(SET_VRING_KICK, bytes(8))
        with FrontEnd(daemon, "d") as front_end:
            assert front_end.ask().is_answered()
            before = n_descriptors(daemon)
            for cut in (4, HEADER.size, HEADER.size + 3):
                for with_first in (True, False):
                    send(front_end.sock, kick[:cut], *[eventfd] * with_first)
                    send(front_end.sock, kick[cut:], *[eventfd] * (not with_first))
                    assert front_end.ask().is_answered()
                    wait_for(f"{n_descriptors(daemon)} descriptors, {before} before the kick's",
                             lambda: n_descriptors(daemon) == before + 1)
            assert "warning" not in daemon.log(), daemon.log()
        os.close(eventfd)


# What is sent in pieces, with how many descriptors each, and what the daemon says; None: nothing,
# the front end hangs up.
BROKEN = (
    ([(message(1, n_bytes=PAYLOAD_MAX + 1), 1)], f"message 1 of 633 bytes; {PAYLOAD_MAX} at most"),
    ([(message(1, n_bytes=0xffffffff), 8)], "message 1 of 4294967295 bytes"),
    ([(SET_VRING_ERR[:7], 1)], None),
    ([(SET_VRING_ERR[:HEADER.size], 8)], None),
    ([(SET_VRING_ERR[:-1], 1)], None),
    ([(SET_VRING_ERR[:HEADER.size], 0), (SET_VRING_ERR[HEADER.size:-1], 1)], None),
    ([(SET_VRING_ERR, 9)], "more than 8 descriptors"),
    ([(SET_VRING_ERR, 253)], "more than 8 descriptors"),
    ([(SET_VRING_ERR[:HEADER.size], 8), (SET_VRING_ERR[HEADER.size:], 1)],
     "more than 8 descriptors"),
    ([(message(SET_VRING_NUM, state(256)), 8)], "SET_VRING_NUM of 8 bytes with 8 descriptors"),
    ([(message(SET_VRING_NUM, state(256)), 0)], "SET_VRING_NUM of a virtqueue that is not there"),
    ([(message(SET_VRING_NUM, state(0xffffffff)), 0)], "a virtqueue that is not there"),
    ([(message(SET_INFLIGHT_FD, bytes(20)), 8)], "message 32, which was not offered"),
)


def test_broken_ones():
    """They are told, they end the connection, and all of their descriptors are closed, by nobody
    whom others wait for: each of these takes a minute."""
    for pieces, said in BROKEN:
        with Daemon() as daemon, contextlib.ExitStack() as stack:
            add_disks(daemon, "d", "e")
            other = stack.enter_context(FrontEnd(daemon, "e"))
            assert other.ask().is_answered()
            before = n_descriptors(daemon)
            lingering = stack.enter_context(Lingering())
            front_end = stack.enter_context(FrontEnd(daemon, "d"))
            assert front_end.ask().is_answered()
            pause(daemon)
            for data, n_fds in pieces:
                send(front_end.sock, data, *[lingering.sock.fileno()] * n_fds)
            if any(n_fds for _, n_fds in pieces):
                lingering.leave()
            began = time.monotonic()
            resume(daemon)
            if said is None:
                front_end.sock.close()
            else:
                assert not front_end.is_answered()
                daemon.wait_log(said)
            for _ in range(3):
                assert other.ask().is_answered()
            assert time.monotonic() - began < LINGER_S / 2
            lingering.peer.close()
            front_end.sock.close()
            wait_for(f"{pieces}: {n_descriptors(daemon)} descriptors, {before} before",
                     lambda: n_descriptors(daemon) <= before)
            with FrontEnd(daemon, "d") as following:
                assert following.ask().is_answered()


def test_what_one_leaves_to_the_next():
    """A front end has hung up, with messages and descriptors on their way, and the next one is let
    in before that is seen: nobody reads them any more, and one thread closes them all."""
    with Daemon() as daemon, contextlib.ExitStack() as stack:
        add_disks(daemon, "d", "e")
        other = stack.enter_context(FrontEnd(daemon, "e"))
        front_end = stack.enter_context(FrontEnd(daemon, "d"))
        assert front_end.ask().is_answered() and other.ask().is_answered()
        before = n_descriptors(daemon)
        pause(daemon)
        all_of_them = [stack.enter_context(Lingering()) for _ in range(6)]
        for lingering in all_of_them:
            send(front_end.sock, SET_VRING_ERR, lingering.sock.fileno())
            lingering.leave()
        front_end.sock.close()
        following = stack.enter_context(FrontEnd(daemon, "d"))
        began = time.monotonic()
        resume(daemon)
        assert following.ask().is_answered()
        for _ in range(3):
            assert other.ask().is_answered()
        assert time.monotonic() - began < LINGER_S / 2
        jobs = [name for name, _ in threads_of(daemon) if name == "vhostd-job"]
        assert len(jobs) <= 1, jobs
        for lingering in all_of_them:
            lingering.peer.close()
        wait_for("the descriptors are closed", lambda: n_descriptors(daemon) <= before)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
