#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Files and devices that can't be a disk, as the one who adds them is told. What the stores say of
them in all cases is tested without a daemon (tests/unit/test_store_open.c, test_store_loop.c)."""

import contextlib
import os
import subprocess
import sys
import tempfile
import unittest

from vhostd_rpc import Daemon, expect, run_tests

RIGHT = "; a regular file or a block device is right"


@contextlib.contextmanager
def daemon():
    """A client of a daemon, a way to make paths, the daemon itself."""
    with tempfile.TemporaryDirectory(prefix="vhostd-") as directory, Daemon() as own:
        with own.client() as client:
            yield client, lambda name: os.path.join(directory, name), own


def make_file(path, n_bytes, mode=0o600):
    with open(path, "wb") as file:
        file.truncate(n_bytes)
    os.chmod(path, mode)
    return path


def refused(client, path, text, error="STORE", **more):
    for backend in ("aio", "auto"):
        name, message = client.error("device.add", name="d0", backend=backend, path=path, **more)
        expect((name, message), (error, text))


def test_what_is_no_file():
    with daemon() as (client, path, _):
        os.mkdir(path("dir"))
        os.mkfifo(path("fifo"))
        os.symlink("nowhere", path("link"))
        refused(client, path("dir"), f"path: {path('dir')} is a directory{RIGHT}")
        refused(client, path("fifo"), f"path: {path('fifo')} is a FIFO{RIGHT}")
        refused(client, "/dev/null", f"path: /dev/null is a character device{RIGHT}")
        for name in "none", "link":
            refused(client, path(name), f"path: {path(name)}: No such file or directory")


def test_sizes():
    with daemon() as (client, path, own):
        for n_bytes, block in (0, 512), (511, 512), (4095, 4096):
            file = make_file(path("small"), n_bytes)
            refused(client, file, f"path: {file} has {n_bytes} bytes, less than one block of "
                    f"{block}; make it larger first (truncate -s 10G)", block_size=block)
        file = make_file(path("odd"), (1 << 20) + 700)
        disk = client.ok("device.add", name="d0", path=file)
        expect(disk["size_bytes"], (1 << 20) + 512, "whole blocks only")
        assert "are no whole number of blocks of 512; the last 188 are left out" in own.log()


def test_no_permission():
    """For root there is one all the same where nobody may write."""
    with daemon() as (client, path, _):
        file = make_file(path("file"), 1 << 20, 0o000)
        if os.geteuid() == 0:
            with own_capabilities_dropped() as other:
                refused(other, file, f"path: {file}: Permission denied")
        else:
            refused(client, file, f"path: {file}: Permission denied")


@contextlib.contextmanager
def own_capabilities_dropped():
    """A client of a daemon of root's that may not override permissions."""
    with tempfile.TemporaryDirectory(prefix="vhostd-") as directory:
        wrapper = os.path.join(directory, "vhostd")
        with open(wrapper, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexec setpriv --bounding-set -dac_override,-dac_read_search "
                         f"--inh-caps -dac_override,-dac_read_search {os.environ['VHOSTD']} "
                         '"$@"\n')
        os.chmod(wrapper, 0o700)
        with Daemon(program=wrapper) as own, own.client() as client:
            yield client


def test_blocks_of_a_device():
    """Guests with blocks of 512 on a device with 4096"""
    if os.geteuid() != 0:
        raise unittest.SkipTest("loop devices are root's")
    with daemon() as (client, path, _):
        file = make_file(path("file"), 1 << 20)
        device = subprocess.check_output(
            ("losetup", "--find", "--show", "--sector-size", "4096", file), text=True).strip()
        try:
            refused(client, device, f"block_size: 512 is less than the 4096 that {device} takes; "
                    "use block_size 4096", error="PARAMS")
            expect(client.ok("device.add", name="d0", path=device,
                             block_size=4096)["store"]["block_size"], 4096)
            client.ok("device.del", name="d0")
        finally:
            subprocess.run(("losetup", "--detach", device), check=True)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
