#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory that is pinned for io_uring: when it is and when it isn't, what `show` says about it,
and that nothing of it is left. vhostperf checks the data."""

import os
import sys
import tempfile
import time

import perf_run
from vhostd_rpc import Daemon, expect, run_tests

LOAD = ["--rw", "mixed", "--overwrite", "--verify", "--phases", "--json"]
LIMIT_BYTES = 65536


def add(client, folder=".", **keys):
    """A disk d0 on a file; not on a tmpfs unless that is asked for."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(bytes(4 << 20))  # not sparse: nothing is to be allocated
        file.flush()
        os.fsync(file.fileno())
    path = os.path.abspath(file.name)
    try:
        keys = {"name": "d0", "backend": "uring", "path": path, "pin_memory": True, **keys}
        return client.ok("device.add", **keys)["socket"]
    finally:
        os.unlink(path)  # the daemon has it


def pinned(client):
    return client.ok("device.show", name="d0")["pinned"]


def wait_for(client, state, requests=0):
    """Until memory is in that state, and so many requests more were done on it."""
    deadline = time.monotonic() + perf_run.PATIENCE_S
    goal = pinned(client)["requests"] + requests
    while pinned(client)["state"] != state or pinned(client)["requests"] < goal:
        assert time.monotonic() < deadline, f"{pinned(client)} instead of {state}, {goal}"
        time.sleep(0.01)
    return pinned(client)


def wait_unpinned(daemon):
    """Until the kernel counts no pinned page of the daemon."""
    deadline = time.monotonic() + perf_run.PATIENCE_S
    while n_pinned_kb(daemon):
        assert time.monotonic() < deadline, f"{n_pinned_kb(daemon)} kB are left"
        time.sleep(0.01)


def n_pinned_kb(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmPin:"))


def finish(process):
    result, status, err = perf_run.Phases(process).finish()
    expect((status, err), (0, ""))
    return result


def move_under_load(client, daemon):
    path = add(client, queues=2)
    expect(pinned(client), {"state": "waiting", "bytes": 0, "requests": 0})
    with perf_run.running(path, "--queues", 2, "--depth", 8, *LOAD) as process:
        shown = wait_for(client, "on", 200)
        assert shown["bytes"] > 0, shown
        assert n_pinned_kb(daemon) * 1024 >= shown["bytes"], n_pinned_kb(daemon)
        for lcore in 0, 1, 0, 1:
            client.ok("device.move", name="d0", lcore=lcore)
            expect(wait_for(client, "on", 50)["bytes"], shown["bytes"])
        finish(process)
    shown = wait_for(client, "waiting")
    expect((shown["bytes"], "why" in shown), (0, False))
    wait_unpinned(daemon)
    client.ok("device.del", name="d0")


def delete_under_load(client, daemon):
    path = add(client)
    with perf_run.running(path, "--depth", 64, *LOAD) as process:
        wait_for(client, "on", 100)
        client.ok("device.del", name="d0", force=True)
        process.stdin.close()
        process.wait(perf_run.PATIENCE_S)
        expect(process.returncode, 1)
    wait_unpinned(daemon)


def test_data_moves_and_deletion():
    with Daemon("--lcores", "0,1") as daemon, daemon.client() as client:
        move_under_load(client, daemon)
        delete_under_load(client, daemon)


def limited(folder):
    """A program that is vhostd with a limit of locked memory that holds for it."""
    path = os.path.join(folder, "limited-vhostd")
    drop = "setpriv --bounding-set -ipc_lock " if os.geteuid() == 0 else ""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec prlimit --memlock={LIMIT_BYTES}:{LIMIT_BYTES} "
                   f"{drop}\"$VHOSTD\" \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def test_limit():
    with tempfile.TemporaryDirectory() as folder, \
            Daemon(program=limited(folder)) as daemon, daemon.client() as client:
        path = add(client)
        with perf_run.running(path, "--depth", 8, *LOAD) as process:
            why = wait_for(client, "refused")["why"]
            assert f"the limit of locked memory, for all disks, is {LIMIT_BYTES} " in why, why
            phases = perf_run.Phases(process)
            done = [phases.end("first")]
            while done[-1]["requests"] == 0 and len(done) < 100:
                time.sleep(0.1)
                done.append(phases.end(f"phase {len(done)}"))
            assert done[-1]["requests"] > 0 and done[-1]["errors"] == 0, done
            finish(process)
        expect((pinned(client)["requests"], n_pinned_kb(daemon)), (0, 0))
        assert "the guest's memory is not pinned: the guest has" in daemon.log(), daemon.log()


def refusals(client, file):
    for keys, text in [
            ({"backend": "aio"}, "pin_memory: of no use to the aio backend"),
            ({"backend": "aio", "pin_memory": False, "iopoll": True},
             "iopoll: of no use to the aio backend"),
            ({"backend": "malloc", "pin_memory": False, "sqpoll_cpu": 0, "size": 4096},
             "sqpoll_cpu: of no use to the malloc backend"),
            ({"sqpoll_cpu": 0}, "pin_memory: can't be together with sqpoll_cpu"),
            ({"sqpoll_cpu": 1, "pin_memory": False},
             "sqpoll_cpu: 1 is one of the daemon's lcores, 1; take a CPU that no lcore"),
            ({"iopoll": True}, "iopoll: only a block device can be polled")]:
        keys = {"name": "d0", "backend": "uring", "pin_memory": True, **keys}
        if keys["backend"] != "malloc":
            keys["path"] = file
        _, message = client.error("device.add", **keys)
        assert message.startswith(text), f"{message!r}, not {text!r}"


def test_settings():
    with Daemon("--lcores", "1") as daemon, daemon.client() as client:
        refusals(client, os.path.abspath(daemon.write("file", "x" * 4096)))
        path = add(client, folder="/dev/shm", backend="auto")
        with perf_run.running(path, *LOAD) as process:
            expect(pinned(client), {"state": "refused", "bytes": 0, "requests": 0,
                                    "why": "only the uring store has a use for it"})
            finish(process)
        client.ok("device.del", name="d0")
        path = add(client, pin_memory=False, sqpoll_cpu=0)
        with perf_run.running(path, "--depth", 4, *LOAD) as process:
            shown = client.ok("device.show", name="d0")
            expect((shown["sqpoll_cpu"], shown["pinned"]["state"]), (0, "off"))
            perf_run.Phases(process).wait_load()
            finish(process)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
