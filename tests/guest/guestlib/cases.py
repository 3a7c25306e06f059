# SPDX-License-Identifier: BSD-3-Clause
"""The tests. They run in this order, on one guest and then on a second one, and each leaves the
guest in a state in which the next can run even if it failed itself.

@case(name, only) registers a test; `only` names the back end that can do it.
"""

import hashlib
import os
import random
import re
import shutil
import time

from .backend import EXIT_OK, EXIT_REFUSED
from .machine import Machine
from .sandbox import Failure, wait_until

MIB = 1 << 20
DISKS = ("boot", "data", "readonly", "victim")
DATA_BYTES = 256 * MIB
DATA_BYTES_GROWN = 320 * MIB
SERIAL = "guest-data-0001"
N_QUEUES = 4
BOOT_TIMEOUT_S = 90
N_MARKERS = 12
N_RESTARTS = 3

CASES = []


def case(name, only=None):
    def register(function):
        CASES.append((name, only, function))
        return function
    return register


def check(condition, why):
    if not condition:
        raise Failure(why)


def equal(actual, expected, what):
    check(actual == expected, f"{what} is {actual!r}, not {expected!r}")


class World:
    """What the tests share: the daemon, its disks and the guest."""

    def __init__(self, box, images, backend):
        self.box, self.images, self.backend = box, images, backend
        self.paths = {"data": box.file("data.img", DATA_BYTES),
                      "victim": box.file("victim.img", 64 * MIB),
                      "spare": box.file("spare.img", 64 * MIB),
                      "boot": os.path.abspath("boot.img"),
                      "readonly": os.path.abspath("readonly.img")}
        shutil.copyfile(images.boot_disk, self.paths["boot"])
        with open(self.paths["readonly"], "wb") as f:
            f.write(random.Random(1).randbytes(8 * MIB))
        self.machine = None
        self.jobs = {}
        self.add_disks(DISKS)

    def add_disks(self, names):
        for name in names:
            self.backend.add(name, self.paths[name], N_QUEUES, readonly=name == "readonly",
                             serial=SERIAL if name == "data" else None)

    def boot(self):
        self.machine = Machine(self.box, self.images, self.backend, DISKS, "boot", N_QUEUES)
        self.machine.agent.wait_ready(BOOT_TIMEOUT_S)

    def sh(self, command, timeout=30):
        return self.machine.agent.sh(command, timeout)

    def run(self, command, timeout=30):
        return self.machine.agent.run(command, timeout)

    def queue_file(self, disk, name):
        return self.sh(f"cat /sys/block/{self.machine.device(disk)}/queue/{name}")

    def mount_data(self):
        """Mounts the disk `data` at /mnt unless it is."""
        device = self.machine.device("data")
        self.sh(f"grep -q ' /mnt ' /proc/mounts || mount /dev/{device} /mnt")

    def umount_data(self):
        self.sh("! grep -q ' /mnt ' /proc/mounts || umount /mnt")


def fio(target, size, rw="randwrite", extra=""):
    """Four jobs, each on a CPU and so on a queue of its own, that verify what they wrote."""
    return (f"cd /tmp && fio --name=verify {target} --rw={rw} --size={size} --bsrange=4k-64k "
            f"--ioengine=libaio --iodepth=16 --direct=1 --numjobs={N_QUEUES} --cpus_allowed=0-3 "
            f"--cpus_allowed_policy=split --verify=crc32c --verify_fatal=1 --do_verify=1 "
            f"--group_reporting {extra}")


def fio_device(device, size="4M", extra=""):
    return fio(f"--filename=/dev/{device} --offset_increment={size}", size, extra=extra)


def sha256(path, n_bytes=-1):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read(n_bytes)).hexdigest()


def queue_interrupts(world, disk):
    """How many interrupts each queue of a disk has had."""
    device = world.machine.device(disk)
    virtio = world.sh(f"basename $(readlink -f /sys/block/{device}/device)")
    lines = world.sh(f"grep {virtio}-req /proc/interrupts").splitlines()
    return [sum(int(word) for word in line.split()[1:1 + N_QUEUES]) for line in lines]


# ---- the first guest ----

@case("boots through the BIOS from a disk with 4 queues")
def boot(world):
    world.boot()
    console = world.machine.console()
    check("SYSLINUX" in console, "the boot loader wasn't seen on the console")
    device = world.machine.device("boot")
    equal(world.sh(f"dd if=/dev/{device} bs=1M count=16 2>/dev/null | sha256sum")[:64],
          sha256(world.paths["boot"], 16 * MIB), "the sha256 of the boot disk in the guest")
    check("fio-" in world.sh("fio --version"), "no fio from the boot disk")


