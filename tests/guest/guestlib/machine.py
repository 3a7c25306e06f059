# SPDX-License-Identifier: BSD-3-Clause
"""One QEMU with vhost-user-blk disks, each behind a PCIe root port of its own.

In the current directory: console.log and console.sock (first serial port), agent.sock (second),
qmp.sock.
"""

import json
import os
import socket
import time

from .agent import Agent
from .images import QEMU
from .sandbox import Failure, wait_until

MEMORY_MIB = 512
N_CPUS = 4
N_PORTS = 6
FIRST_SLOT = 0x10
CMDLINE = "console=ttyS0 panic=-1 loglevel=5"


class Qmp:
    """The QEMU monitor."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(0.5)
        self._socket.connect(path)
        self._pending = b""
        self._events = []
        self._message(time.monotonic() + 5)
        self.execute("qmp_capabilities")

    def close(self):
        self._socket.close()

    def _message(self, deadline):
        while b"\n" not in self._pending:
            if time.monotonic() > deadline:
                raise Failure("QEMU's monitor doesn't answer")
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                continue
            if not data:
                raise Failure("QEMU's monitor is closed")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        return json.loads(line)

    def execute(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + 10
        while True:
            message = self._message(deadline)
            if "error" in message:
                raise Failure(f"QEMU: {command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]
            self._events.append(message)

    def wait_event(self, name, device, timeout=15):
        """Waits for an event about a device."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self._events:
                if event.get("event") == name and event["data"].get("device") == device:
                    self._events.remove(event)
                    return
            self._events.append(self._message(deadline))


class Machine:
    """A guest. `disks` are the names of disks of `backend`, in the order of their PCI slots."""

    def __init__(self, box, images, backend, disks, boot_disk=None, n_queues=4, keep=False):
        """boot_disk: the one to boot from through the BIOS; None: kernel and initramfs given to
        QEMU directly."""
        self._backend, self._n_queues = backend, n_queues
        self._ports = dict.fromkeys(range(N_PORTS))
        argv = self._platform(images)
        for disk in disks:
            argv += self._disk(disk, boot=disk == boot_disk)
        if boot_disk is None:
            argv += ["-kernel", images.kernel, "-initrd", images.initramfs, "-append", CMDLINE]
        self.process = box.start("qemu", argv, keep)
        wait_until(lambda: self._connect() or not self.process.alive(), "QEMU's sockets")
        if not self.process.alive():
            raise Failure(f"QEMU ended: {self.process.log_tail()}")

    @staticmethod
    def _platform(images):
        argv = [
            QEMU, "-accel", images.accel, "-cpu", "max", "-smp", str(N_CPUS), "-m", str(MEMORY_MIB),
            "-machine", "q35,memory-backend=mem", "-nodefaults", "-display", "none", "-no-reboot",
            "-object", f"memory-backend-memfd,id=mem,size={MEMORY_MIB}M,share=on",
            "-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log",
            "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off",
            "-serial", "chardev:console", "-serial", "chardev:agent",
            "-qmp", "unix:qmp.sock,server=on,wait=off"]
        for port in range(N_PORTS):
            argv += ["-device", f"pcie-root-port,id=rp{port},chassis={port},addr={FIRST_SLOT + port:#x}"]
        return argv

    def _disk(self, name, boot):
        port = self._port_take(name)
        path = self._backend.socket(name)
        return ["-chardev", f"socket,id=chr-{name},path={path},reconnect=1",
                "-device", f"vhost-user-blk-pci,id={name},chardev=chr-{name},bus=rp{port},"
                f"num-queues={self._n_queues}" + ",bootindex=0" * boot]

    def _port_take(self, name):
        port = next(p for p, owner in self._ports.items() if owner is None)
        self._ports[port] = name
        return port

    def _connect(self):
        if not all(os.path.exists(f"{name}.sock") for name in ("console", "agent", "qmp")):
            return False
        try:
            self.agent = Agent("agent.sock", self.process.alive)
            self.qmp = Qmp("qmp.sock")
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True

    def device(self, name):
        """The guest's name of a disk, such as vdb."""
        slot = FIRST_SLOT + next(p for p, owner in self._ports.items() if owner == name)
        path = f"/sys/bus/pci/devices/0000:00:{slot:02x}.0/*/virtio*/block"
        return self.agent.sh(f"ls {path}").strip()

    def console(self):
        with open("console.log", errors="replace") as f:
            return f.read()

    def plug(self, name, **properties):
        """Plugs a disk in, with properties of QEMU's device; its guest device is there when this
        returns."""
        address = {"type": "unix", "data": {"path": self._backend.socket(name)}}
        self.qmp.execute("chardev-add", id=f"chr-{name}", backend={
            "type": "socket", "data": {"addr": address, "server": False, "reconnect": 1}})
        self.qmp.execute("device_add", driver="vhost-user-blk-pci", id=name, chardev=f"chr-{name}",
                         bus=f"rp{self._port_take(name)}", **{"num-queues": self._n_queues},
                         **properties)
        wait_until(lambda: self._has_device(name), f"the guest's device for {name}", 15, 0.2)

    def _has_device(self, name):
        try:
            return self.device(name)
        except Failure:
            return None

    def unplug(self, name):
        """Asks the guest to let go of a disk, waits for it and disconnects from the back end."""
        self.qmp.execute("device_del", id=name)
        self.qmp.wait_event("DEVICE_DELETED", name)
        self.qmp.execute("chardev-remove", id=f"chr-{name}")
        self._ports = {p: None if owner == name else owner for p, owner in self._ports.items()}

    def kill(self):
        """As if the host's power had failed."""
        self.agent.close()
        self.qmp.close()
        self.process.kill()
        for name in ("console", "agent", "qmp"):
            os.unlink(f"{name}.sock")
        os.rename("console.log", "console.log.old")

    def power_off(self, timeout=15):
        self.agent.run("sync", timeout)
        self.agent.start("poweroff -f")
        wait_until(lambda: not self.process.alive(), "power off", timeout)
