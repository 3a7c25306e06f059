# SPDX-License-Identifier: BSD-3-Clause
"""Who is let in at a disk's socket, and what those can do who are not.

The front ends here say no more than GET_FEATURES: that is answered by librte_vhost's event thread,
to those who were let in.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import threading
import time

from vhost_user import (LINGER_S, SET_BACKEND_REQ_FD, SET_VRING_ERR, FrontEnd, Lingering, cpu_ticks,
                        n_descriptors, pause, resume, threads_of)
from vhostd_rpc import DISK, Daemon, expect, run_tests


def test_second_front_end():
    with Daemon() as daemon, daemon.client() as client:
        client.ok("device.add", name="d", **DISK)
        with FrontEnd(daemon, "d") as first:
            assert first.ask().is_answered()
            for _ in range(3):
                with FrontEnd(daemon, "d") as second:
                    assert not second.ask().is_answered(), "a second one is let in"
            assert first.ask().is_answered()
            pid = os.getpid()
            daemon.wait_log(f"d: warning: refused a second front end (pid {pid}): pid {pid} is connected")
        for _ in range(20):  # the next one, before the end of the one before may have been seen
            with FrontEnd(daemon, "d") as following:
                assert following.ask().is_answered()
        expect(client.ok("device.show", name="d")["connections"], 21)


def test_socket_is_removed_at_once():
    """Also while the deletion waits for something else: here for a front end."""
    with Daemon() as daemon, daemon.client() as client:
        client.ok("device.add", name="d", **DISK)
        with FrontEnd(daemon, "d") as front_end, FrontEnd(daemon, "d") as second:
            assert front_end.ask().is_answered()
            client.ok("device.del", name="d", force=True)
            assert not os.path.exists(daemon.path("d.sock"))
            assert not front_end.is_answered()
            assert not second.is_answered()
        client.ok("device.add", name="d", **DISK)
        with FrontEnd(daemon, "d") as front_end:
            assert front_end.ask().is_answered()
        expect(daemon.stop(), 0)
        expect([name for name in os.listdir(daemon.dir) if "sock" in name], [])


def test_front_ends_that_wait_for_the_socket():
    """They connect as soon as somebody listens. One of them is let in, and the disk is none the
    worse for the others."""
    with Daemon() as daemon, daemon.client() as client:
        answers = []

        def wait_for_it():
            while True:
                try:
                    with FrontEnd(daemon, "d") as front_end:
                        answers.append(front_end.ask().is_answered())
                        return
                except OSError:
                    time.sleep(0)

        threads = [threading.Thread(target=wait_for_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        client.ok("device.add", name="d", **DISK)
        for thread in threads:
            thread.join()
        assert any(answers), answers
        client.ok("device.del", name="d", force=True)


def test_knocking_without_end():
    """At a disk that is in use, and at one that is not: who knocks is always served in turn with
    everybody else."""
    with Daemon() as daemon, daemon.client() as client:
        for name in ("used", "free", "other"):
            client.ok("device.add", name=name, **DISK)
        stop = threading.Event()
        n_knocks = {"used": 0, "free": 0}

        def knock(name):
            while not stop.is_set():
                try:
                    with FrontEnd(daemon, name):
                        n_knocks[name] += 1
                except OSError:
                    time.sleep(0.001)  # it is deleted

        threads = [threading.Thread(target=knock, args=(name,)) for name in n_knocks]
        with FrontEnd(daemon, "used") as front_end, FrontEnd(daemon, "other") as other:
            assert front_end.ask().is_answered() and other.ask().is_answered()
            for thread in threads:
                thread.start()
            end = time.monotonic() + 0.4
            n_rounds = 0
            while time.monotonic() < end:
                client.ok("device.list")
                assert front_end.ask().is_answered() and other.ask().is_answered()
                n_rounds += 1
            assert n_rounds > 3, n_rounds
            for name in n_knocks:
                client.ok("device.del", name=name, force=True)
            assert other.ask().is_answered()
        stop.set()
        for thread in threads:
            thread.join()
        assert min(n_knocks.values()) > 3, n_knocks


def test_what_a_refused_one_leaves_behind():
    """Descriptors that take a minute to close, in a socket that is turned away and in such that are
    not even accepted by then: neither the control thread nor the deletion closes them."""
    with Daemon() as daemon, daemon.client() as client, contextlib.ExitStack() as stack:
        client.ok("device.add", name="d", **DISK)
        first = stack.enter_context(FrontEnd(daemon, "d"))
        assert first.ask().is_answered()
        pause(daemon)
        front_ends = [stack.enter_context(FrontEnd(daemon, "d")) for _ in range(3)]
        for front_end in front_ends:
            lingering = stack.enter_context(Lingering())
            lingering.give_to(front_end)
            lingering.leave()
        resume(daemon)
        began = time.monotonic()
        assert not front_ends[0].is_answered()
        client.ok("device.list")
        client.ok("device.del", name="d", force=True)
        client.ok("device.list")
        client.ok("device.add", name="d", **DISK)
        following = stack.enter_context(FrontEnd(daemon, "d"))
        assert following.ask().is_answered()
        expect(daemon.stop(), 0)
        assert time.monotonic() - began < LINGER_S / 2


def test_decoys():
    """What looks like librte_vhost's end of a new connection, because it was accepted at a socket of
    the same name, and comes as descriptors of another front end's messages."""
    with Daemon() as daemon, daemon.client() as client, contextlib.ExitStack() as stack:
        for name in ("d", "e"):
            client.ok("device.add", name=name, **DISK)
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        server.bind(daemon.path(f".{daemon.process.pid}.sock"))
        server.listen()
        own = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        own.connect(server.getsockname())
        decoy = stack.enter_context(server.accept()[0])
        front_end = stack.enter_context(FrontEnd(daemon, "d"))
        socket.send_fds(front_end.sock, [SET_BACKEND_REQ_FD], [decoy.fileno()])  # it keeps this one
        stop = threading.Event()
        n_sent = 0

        def send():
            nonlocal n_sent
            while not stop.is_set():
                socket.send_fds(front_end.sock, [SET_VRING_ERR], [decoy.fileno()])
                assert front_end.ask().is_answered()
                n_sent += 1

        thread = threading.Thread(target=send)
        thread.start()
        try:
            for _ in range(200):
                with FrontEnd(daemon, "e") as other:
                    assert other.ask().is_answered(), f"lost among {n_sent} decoys"
        finally:
            stop.set()
            thread.join()
        assert n_sent > 100, n_sent


