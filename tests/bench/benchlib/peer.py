# SPDX-License-Identifier: BSD-3-Clause
"""The same troubles for qemu-storage-daemon: two exports on one iothread, and the deletion by
block-export-del.

QEMU 7.2 does not end a deletion with requests in flight: its main thread waits for the export's
coroutine and holds the lock of the iothread, which waits for this lock to complete the requests. A,
on the same iothread, stands still with it."""

import os
import shutil
import tempfile

from .qsd import MONITOR_TIMEOUT_S, StorageDaemon
from .scenarios import ForcedUnderLoad, FrontEndExits, KilledWithMemory, Scenario

GIB = 1 << 30


class NoControl:
    """There is no control plane beside the monitor that a deletion is made with."""

    error = n_lives = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def figures(self):
        return {}, {}


class PeerRig:
    """A qemu-storage-daemon with disks A and B on files in memory."""

    name = "qemu-storage-daemon"

    def __init__(self, options):
        self.build = os.path.abspath(options.build)
        self.seconds = options.seconds
        self.memory = options.memory
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-", dir="/dev/shm")
        self.daemon = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, env):
        self.daemon = StorageDaemon(self.dir, env)
        for name in "AB":
            with open(self.path(f"{name}.img"), "wb") as file:
                file.truncate(GIB)
            self.daemon.add(name, self.path(f"{name}.img"), "native")
        self.daemon.export("A")

    def control(self):
        return NoControl()

    def forget_turns(self, trace=False):
        """It does not measure itself."""

    def turns(self):
        return None, None, []

    def stop(self):
        if self.daemon:
            self.daemon.close()
        self.daemon = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class PeerScenario(Scenario):
    """Deletions by block-export-del."""

    def add(self, name="B", **params):
        self.rig.daemon.export(name)

    def timed_del(self, force=True, name="B"):
        try:
            return self.rig.daemon.unexport(name)
        except TimeoutError:
            self.failure = f"block-export-del did not end in {MONITOR_TIMEOUT_S:.0f} s"
            return MONITOR_TIMEOUT_S * 1e3

    def wait_until_unused(self, timeout_s=20.0):
        """It can be deleted at any time."""

    def clean(self):
        if self.front_end:
            self.leave()


class PeerFrontEndExits(PeerScenario, FrontEndExits):
    """1."""


class PeerForcedUnderLoad(PeerScenario, ForcedUnderLoad):
    """2."""


class PeerKilledWithMemory(PeerScenario, KilledWithMemory):
    """3."""


PEER_SCENARIOS = (PeerFrontEndExits, PeerForcedUnderLoad, PeerKilledWithMemory)
