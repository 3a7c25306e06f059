# SPDX-License-Identifier: BSD-3-Clause
"""What guests boot from, and whether KVM can run them."""

import os
import subprocess

MKIMAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "mkimage")
QEMU = "qemu-system-x86_64"
KVM_PROBE_S = 5


class Images:
    """Kernel, initramfs and, if asked for, the boot disk; made by mkimage and kept in `folder`."""

    def __init__(self, folder, boot_disk=False):
        self._folder = os.path.abspath(folder)
        subprocess.run([MKIMAGE] + ["--boot-disk"] * boot_disk + [self._folder], check=True)
        self.kernel = self._file("vmlinuz")
        self.initramfs = self._file("initramfs")
        self.boot_disk = self._file("boot.img")
        self.accel = self._accel()

    def _file(self, name):
        return os.path.join(self._folder, name)

    def _accel(self):
        """kvm or tcg; asked of a probe once for each boot of this machine."""
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot_id = f.read().strip()
        try:
            with open(self._file("accel")) as f:
                known_boot_id, accel = f.read().split()
        except (OSError, ValueError):
            known_boot_id = accel = None
        if known_boot_id != boot_id:
            accel = "kvm" if self._kvm_works() else "tcg"
            with open(self._file("accel"), "w") as f:
                f.write(f"{boot_id} {accel}\n")
        return accel

    def _kvm_works(self):
        """Boots the guest's kernel as far as our init. That /dev/kvm is there says little: nested
        virtualization may lack, or be so slow that a kernel doesn't come up."""
        argv = [QEMU, "-accel", "kvm", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none",
                "-no-reboot", "-kernel", self.kernel, "-initrd", self.initramfs,
                "-append", "panic=-1 probe"]
        try:
            return os.access("/dev/kvm", os.R_OK | os.W_OK) and subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, timeout=KVM_PROBE_S).returncode == 0
        except subprocess.TimeoutExpired:
            return False
