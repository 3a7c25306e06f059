# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux guests on vhost-user-blk disks: what tests/guest/run and tools/demo.sh are made of.

sandbox   the folder and the processes of one run, and their end
images    kernel, initramfs and boot disk (made by ../mkimage); KVM or not
backend   who serves the disks: vhostd, or qemu-storage-daemon for comparison
machine   one QEMU: command line, QMP
agent     commands inside the guest
"""