@case("shows the guest its capacity, queues, discard and write zeroes")
def attributes(world):
    device = world.machine.device("data")
    equal(int(world.sh(f"cat /sys/block/{device}/size")), DATA_BYTES // 512, "size in sectors")
    equal(len(world.sh(f"ls /sys/block/{device}/mq").split()), N_QUEUES, "number of queues")
    equal(world.queue_file("data", "logical_block_size"), "512", "logical_block_size")
    for name in ("discard_max_bytes", "write_zeroes_max_bytes"):
        check(int(world.queue_file("data", name)) > 0, f"{name} is 0")


@case("shows the guest a write-back cache and the serial", only="vhostd")
def cache_and_serial(world):
    device = world.machine.device("data")
    equal(world.queue_file("data", "write_cache"), "write back", "write_cache")
    equal(world.sh(f"cat /sys/block/{device}/serial"), SERIAL, "serial")


@case("keeps a file system's files over umount, mount and dropped caches")
def file_system(world):
    device = world.machine.device("data")
    world.sh(f"mkfs.ext4 -q -E nodiscard /dev/{device}")
    world.mount_data()
    world.sh("cp -r /tools/sbin /tools/lib/x86_64-linux-gnu /modules /mnt/ && cd /mnt && "
             "find . -type f ! -name SUMS | xargs sha256sum > SUMS", 60)
    world.umount_data()
    world.sh("echo 3 > /proc/sys/vm/drop_caches")
    world.mount_data()
    world.sh("cd /mnt && sha256sum -c SUMS", 60)
    world.umount_data()
    world.sh(f"e2fsck -fn /dev/{device}", 60)


@case("verifies what 4 jobs wrote through 4 queues")
def verify(world):
    before = queue_interrupts(world, "data")
    world.mount_data()
    world.sh(fio("--directory=/mnt", "8M"), 90)
    world.sh("rm /mnt/verify.*")
    world.umount_data()
    after = queue_interrupts(world, "data")
    equal(len(after), N_QUEUES, "number of queue interrupts")
    check(all(b > a for a, b in zip(before, after)), f"a queue was idle: {before} -> {after}")


@case("discards, and writes zeroes")
def discard(world):
    device, path = world.machine.device("victim"), world.paths["victim"]
    world.sh(f"dd if=/dev/urandom of=/dev/{device} bs=1M count=16 oflag=direct 2>/dev/null", 60)
    used = os.stat(path).st_blocks * 512
    world.sh(f"/sbin/blkdiscard -o {8 * MIB} -l {8 * MIB} /dev/{device}")
    wait_until(lambda: os.stat(path).st_blocks * 512 <= used - 7 * MIB, "space freed by a discard")
    world.sh(f"/sbin/blkdiscard -z -o {MIB} -l {2 * MIB} /dev/{device}")
    equal(world.sh(f"dd if=/dev/{device} bs=1M skip=1 count=2 iflag=direct 2>/dev/null | "
                   "tr -d '\\000' | wc -c"), "0", "number of bytes that aren't zero")
    check(int(world.sh(f"dd if=/dev/{device} bs=1M skip=3 count=1 iflag=direct 2>/dev/null | "
                       "tr -d '\\000' | wc -c")) > MIB // 2, "zeroes were written too far")
    with open(path, "rb") as f:
        f.seek(MIB)
        check(not any(f.read(2 * MIB)), "the file doesn't hold the zeroes")


@case("refuses writes on a read-only disk")
def read_only(world):
    device, path = world.machine.device("readonly"), world.paths["readonly"]
    digest = sha256(path)
    equal(world.sh(f"blockdev --getro /dev/{device}"), "1", "blockdev --getro")
    equal(world.sh(f"sha256sum /dev/{device}")[:64], digest, "the sha256 in the guest")
    world.run(f"blockdev --setrw /dev/{device}")
    status, _ = world.run(f"dd if=/dev/zero of=/dev/{device} bs=4k count=1 conv=fsync 2>&1")
    check(status != 0, "a write succeeded")
    equal(sha256(path), digest, "the sha256 of the file")


@case("shows the guest a new capacity", only="vhostd")
def resize(world):
    device = world.machine.device("data")
    world.backend.resize("data", world.paths["data"], DATA_BYTES_GROWN)
    sectors = str(DATA_BYTES_GROWN // 512)
    wait_until(lambda: world.sh(f"cat /sys/block/{device}/size") == sectors,
               "the new capacity in the guest", 10, 0.2)
    last = DATA_BYTES_GROWN // MIB - 1
    world.sh(f"dd if=/dev/zero of=/dev/{device} bs=1M seek={last} count=1 oflag=direct 2>&1")


@case("refuses to delete a connected disk, and names the front end", only="vhostd")
def delete_busy(world):
    status, error = world.backend.delete("victim")
    equal(status, EXIT_REFUSED, "the exit status of vhostctl del")
    check("busy" in error.lower(), f"not called busy: {error}")
    check(re.search(rf"\b{world.machine.process.pid}\b", error),
          f"QEMU's pid {world.machine.process.pid} isn't named: {error}")
    world.sh(f"dd if=/dev/{world.machine.device('victim')} of=/dev/null bs=1M count=1 iflag=direct 2>&1")


@case("lets a disk be plugged in, unplugged and deleted")
def hot_plug(world):
    for _ in range(2):
        world.backend.add_memory("memory", 32 * MIB, N_QUEUES)
        world.machine.plug("memory")
        world.sh(fio_device(world.machine.device("memory"), "1M"), 60)
        world.machine.unplug("memory")
        wait_until(lambda: world.backend.delete("memory")[0] == EXIT_OK, "deletion", 5, 0.2)


@case("verifies what was written through packed virtqueues", only="vhostd")
def packed_virtqueues(world):
    world.backend.add_memory("packed", 32 * MIB, N_QUEUES)
    world.machine.plug("packed", packed=True)
    check("RING_PACKED" in world.backend.show("packed")["virtio_feature_names"], "not negotiated")
    before = queue_interrupts(world, "packed")
    world.sh(fio_device(world.machine.device("packed"), "2M"), 60)
    after = queue_interrupts(world, "packed")
    check(all(b > a for a, b in zip(before, after)), f"a queue was idle: {before} -> {after}")
    equal(world.backend.troubles("packed"), {}, "what vhostd counted")
    world.machine.unplug("packed")
    wait_until(lambda: world.backend.delete("packed")[0] == EXIT_OK, "deletion", 5, 0.2)


def requests_done(world, disk):
    """Number of the guest's writes to a disk that have ended."""
    return int(world.sh(f"cat /sys/block/{world.machine.device(disk)}/stat").split()[4])


def wait_for_writes(world, disk, n=64):
    target = requests_done(world, disk) + n
    wait_until(lambda: requests_done(world, disk) >= target, f"writes on {disk}", 30)


@case("deletes a disk by force while another's verified I/O goes on")
def delete_force(world):
    world.mount_data()
    world.jobs["victim"] = world.machine.agent.start(
        fio_device(world.machine.device("victim"), extra="--loops=6"))
    other = world.machine.agent.start(fio("--directory=/mnt", "4M", extra="--loops=2"))
    wait_for_writes(world, "data")
    wait_for_writes(world, "victim")
    started = time.monotonic()
    status, error = world.backend.delete("victim", force=True)
    took = time.monotonic() - started
    equal(status, EXIT_OK, f"the exit status of vhostctl del --force ({error})")
    check(took < 5, f"it took {took:.1f} s")
    other.wait(90)
    world.sh("rm /mnt/verify.*")
    check(world.jobs["victim"].status() is None, "the victim's I/O went on without a disk")


@case("resumes stalled I/O when the disk is added again", only="vhostd")
def add_again(world):
    check("victim" in world.jobs, "there is no stalled I/O")
    for _ in range(2):
        world.add_disks(["victim"])
        wait_for_writes(world, "victim")
        equal(world.backend.delete("victim", force=True), (EXIT_OK, ""), "vhostctl del --force")
    world.add_disks(["victim"])
    world.jobs["victim"].wait(60)


@case("resumes I/O after the daemon was restarted under it", only="vhostd")
def daemon_restart(world):
    world.add_disks(["spare"])
    world.machine.plug("spare")
    job = world.machine.agent.start(fio_device(world.machine.device("spare"), extra="--loops=6"))
    for _ in range(N_RESTARTS):
        wait_for_writes(world, "spare")
        world.backend.shut_down()
        world.backend.start()
        world.add_disks((*DISKS, "spare"))
    wait_for_writes(world, "spare")
    job.wait(60)
    world.machine.unplug("spare")


# ---- power failure ----

def write_markers(world):
    """Files that are on the disk before they are announced: {name: sha256}, from the guest."""
    script = ("i=0; while i=$((i+1)); do dd if=/dev/urandom of=/tmp/m bs=16k count=8; "
              "dd if=/tmp/m of=/mnt/marker.$i bs=128k conv=fsync && "
              "echo marker.$i $(sha256sum < /tmp/m); done 2>/dev/null")
    markers = {}
    for line in world.machine.agent.lines(script, 60):
        name, digest, *_ = line.split()
        markers[name] = digest
        if len(markers) == N_MARKERS:
            return markers


@case("keeps fsync'd files when the guest is killed in the middle of writes")
def power_failure(world):
    world.mount_data()
    world.machine.agent.start(fio("--directory=/mnt", "16M", extra="--time_based --runtime=60"))
    wait_for_writes(world, "data")
    markers = write_markers(world)
    world.machine.kill()
    wait_until(lambda: world.backend.is_free("data"), "the disk free again after its guest's death")
    world.add_disks(set(DISKS) - world.backend.names())
    world.boot()
    device = world.machine.device("data")
    world.mount_data()
    check("recovery complete" in world.sh("dmesg | grep EXT4-fs"), "no journal was replayed")
    for name, digest in markers.items():
        equal(world.sh(f"sha256sum < /mnt/{name}")[:64], digest, f"the sha256 of {name}")
    world.umount_data()
    world.sh(f"e2fsck -fn /dev/{device}", 60)


@case("serves the next guest as the first")
def second_guest(world):
    world.mount_data()
    world.sh(fio("--directory=/mnt", "2M"), 60)
    world.umount_data()
    for disk in ("boot", "data", "readonly"):
        equal(world.backend.troubles(disk), {}, f"what vhostd counted on {disk}")
    world.machine.power_off()
