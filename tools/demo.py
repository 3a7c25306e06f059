# SPDX-License-Identifier: BSD-3-Clause
"""What tools/demo.sh shows: a guest, two disks, and one of them deleted under it.

usage: demo.py BUILD [--keep]
"""

import os
import shlex
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "guest"))

from guestlib.backend import EXIT_OK, EXIT_REFUSED, Vhostd  # noqa: E402
from guestlib.images import Images  # noqa: E402
from guestlib.machine import Machine  # noqa: E402
from guestlib.sandbox import Failure, Sandbox, wait_until  # noqa: E402

LIMIT_S = 170
SIZE_MIB = 64
FILES_MIB = 24
DISKS = ("memory", "file")

# One round: writes past the page cache, drops what is cached, reads back and compares.
ROUNDS = """i=0; while [ ! -e /tmp/stop ]; do dd if=/dev/urandom of=/tmp/{0} bs=256k count=4;
dd if=/tmp/{0} of=/mnt/{0}/round bs=256k oflag=direct conv=fsync || exit 1;
dd if=/mnt/{0}/round bs=256k iflag=direct | cmp - /tmp/{0} || exit 1;
i=$((i+1)); echo $i > /tmp/{0}.rounds; done 2>/dev/null"""


class Story:
    """Prints what happens and when, and remembers what was verified."""

    def __init__(self):
        self._start = float(os.environ.get("DEMO_START", time.time()))
        self.verified = []

    def step(self, text):
        print(f"[{time.time() - self._start:5.1f} s] {text}", flush=True)

    def shown(self, text):
        for line in text.splitlines():
            print(f"          {line}", flush=True)

    def verify(self, fact, condition=True):
        if not condition:
            raise Failure(f"it is not so that {fact}")
        self.verified.append(fact)

    def print_verified(self):
        self.step("the guest verified:")
        self.shown("\n".join(f"ok  {fact}" for fact in self.verified) or "nothing")

    def print_logs(self):
        for log in filter(os.path.exists, ("vhostd.log", "qemu.log")):
            with open(log, errors="replace") as f:
                self.shown("".join(f"{log}: {line}" for line in f.readlines()[-20:]))


