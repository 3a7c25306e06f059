# SPDX-License-Identifier: BSD-3-Clause
"""A vhostd to measure."""

import os
import shutil
import tempfile

from vhostd_rpc import Daemon

from .control import ControlProbe
from .process import LCORE_CPU, Lines

A_SIZE = "64M"
TRACE_OVER_US = 500


class VhostdRig:
    """A vhostd with disk A, in a directory of its own."""

    name = "vhostd"

    def __init__(self, options):
        self.build = os.path.abspath(options.build)
        self.seconds = options.seconds
        self.memory = options.memory
        self.kind = options.store
        self.dir = tempfile.mkdtemp(prefix="vhostd-bench-")
        self.store = None
        self.daemon = None
        self.client = None

    def start(self, env):
        os.environ["VHOSTD"] = f"{self.build}/src/vhostd"
        self.daemon = Daemon("--lcores", str(LCORE_CPU), "--poll", "busy", env=env,
                             directory=self.dir)
        self.client = self.daemon.client()
        self.client.ok("device.add", name="A", backend=self.kind, size=A_SIZE)
        self.client.ok("device.add", name="A2", backend="null", size="1G")

    def file_that_hangs(self, name, size):
        """A file on a file system that hangs when told to."""
        back, front = os.path.join(self.dir, "back"), os.path.join(self.dir, "front")
        if not self.store:
            os.mkdir(back)
            os.mkdir(front)
            self.store = Lines([f"{self.build}/tests/faultfs", back, front])
            self.store.expect("ready")
        with open(os.path.join(back, name), "wb") as file:
            file.truncate(size)
        return os.path.join(front, name)

    def path(self, name):
        return self.daemon.path(name)

    def control(self):
        return ControlProbe(self.build, self.daemon)

    def forget_turns(self, trace=False):
        """The lcore's longest turn is from now on; slow ones are kept in detail, or not."""
        order = {"over_us": TRACE_OVER_US} if trace else {"off": True}
        self.client.ok("lcore.trace", **order)
        self.client.ok("lcore.list", reset=True)

    def turns(self):
        """Since then: (longest in us, what it was spent on, the slow ones)."""
        lcore = self.client.ok("lcore.list")["lcores"][0]
        cause = lcore.get("longest_turn_cause", "-")
        if "longest_turn_device" in lcore:
            cause += f" of {lcore['longest_turn_device']}"
        slow = self.client.ok("lcore.trace", off=True)["turns"]
        return lcore["longest_turn_us"], cause, slow

    def stop(self):
        if self.client:
            self.client.close()
        if self.daemon and self.daemon.alive():
            self.daemon.stop()
        if self.store:
            self.store.close()
        self.store = self.client = self.daemon = None

    def close(self):
        if self.daemon:
            self.daemon.kill()
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
