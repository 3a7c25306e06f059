# SPDX-License-Identifier: BSD-3-Clause
"""Who serves the disks.

Vhostd is the daemon under test. StorageDaemon is qemu-storage-daemon behind the same methods:
what passes there too is a test of the standard, not of our habits.
"""

import json
import os
import subprocess

from .machine import Qmp
from .sandbox import Failure, wait_until

EXIT_OK, EXIT_REFUSED = 0, 1


class Vhostd:
    """vhostd and vhostctl of a build folder; the sockets are in vhostd.d in the current directory."""

    name = "vhostd"

    def __init__(self, box, build, keep=False):
        self._box, self._keep = box, keep
        self._vhostd = os.path.join(build, "src", "vhostd")
        self._vhostctl = os.path.join(build, "tools", "vhostctl", "vhostctl")
        self._folder = os.path.abspath("vhostd.d")
        os.mkdir(self._folder)
        self.start()

    @staticmethod
    def missing(build):
        path = os.path.join(build, "src", "vhostd")
        return None if os.access(path, os.X_OK) else f"{path} is not built"

    def start(self):
        argv = [self._vhostd, "--control", f"{self._folder}/control.sock",
                "--socket-dir", self._folder, "--state-dir", self._folder]
        self.process = self._box.start("vhostd", argv, self._keep)
        wait_until(lambda: self.ctl("info")[0] == EXIT_OK or not self.process.alive(), "vhostd")
        if not self.process.alive():
            raise Failure(f"vhostd ended: {self.process.log_tail()}")

    def shut_down(self):
        """By SIGTERM, as systemd does it: requests in flight end first."""
        self.process.stop(timeout=20)

    def command(self, *args):
        return [self._vhostctl, "--control", "vhostd.d/control.sock", *args]

    def ctl(self, *args):
        """(exit status, standard output, standard error) of vhostctl."""
        done = subprocess.run(self.command("--timeout", "20", *args), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def ctl_ok(self, *args):
        status, output, errors = self.ctl(*args)
        if status != EXIT_OK:
            raise Failure(f"vhostctl {' '.join(args)}: exit status {status}: {errors}")
        return output

    def socket(self, name):
        return f"vhostd.d/{name}.sock"

    def add(self, name, path, queues=4, readonly=False, serial=None):
        args = ["--backend", "aio", "--path", path, "--queues", str(queues)]
        args += ["--readonly"] * readonly + (["--serial", serial] if serial else [])
        self.ctl_ok("add", name, *args)

    def add_memory(self, name, size_bytes, queues=4):
        self.ctl_ok("add", name, "--backend", "malloc", "--size", str(size_bytes),
                    "--queues", str(queues))

    def delete(self, name, force=False):
        """(exit status, error text)"""
        status, _, errors = self.ctl("del", name, *["--force"] * force)
        return status, errors

    def resize(self, name, path, size_bytes):
        os.truncate(path, size_bytes)
        self.ctl_ok("resize", name)

    def show(self, name):
        return json.loads(self.ctl_ok("--json", "show", name))

    def names(self):
        """The set of the disks' names."""
        return {disk["name"] for disk in json.loads(self.ctl_ok("--json", "list"))["devices"]}

    def is_free(self, name):
        """No front end is connected, and one may."""
        disk = self.show(name)
        return disk["state"] == "listening" and not disk["connected"] and disk["inflight"] == 0

    def troubles(self, name):
        """{counter: value} of what should not have happened."""
        queues = [queue["counters"] for queue in self.show(name)["queues"]]
        sums = {counter: sum(q[counter] for q in queues) for counter in ("io_errors", "breaks")}
        return {counter: value for counter, value in sums.items() if value}


class StorageDaemon:
    """One qemu-storage-daemon for each disk."""

    name = "qsd"

    def __init__(self, box, build, keep=False):
        self._box, self._processes = box, {}

    @staticmethod
    def missing(build):
        return None

    def socket(self, name):
        return f"qsd-{name}.sock"

    def add(self, name, path, queues=4, readonly=False, serial=None):
        writable = "off" if readonly else "on"
        self._processes[name] = self._box.start(f"qsd-{name}", [
            "qemu-storage-daemon", "--blockdev",
            f"driver=file,filename={path},node-name=disk,discard=unmap,read-only={'on' if readonly else 'off'}",
            "--export", f"type=vhost-user-blk,id=export,node-name=disk,writable={writable},"
            f"addr.type=unix,addr.path={self.socket(name)},num-queues={queues}",
            "--chardev", f"socket,id=qmp,path=qsd-{name}.qmp,server=on,wait=off",
            "--monitor", "chardev=qmp"])
        wait_until(lambda: os.path.exists(self.socket(name)), f"the socket of {name}")

    def add_memory(self, name, size_bytes, queues=4):
        self.add(name, self._box.file(f"{name}.memory", size_bytes), queues)

    def delete(self, name, force=False):
        self._processes.pop(name).stop()
        return EXIT_OK, ""

    def resize(self, name, path, size_bytes):
        qmp = Qmp(f"qsd-{name}.qmp")
        qmp.execute("block_resize", **{"node-name": "disk", "size": size_bytes})
        qmp.close()

    def names(self):
        return set(self._processes)

    def is_free(self, name):
        return True

    def troubles(self, name):
        return {}


BACKENDS = {backend.name: backend for backend in (Vhostd, StorageDaemon)}