class Demo:
    def __init__(self, story, box, build, keep):
        self.story, self.box, self.build, self.keep = story, box, build, keep

    def ctl(self, *args, expected=EXIT_OK):
        """Runs vhostctl and shows it as a person would see it."""
        self.story.shown(f"$ vhostctl {shlex.join(args)}")
        status, output, errors = self.vhostd.ctl(*args)
        self.story.shown("\n".join(filter(None, (output, errors))))
        if status != expected:
            raise Failure(f"vhostctl {args[0]} ended with exit status {status}, not {expected}")
        return output + errors

    def start(self):
        self.story.step("starting vhostd: no hugepages, nothing outside the build folder")
        self.vhostd = Vhostd(self.box, self.build, self.keep)
        self.ctl("add", "memory", "--backend", "malloc", "--size", f"{SIZE_MIB}M", "--queues", "4")
        path = self.box.file("disk.img", SIZE_MIB << 20)
        self.ctl("add", "file", "--backend", "aio", "--path", path, "--queues", "4")

    def boot(self):
        images = Images(os.path.join(self.build, "guest", "images"))
        self.story.step(f"booting a Linux guest (QEMU, {images.accel.upper()}) with both disks")
        self.machine = Machine(self.box, images, self.vhostd, DISKS, keep=self.keep)
        self.agent = self.machine.agent
        self.agent.wait_ready(60)
        self.story.step(f"the guest runs Linux {self.agent.sh('uname -r')}")
        self.ctl("list")

    def check_files(self, name):
        """Files that are still the same after umount, dropped caches and mount."""
        device, sh = self.machine.device(name), self.agent.sh
        self.story.step(f"disk {name} (guest: {device}): mkfs, write, drop caches, verify, discard")
        sectors = int(sh(f"cat /sys/block/{device}/size"))
        self.story.verify(f"{name}: the guest sees {SIZE_MIB} MiB", sectors == SIZE_MIB << 11)
        sh(f"mkfs.ext4 -q /dev/{device} && mkdir -p /mnt/{name} && mount /dev/{device} /mnt/{name}")
        sh(f"cd /mnt/{name} && for i in 1 2 3; do dd if=/dev/urandom of=file.$i bs=1M "
           f"count={FILES_MIB // 3}; done 2>&1 && sha256sum file.* > SUMS", 60)
        sh(f"umount /mnt/{name} && echo 3 > /proc/sys/vm/drop_caches && "
           f"mount /dev/{device} /mnt/{name} && cd /mnt/{name} && sha256sum -c SUMS", 60)
        self.story.verify(f"{name}: {FILES_MIB} MiB of files have their sha256 after remount")
        sh(f"rm /mnt/{name}/file.* && fstrim /mnt/{name} && umount /mnt/{name} && "
           f"e2fsck -fn /dev/{device}", 60)
        self.story.verify(f"{name}: discard of the freed space, then a clean e2fsck")

    def rounds(self, name):
        text = self.agent.run(f"cat /tmp/{name}.rounds")[1]
        return int(text) if text.isdigit() else 0

    def start_rounds(self):
        self.story.step("verified I/O on both disks, without end")
        self.jobs = {}
        for name in DISKS:
            self.agent.sh(f"mount /dev/{self.machine.device(name)} /mnt/{name}")
            self.jobs[name] = self.agent.start(ROUNDS.format(name).replace("\n", " "))
            wait_until(lambda: self.rounds(name) >= 3, f"I/O on {name}", 20, 0.2)

    def delete(self):
        self.story.step("deleting the disk 'memory' is refused, because the guest uses it")
        refusal = self.ctl("del", "memory", expected=EXIT_REFUSED)
        self.story.verify("del of a disk in use is refused as busy, and QEMU's pid is named",
                          "busy" in refusal.lower() and str(self.machine.process.pid) in refusal)
        before = self.rounds("file")
        self.story.step(f"deleting it by force; 'file' has had {before} verified rounds of 1 MiB")
        started = time.monotonic()
        self.ctl("del", "memory", "--force")
        self.story.verify(f"del --force ended in {time.monotonic() - started:.2f} s")
        after = wait_until(lambda: self.rounds("file") >= before + 3 and self.rounds("file"),
                           "more I/O on file", 20, 0.2)
        self.story.step(f"'file' has had {after} verified rounds, and goes on")
        self.ctl("list")

    def finish(self):
        self.agent.sh("touch /tmp/stop")
        self.jobs["file"].wait(20)
        self.story.verify(f"file: {self.rounds('file')} rounds of 1 MiB, written, read back and "
                          "compared, before, during and after the deletion")
        device = self.machine.device("file")
        self.agent.sh(f"umount /mnt/file && e2fsck -fn /dev/{device}", 60)
        self.story.verify("file: a clean e2fsck at the end")

    def run(self):
        self.start()
        self.boot()
        for name in DISKS:
            self.check_files(name)
        self.start_rounds()
        self.delete()
        self.finish()

    def print_how_to_attach(self):
        print(f"""
Left running: vhostd (pid {self.vhostd.process.pid}) and the guest (pid {self.machine.process.pid}).
  cd {self.box.path}
  {shlex.join(self.vhostd.command("list"))}
  socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:console.sock    # the guest's console; leave: Ctrl-]
To stop them and clean up:
  kill {self.machine.process.pid} {self.vhostd.process.pid}; rm -r {self.box.path}""")


def on_signal(number, _frame):
    raise Failure("the time limit was reached" if number == signal.SIGALRM
                  else signal.Signals(number).name)


def play(story, build, keep):
    """The exit status."""
    with Sandbox(os.path.join(build, "demo")) as box:
        demo = Demo(story, box, build, keep)
        try:
            demo.run()
        except (Failure, KeyboardInterrupt) as why:
            story.step(f"FAILED: {str(why) or 'interrupted'}")
            story.print_logs()
            story.print_verified()
            return 1
        story.print_verified()
        box.keep = keep
        if keep:
            demo.print_how_to_attach()
    return 0


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, on_signal)
    signal.alarm(LIMIT_S)
    return play(Story(), build=sys.argv[1], keep="--keep" in sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
