#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What other tests trust faultfs ($FAULTFS) to do: its volatile cache keeps what is not flushed, and
loses it when it is told to; its other faults do what they say."""

import contextlib
import ctypes
import errno
import mmap
import os
import sys
import tempfile

from vhostd_rpc import Talker, expect, run_tests

PUNCH_HOLE = 0x02 | 0x01
ZERO_RANGE = 0x10 | 0x01
BLOCK = 4096


class Store:
    """A file on it, `fd`, and the same file behind its back."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        tmp = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="vhostd-"))
        back, front = (os.path.join(tmp, name) for name in ("back", "front"))
        os.mkdir(back)
        os.mkdir(front)
        self.back = os.path.join(back, "file")
        with open(self.back, "wb") as file:
            file.truncate(16 * BLOCK)
        self.fs = self.stack.enter_context(Talker(os.environ["FAULTFS"], back, front))
        self.fs.expect("ready")
        self.fd = os.open(os.path.join(front, "file"), os.O_RDWR | os.O_DIRECT)
        self.stack.callback(os.close, self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return self.stack.__exit__(*exc)

    def tell(self, line):
        return self.fs.tell(line, "ok")

    def write(self, block, byte, flags=0, n_blocks=1):
        with mmap.mmap(-1, BLOCK * n_blocks) as memory:
            memory.write(byte * BLOCK * n_blocks)
            return os.pwritev(self.fd, [memory], block * BLOCK, flags)

    def allocate(self, mode, block, n_blocks=1):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.fallocate(self.fd, mode, ctypes.c_long(block * BLOCK),
                          ctypes.c_long(n_blocks * BLOCK)):
            raise OSError(ctypes.get_errno(), "fallocate")

    def seen(self, n_blocks=4):
        """A byte of each block, as a program reads it."""
        with mmap.mmap(-1, BLOCK * n_blocks) as memory:
            os.preadv(self.fd, [memory], 0)
            return bytes(memory[i * BLOCK + 7] for i in range(n_blocks))

    def stable(self, n_blocks=4):
        """A byte of each block, as a power failure would leave it."""
        with open(self.back, "rb") as file:
            data = file.read()
        return bytes(data[i * BLOCK + 7] for i in range(n_blocks))


def test_what_is_not_flushed_is_lost():
    with Store() as store:
        store.write(0, b"a")
        store.tell("cache on")
        store.write(0, b"b")
        store.write(1, b"c", n_blocks=2)
        expect((store.seen(), store.stable()), (b"bcc\0", b"a\0\0\0"))
        store.tell("drop")
        expect((store.seen(), store.stable()), (b"a\0\0\0", b"a\0\0\0"))


def test_what_is_flushed_is_kept():
    with Store() as store:
        store.tell("cache on")
        store.write(0, b"a")
        store.write(0, b"b", n_blocks=2)
        store.write(1, b"c")
        os.fdatasync(store.fd)
        expect(store.stable(), b"bc\0\0")
        store.write(0, b"d")
        store.tell("drop")
        expect(store.seen(), b"bc\0\0")
        store.write(2, b"e")
        os.fsync(store.fd)
        store.tell("drop")
        expect(store.seen(), b"bce\0")


def test_a_write_that_is_to_be_stable_is_and_no_other():
    with Store() as store:
        store.tell("cache on")
        store.write(0, b"a", n_blocks=2)
        store.write(1, b"b", os.RWF_DSYNC)
        store.write(3, b"c", os.RWF_DSYNC)
        expect((store.seen(), store.stable()), (b"ab\0c", b"\0b\0c"))
        os.fsync(store.fd)  # the older write doesn't come over the newer one
        expect((store.seen(), store.stable()), (b"ab\0c", b"ab\0c"))
        store.write(1, b"d")
        store.write(1, b"e", os.RWF_DSYNC)
        store.write(0, b"f")
        store.tell("drop")
        expect(store.seen(), b"ae\0c")


def test_holes_are_volatile_too():
    with Store() as store:
        store.write(0, b"a", n_blocks=4)
        store.tell("cache on")
        store.allocate(PUNCH_HOLE, 0)
        store.allocate(ZERO_RANGE, 1, 2)
        store.write(2, b"b")
        expect((store.seen(), store.stable()), (b"\0\0ba", b"aaaa"))
        store.tell("drop")
        expect(store.seen(), b"aaaa")
        store.allocate(PUNCH_HOLE, 0)
        store.allocate(ZERO_RANGE, 1)
        os.fdatasync(store.fd)
        store.tell("drop")
        expect((store.seen(), store.stable()), (b"\0\0aa", b"\0\0aa"))


def test_switching_the_cache_off_writes_it_out():
    with Store() as store:
        store.tell("cache on")
        store.write(0, b"a")
        store.tell("cache off")
        expect(store.stable(), b"a\0\0\0")
        store.write(1, b"b")
        store.tell("drop")
        expect((store.seen(), store.stable()), (b"ab\0\0", b"ab\0\0"))


def test_calls_fail_as_told():
    with Store() as store:
        for command, call, number in (
                ("fail 28 write", lambda: store.write(0, b"a"), errno.ENOSPC),
                ("fail 122 write", lambda: store.allocate(PUNCH_HOLE, 0), errno.EDQUOT),
                ("fail 5 read", store.seen, errno.EIO),
                ("fail 5 fsync", lambda: os.fsync(store.fd), errno.EIO)):
            store.tell(command)
            try:
                call()
                raise AssertionError(f"{command}: it does not fail")
            except OSError as error:
                expect(error.errno, number, command)
            store.tell("pass")
            call()


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
