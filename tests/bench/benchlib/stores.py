# SPDX-License-Identifier: BSD-3-Clause
"""Where a benchmark's file is: ext4, tmpfs, or a directory that is named."""

import os
import shutil
import subprocess
import tempfile

from .process import BenchError

MIB = 1 << 20
PIECE = os.urandom(MIB)


def file_system(path):
    """(type, device) of the file system that holds path."""
    out = subprocess.run(["findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--target", path],
                         capture_output=True, text=True, check=True).stdout
    kind, device = out.split()[:2]
    return kind, device


class Store:
    """A file that is written to its end, in a directory of its own."""

    def __init__(self, name, size_bytes):
        self.name = name
        self.size_bytes = size_bytes
        self.image = self.mount = None
        if name == "shm":
            self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        elif name in ("ext4", "loop"):
            self.dir = tempfile.mkdtemp(prefix="vhostd-bench-")
        elif os.path.isdir(name):
            self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir=name)
        else:
            raise BenchError(f"there is no store {name!r}: ext4, loop, shm or a directory is right")

    def __enter__(self):
        try:
            if self.name == "loop" or (self.name == "ext4" and
                                       file_system(self.dir)[0] != "ext4"):
                self.mount_image()
            self.path = os.path.join(self.mount or self.dir, "file")
            self.fill()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def mount_image(self):
        """An ext4 in a file of tmpfs, by a loop device: for want of a disk with ext4."""
        shutil.rmtree(self.dir)
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        self.image = os.path.join(self.dir, "image")
        mount = os.path.join(self.dir, "mount")
        with open(self.image, "wb") as file:
            file.truncate(self.size_bytes + self.size_bytes // 4 + 64 * MIB)
        os.mkdir(mount)
        for command in (["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", self.image],
                        ["mount", "-o", "loop", self.image, mount]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
        self.mount = mount

    def fill(self):
        with open(self.path, "wb", buffering=0) as file:
            for _ in range(self.size_bytes // MIB):
                file.write(PIECE)
            os.fsync(file.fileno())
            if file_system(self.path)[0] != "tmpfs":
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def describe(self):
        kind, device = file_system(self.path)
        where = f"a file of {self.size_bytes // MIB} MiB on {kind}"
        if self.image:
            return f"{where}, on a loop device over a file in memory"
        return where if kind == "tmpfs" else f"{where}, on the machine's {device}"

    def close(self):
        if self.mount:
            subprocess.run(["umount", self.mount], check=False)
            self.mount = None
        shutil.rmtree(self.dir, ignore_errors=True)