def send_until_cut_off(front_end, fd):
    """Descriptors with messages that take one. Returns how many were sent."""
    for n in range(100000):
        try:
            socket.send_fds(front_end.sock, [SET_VRING_ERR], [fd])
        except (BrokenPipeError, ConnectionResetError):
            return n
    raise AssertionError("it may send descriptors without end")


def test_descriptors_without_end():
    """The first takes a minute to close, and many follow: they cost their front end its connection,
    and nobody else anything, until it has been closed."""
    with Daemon() as daemon, daemon.client() as client, contextlib.ExitStack() as stack:
        for name in ("d", "e"):
            client.ok("device.add", name=name, **DISK)
        lingering = stack.enter_context(Lingering())
        with FrontEnd(daemon, "d") as front_end:
            assert front_end.ask().is_answered()
            pause(daemon)
            socket.send_fds(front_end.sock, [SET_VRING_ERR], [lingering.sock.fileno()])
            lingering.leave()
            resume(daemon)
            n_sent = send_until_cut_off(front_end, 0)
            assert n_sent > 100, n_sent
        with FrontEnd(daemon, "e") as other:
            assert other.ask().is_answered()
        following = stack.enter_context(FrontEnd(daemon, "d"))
        assert following.ask().is_kept_waiting(1.5)
        jobs = [name for name, _ in threads_of(daemon) if name == "vhostd-job"]
        expect(len(jobs), 1, "threads that close")
        assert n_descriptors(daemon) < 2000
        daemon.wait_log("d: warning: front ends have to wait")
        lingering.peer.close()
        assert following.is_answered()


def lowest_free(daemon):
    used = set(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    return next(number for number in range(len(used) + 1) if str(number) not in used)


def test_no_descriptor_is_left():
    """Front ends wait then, and nobody spins; said once. They are served when there are some."""
    with Daemon() as daemon, daemon.client() as client:
        client.ok("device.add", name="d", **DISK)
        pid = daemon.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(daemon), hard))
        threads = ("vhostd-ctrl", "vhost-events")
        before = [cpu_ticks(daemon, name) for name in threads]
        with FrontEnd(daemon, "d") as front_end:
            assert front_end.ask().is_kept_waiting(0.5)
            assert not client.ok("device.list")["devices"][0].get("pid")
            spent = [cpu_ticks(daemon, name) - n for name, n in zip(threads, before)]
            assert max(spent) < 6, f"{spent} hundredths of a second in half a second"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert front_end.is_answered()
        deadline = time.monotonic() + 10
        while "front ends are let in again" not in daemon.log() and time.monotonic() < deadline:
            time.sleep(0.01)  # the event thread answers before the control thread knows
        expect(daemon.log().count("front ends have to wait"), 1)
        expect(daemon.log().count("front ends are let in again"), 1)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
