# SPDX-License-Identifier: BSD-3-Clause
"""A thousand disks and some more, each with a front end. One process holds most of them (bench-crowd); those
beside it are read and written with verified data. Then one more is refused, one is replaced, and the
daemon ends in order."""

import os
import subprocess
import sys
import time

from vhostd_rpc import Daemon, Talker, expect, run_tests

DISKS = 1016  # a thousand, and what else there may be
BUSY = ("first", "last")  # the ends of librte_vhost's list
STOP_BOUND_S = 20.0


def config():
    """The busy disks have data, the others none."""
    names = [BUSY[0], *(f"idle{i}" for i in range(DISKS - len(BUSY))), BUSY[1]]
    devices = [{"name": name, "backend": "malloc", "size": "16M"} if name in BUSY else
               {"name": name, "backend": "null", "size": "1G"} for name in names]
    return {"devices": devices}, [name for name in names if name not in BUSY]


def verify(daemon, names):
    """Verified reads and writes on these disks, at the same time."""
    loads = [subprocess.Popen(  # pylint: disable=consider-using-with
        [os.environ["VHOSTPERF"], daemon.path(name + ".sock"), "--rw", "mixed", "--bs", "4k",
         "--depth", "8", "--time", "0.3", "--wait", "block", "--verify", "--overwrite"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name in names]
    for load in loads:
        output, _ = load.communicate(timeout=60)
        expect(load.returncode, 0, output)


def test_a_thousand_attached_disks():
    settings, idle = config()
    with Daemon(config=settings) as daemon, daemon.client() as client, \
            Talker(os.environ["BENCH_CROWD"]) as crowd:
        daemon.wait_log("vhostd: ready after")
        for name in idle:
            crowd.tell(f"join {daemon.path(name)}.sock", "ready")
        verify(daemon, BUSY)
        crowd.tell("first 1 0", "first")
        with Talker(os.environ["BENCH_CROWD"]) as others:
            for name in BUSY:
                others.tell(f"join {daemon.path(name)}.sock", "ready")
            others.tell("first 1 0", "first")
            states = [disk["state"] for disk in client.ok("device.list")["devices"]]
            expect(len(states), DISKS)
            expect([state for state in states if state != "running"], [])
            name, text = client.error("device.add", name="more", backend="null", size="1G")
            expect(name, "LIMIT")
            assert f"there are {DISKS} disks, the most there may be: librte_vhost" in text, text
            client.ok("device.del", name=idle[0], force=True)
            client.ok("device.add", name="more", backend="null", size="1G")
            others.tell(f"join {daemon.path('more')}.sock", "ready")
            others.tell("first 1 0", "first")
            began = time.monotonic()
            expect(daemon.stop(), 0)
            assert time.monotonic() - began < STOP_BOUND_S
        expect([name for name in os.listdir(daemon.dir) if name.endswith("sock")], [])


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
