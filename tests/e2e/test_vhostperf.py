#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhostperf against vhostd: every load, verification, phases, errors. $VHOSTPERF is its binary,
$VHOSTPERF_SOURCE the folder of its sources."""

import itertools
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import perf_run
from vhostd_rpc import Daemon, expect, run_tests

KINDS = ("randread", "randwrite", "read", "write", "mixed")
WRITING = ("randwrite", "write", "mixed")
RINGS = ("split", "packed")
SECTOR = 512
BLOCK = 4096


def options_of(kind):
    return ["--rw", kind] + (["--overwrite"] if kind in WRITING else [])


class Disk:
    """A disk d0, of a vhostd of its own unless one is given."""

    def __init__(self, backend="malloc", size=16 << 20, daemon=None, **keys):
        self.own = Daemon() if daemon is None else None
        self.daemon = daemon or self.own
        if backend == "aio":
            keys["path"] = self.image = self.daemon.path("image")
            with open(self.image, "wb") as file:
                file.truncate(size)
        with self.daemon.client() as client:
            self.socket = client.ok("device.add", name="d0", backend=backend, size=size,
                                    **keys)["socket"]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.own:
            self.own.__exit__(*exc)
            return
        with self.daemon.client() as client:
            client.ok("device.del", name="d0", force=True)

    def counters(self):
        """The daemon's own counters of each virtqueue."""
        with self.daemon.client() as client:
            stats = client.ok("stats.get", name="d0")
        return [queue["counters"] for queue in stats["devices"][0]["queues"]]

    def wait_load(self, n_reads=200):
        """Until a front end has had so many requests done: more than are ever in flight here."""
        deadline = time.monotonic() + perf_run.PATIENCE_S
        while sum(counter["reads"] for counter in self.counters()) < n_reads:
            assert time.monotonic() < deadline, "no load"
            time.sleep(0.01)


# -- loads ------------------------------------------------------------------------------------


def test_every_kind():
    with Daemon() as daemon:
        for backend in "malloc", "null", "aio":
            with Disk(backend, daemon=daemon) as disk:
                for kind in KINDS:
                    before = disk.counters()[0]
                    result = perf_run.measure(disk.socket, *options_of(kind), "--time", 0.2,
                                              "--depth", 16)
                    after = disk.counters()[0]
                    assert result["requests"] > 0, result
                    assert (result["writes"] > 0) == (kind in WRITING), result
                    assert (result["reads"] > 0) == (kind in ("read", "randread", "mixed")), result
                    for ours, theirs in ("reads", "reads"), ("writes", "writes"):
                        late = after[theirs] - before[theirs] - result[ours]
                        assert 0 <= late <= 16, f"{backend} {kind}: {late} {ours} not counted"


def test_sizes_and_depths():
    with Disk() as disk:
        for args in (["--bs", "512", "--depth", 1], ["--bs", "1M", "--depth", 4],
                     ["--bs", "64k", "--depth", 128], ["--depth", 1024, "--indirect", "on"],
                     ["--depth", 341, "--indirect", "off"]):
            for ring, kind in itertools.product(RINGS, ("read", "mixed")):
                result = perf_run.measure_some(disk.socket, *options_of(kind), "--ring", ring,
                                               "--time", 0.2, *args)
                assert result["bytes_per_s"] > 0, result
                expect(result["settings"]["ring"], ring)


def test_only_the_first_bytes():
    with Disk("aio", size=1 << 20) as disk:
        perf_run.measure(disk.socket, "--rw", "write", "--overwrite", "--size", "64k",
                         "--depth", 2, "--time", 1)
        with open(disk.image, "rb") as file:
            data = file.read()
        assert all(any(data[at:at + BLOCK]) for at in range(0, 64 << 10, BLOCK))
        assert not any(data[64 << 10:])


def test_mixed_has_so_many_reads():
    with Disk() as disk:
        for percent in 0, 20, 100:
            result = perf_run.measure(disk.socket, *options_of("mixed"), "--read-percent", percent,
                                      "--time", 0.3)
            share = 100 * result["reads"] / result["requests"]
            assert abs(share - percent) < 5, result
            expect(result["settings"]["read_percent"], percent)


def test_queues():
    cpus = sorted(os.sched_getaffinity(0))
    with Disk(queues=4) as disk:
        result = perf_run.measure(disk.socket, "--queues", 3, "--time", 0.2)
        expect(result["settings"]["threads"], 1)
        expect([counter["reads"] > 0 for counter in disk.counters()], [True] * 3 + [False])
        some = ",".join(map(str, cpus[:2]))
        result = perf_run.measure(disk.socket, "--queues", 4, "--time", 0.3, "--cpu", some,
                                  *options_of("mixed"), "--verify")
        expect(result["settings"]["threads"], len(cpus[:2]))
        assert result["verified_blocks"] > 0, result
        assert all(counter["writes"] > 0 for counter in disk.counters()), disk.counters()


def test_poll_wants_no_interrupts():
    for ring, event_idx in itertools.product(RINGS, ("on", "off")):
        with Disk("null") as disk, perf_run.running(disk.socket, "--phases", "--json", "--ring",
                                                    ring, "--event-idx", event_idx) as process:
            disk.wait_load(150000)  # twice round the index space
            result, status, _ = perf_run.Phases(process).finish()
            expect((status, result["sleeps"], result["interrupts"]), (0, 0, 0))
            expect(result["settings"]["event_idx"], event_idx == "on")
            assert disk.counters()[0]["interrupts"] <= 1, disk.counters()  # at the start


def test_block_sleeps_and_is_woken():
    with Daemon() as daemon:
        for ring, event_idx in itertools.product(RINGS, ("on", "off")):
            for depth, queues, n_reads in (1, 1, 10000), (16, 2, 20000):
                args = ["--wait", "block", "--depth", depth, "--queues", queues, "--ring", ring,
                        "--event-idx", event_idx, "--phases", "--json"]
                with Disk("null", queues=2, daemon=daemon) as disk, \
                     perf_run.running(disk.socket, *args) as process:
                    disk.wait_load(n_reads)  # a lost wake-up would be the end
                    result, status, _ = perf_run.Phases(process).finish()
                    expect(status, 0)
                    assert result["sleeps"] > 0 and result["interrupts"] > 0, result


def test_packed_rings_go_round():
    """Chains of three in a ring of 128: some lie across its end."""
    with Disk(queues=2) as disk:
        before = sum(counter["reads"] for counter in disk.counters())
        result = perf_run.measure(disk.socket, "--ring", "packed", "--indirect", "off", "--depth",
                                  40, "--queues", 2, "--time", 1)
        late = sum(counter["reads"] for counter in disk.counters()) - before - result["requests"]
        assert result["requests"] > 1000 and 0 <= late <= 2 * 40, f"{late} {result}"
        expect(result["settings"]["indirect"], False)


def test_same_seed_same_data():
    images = []
    with Daemon() as daemon:
        for seed in 1, 1, 2:
            with Disk("aio", size=64 << 10, daemon=daemon) as disk:
                perf_run.measure(disk.socket, *options_of("write"), "--depth", 1, "--time", 0.5,
                                 "--seed", seed)
                with open(disk.image, "rb") as file:
                    images.append(file.read())
    assert images[0] == images[1] != images[2]


# -- verification -----------------------------------------------------------------------------


def test_verify_finds_nothing():
    with Daemon() as daemon:
        for backend, *args in (["malloc"], ["aio", "--wait", "block"], ["aio", "--bs", "16k"],
                               ["aio", "--ring", "packed"],
                               ["malloc", "--ring", "packed", "--indirect", "off"]):
            with Disk(backend, queues=2, daemon=daemon) as disk:
                for kind in "randwrite", "mixed", "write", "read":
                    result = perf_run.measure(disk.socket, *options_of(kind), "--verify",
                                              "--time", 0.2, "--depth", 8, "--queues", 2, *args)
                    assert result["verified_blocks"] > 0, f"{kind}: {result}"
                    expect(result["mismatches"], 0)


def test_verify_on_as_many_blocks_as_requests():
    with Disk(size=64 << 10) as disk:
        result = perf_run.measure(disk.socket, *options_of("mixed"), "--verify", "--depth", 16,
                                  "--time", 0.2)
        assert result["verified_blocks"] > 16, result


def test_verify_finds_lost_writes():
    with Disk("null") as disk:
        for kind in WRITING:
            result, err = perf_run.failing(disk.socket, *options_of(kind), "--verify", "--time",
                                           0.2)
            assert 0 < result["mismatches"] <= result["verified_blocks"], result
            assert re.search(r"vhostperf: wrong data in sector \d+: expected generation \d+, "
                             r"found .*\(torn or foreign\)", err), err
            expect(len(err.splitlines()), 2, err)


def corrupt(image, at, data):
    """Puts `data` into the image; what was there."""
    with open(image, "r+b") as file:
        file.seek(at)
        old = file.read(len(data))
        file.seek(at)
        file.write(data)
        os.fsync(file.fileno())
    return old


def test_verify_finds_corruption():
    read = ["--rw", "read", "--verify", "--depth", 4, "--time"]
    with Disk("aio", size=256 << 10) as disk:
        perf_run.measure(disk.socket, *options_of("write"), "--verify", "--time", 0.5)
        perf_run.measure(disk.socket, *read, 0.3)
        with open(disk.image, "rb") as file:
            file.seek(5 * BLOCK)
            block = file.read(BLOCK)
        for at, data, found in (
                (9 * BLOCK + SECTOR + 100, b"\0", "sector 73: .*torn or foreign"),  # one byte
                (20 * BLOCK, block, "sector 160: .* found sector 40 generation"),  # misplaced
                (7 * BLOCK + SECTOR, bytes(SECTOR), "sector 57: .* found sector 0")):  # torn
            old = corrupt(disk.image, at, data)
            result, err = perf_run.failing(disk.socket, *read, 1)
            assert result["mismatches"] > 0, result
            assert re.search(f"wrong data in {found}", err), err
            corrupt(disk.image, at, old)
        perf_run.measure(disk.socket, *read, 0.3)


# -- phases -----------------------------------------------------------------------------------


def test_phases():
    with Disk() as disk, perf_run.running(disk.socket, "--phases", "--json") as process:
        phases = perf_run.Phases(process)
        disk.wait_load()
        results = []
        for name in "before", "during the deletion of \"d1\"", "", "\u00fcber":
            time.sleep(0.2)
            results.append(phases.end(name))
            assert results[-1]["requests"] > 0, results[-1]
            assert 0.1 < results[-1]["seconds"] < 20, results[-1]
        last, status, err = phases.finish()
        expect((last["phase"], status, err), ("", 0, ""))
        reads = disk.counters()[0]["reads"]
        late = reads - sum(result["requests"] for result in results) - last["requests"]
        assert 0 <= late <= 32, f"{late} requests of {reads} are of no phase"


def test_phases_that_come_at_once():
    with Disk() as disk, perf_run.running(disk.socket, "--phases", "--json") as process:
        out, err = process.communicate("a\nb\n" + "x" * 10000 + "\nlast", perf_run.PATIENCE_S)
        expect((process.returncode, err), (0, ""))
        names = [json.loads(line)["phase"] for line in out.splitlines()]
        expect(names[:2] + names[3:], ["a", "b", "last"])
        assert set(names[2]) == {"x"}, names


def test_phases_for_people():
    with Disk() as disk, perf_run.running(disk.socket, "--phases") as process:
        out, err = process.communicate("one\n", perf_run.PATIENCE_S)
        expect((process.returncode, err), (0, ""))
        lines = [line for line in out.splitlines() if line[0] != " "]
        expect(len(lines), 2)
        assert lines[0].startswith("one: randread, ") and lines[1].startswith("randread, "), lines


def test_a_stall_is_of_its_phase():
    with Disk() as disk, perf_run.running(disk.socket, "--phases", "--json") as process:
        phases = perf_run.Phases(process)
        disk.wait_load()
        time.sleep(0.2)
        phases.end("before")
        disk.daemon.signal(signal.SIGSTOP)
        time.sleep(0.6)
        first = phases.end("still stalled")
        disk.daemon.signal(signal.SIGCONT)
        time.sleep(0.4)
        second = phases.end("stall ended")
        assert first["gap_max_us"] > 4e5, first
        assert second["gap_max_us"] > 4e5 and second["latency_us"]["max"] > 4e5, second
        assert second["gap_net_max_us"] > 1e5 and second["latency_net_us"]["max"] > 1e5, second
        third = phases.end("after")
        assert third["gap_max_us"] < second["gap_max_us"], third
        expect(phases.finish()[1], 0)


def test_own_absence_is_told_apart():
    with Disk() as disk, perf_run.running(disk.socket, "--phases", "--json") as process:
        phases = perf_run.Phases(process)
        disk.wait_load()
        time.sleep(0.2)
        phases.end("before")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.8)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        result = phases.end("away")
        assert result["away_count"] > 0 and result["away_us"] > 7e5, result
        assert result["away_max_us"] > 7e5 and result["gap_max_us"] > 7e5, result
        assert result["gap_max_us"] - result["gap_net_max_us"] > 4e5, result
        assert result["latency_us"]["max"] - result["latency_net_us"]["max"] > 4e5, result
        expect(phases.finish()[1], 0)


# -- what ends a run --------------------------------------------------------------------------


def test_signals_end_it():
    with Daemon() as daemon:
        for number in signal.SIGINT, signal.SIGTERM:
            for args in ["--time", 600], ["--phases"], ["--time", 600, "--wait", "block"]:
                with Disk(daemon=daemon) as disk, \
                     perf_run.running(disk.socket, "--json", *args) as process:
                    disk.wait_load()
                    process.send_signal(number)
                    result = json.loads(process.stdout.read())
                    expect((process.wait(perf_run.PATIENCE_S), process.stderr.read()), (0, ""))
                    assert result["requests"] > 0 and result["seconds"] < 60, result


def test_the_back_end_dies():
    for wait in "poll", "block":
        with Disk() as disk, perf_run.running(disk.socket, "--json", "--wait", wait) as process:
            disk.wait_load()
            disk.daemon.kill()
            result = json.loads(process.stdout.read())
            expect(process.wait(perf_run.PATIENCE_S), 1)
            err = process.stderr.read()
            told = re.fullmatch(r"vhostperf: the back end closed the connection after (\d+) "
                                r"requests\n", err)
            assert told and int(told.group(1)) >= result["requests"] > 0, f"{err} {result}"


def test_the_disk_is_deleted():
    with Disk() as disk, perf_run.running(disk.socket) as process:
        disk.wait_load()
        with disk.daemon.client() as client:
            client.ok("device.del", name="d0", force=True)
        expect(process.wait(perf_run.PATIENCE_S), 1)
        assert "closed the connection after" in process.stderr.read()


def test_the_disk_is_resized():
    with Disk() as disk, perf_run.running(disk.socket, "--time", 1) as process:
        disk.wait_load()
        with disk.daemon.client() as client:
            client.ok("device.resize", name="d0", size=32 << 20)
        expect((process.wait(perf_run.PATIENCE_S), process.stderr.read()), (0, ""))


def test_requests_that_are_never_answered():
    for wait in "poll", "block":
        with Disk() as disk, perf_run.running(disk.socket, "--wait", wait) as process:
            disk.wait_load()
            disk.daemon.signal(signal.SIGSTOP)
            time.sleep(0.5)  # all that was answered has been sent again
            process.send_signal(signal.SIGINT)
            if wait == "block":
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)  # doesn't want to wait
                expect(process.wait(5), 1)
                assert re.search(r"ended with \d+ requests in flight", process.stderr.read())
            else:
                expect(process.wait(perf_run.PATIENCE_S), 1)
                assert "were not answered within 10 s" in process.stderr.read()
            disk.daemon.signal(signal.SIGCONT)


def test_io_errors():
    with Disk("aio", size=1 << 20) as disk:
        os.truncate(disk.image, 512 << 10)
        result, err = perf_run.failing(disk.socket, "--time", 0.3, "--depth", 4)
        assert 0 < result["errors"] < result["requests"], result
        lines = err.splitlines()
        expect(len(lines), 2, err)
        told = re.fullmatch(r"vhostperf: read of 8 sectors at sector (\d+): I/O error \(status 1\)",
                            lines[0])
        assert told and int(told.group(1)) >= 1024, err
        assert re.fullmatch(r"vhostperf: \d+ requests failed", lines[1]), err


def test_the_output_is_lost():
    with Disk() as disk, open("/dev/full", "w", encoding="utf-8") as full:
        done = perf_run.run(disk.socket, "--time", 0.1, stdout=full)
        expect(done.status, 1)
        assert "can't write the output" in done.err, done.err


# -- what is refused --------------------------------------------------------------------------


def test_bad_arguments():
    for args, wanted in [
            ([], "no socket is given"),
            (["a", "b"], '"b" is one word too many; the socket is "a"'),
            (["a", "--rw", "writ"], '--rw wants randread, randwrite, read, write or mixed, not '
                                    '"writ"'),
            (["a", "--rw", "write"], "--rw write overwrites the disk, and"),
            (["a", "--rw", "mixed"], "give --overwrite if nobody does"),
            (["a", "--rw", "read", "--rw", "read"], "--rw is given twice"),
            (["a", "--read-percent", "5"], "--read-percent goes with --rw mixed"),
            (["a", "--read-percent", "101"], '--read-percent wants a whole number, 0 to 100, not '
                                             '"101"'),
            (["a", "--bs", "1000"], '--bs wants a number of bytes such as 4k'),
            (["a", "--bs", "4q"], 'not "4q"'),
            (["a", "--bs", "0"], 'not "0"'),
            (["a", "--bs=-4k"], 'not "-4k"'),
            (["a", "--bs", "1G"], 'up to 67108864, not "1G"'),
            (["a", "--size", "99999999999999T"], '--size wants'),
            (["a", "--size", "4k", "--bs", "8k"], "--size 4096 is less than --bs 8192"),
            (["a", "--depth", "0"], '--depth wants a whole number, 1 to 1024, not "0"'),
            (["a", "--depth", "1025"], 'not "1025"'),
            (["a", "--queues", "65"], '--queues wants a whole number, 1 to 64, not "65"'),
            (["a", "--time", "soon"], '--time wants a number'),
            (["a", "--time", "0"], 'not "0"'),
            (["a", "--histogram"], "--histogram has no meaning without --json"),
            (["a", "--time", "1", "--phases"], "--time has no meaning with --phases"),
            (["a", "--cpu", "0,0"], '--cpu wants up to 64 different CPUs'),
            (["a", "--cpu", "1-0"], 'not "1-0"'),
            (["a", "--cpu", "0,1"], "--cpu lists 2 CPUs, and --queues 1 has work for 1"),
            (["a", "--cpu", "1023"], "--cpu: this process may not run on a CPU 1023"),
            (["a", "--ring", "round"], '--ring wants split or packed, not "round"'),
            (["a", "--wait", "for it"], '--wait wants poll or block, not "for it"'),
            (["a", "--indirect", "yes"], '--indirect wants auto, on or off, not "yes"'),
            (["a", "--away-us", "0"], '--away-us wants a number, 1 to 1000000, not "0"'),
            (["a", "--seed", "x"], '--seed wants a whole number'),
            (["a", "--json=yes"], "--json takes no value"),
            (["a", "--depth"], "--depth needs a value: N"),
            (["a", "--dept", "3"], 'unknown option "--dept"; did you mean "depth"?'),
            (["a", "-d"], 'unknown option "-d"')]:
        done = perf_run.Ended([os.environ["VHOSTPERF"], *args])
        expect((done.status, done.out), (2, ""), f"{args}: {done.err}")
        assert wanted in done.err and len(done.err.splitlines()) == 1, f"{args}: {done.err}"


def test_what_the_disk_has_not():
    with Daemon() as daemon:
        for keys, args, wanted in [
                ({"queues": 2}, ["--queues", 3], "--queues 3: the disk has 2"),
                ({"readonly": True}, options_of("mixed"), "--rw mixed: the disk is read-only"),
                ({"block_size": 4096}, ["--bs", "512"],
                 "--bs 512 is not a multiple of the disk's block size 4096"),
                ({"size": 1 << 20}, ["--size", "2M"], "--size 2097152: the disk has 1048576 bytes"),
                ({"size": 1 << 20}, ["--bs", "2M"], "the disk of 1048576 bytes is too small"),
                ({"size": 64 << 10}, ["--verify", "--depth", 17],
                 "this --depth for --verify needs"),
                ({}, ["--depth", 342, "--indirect", "off"], "without indirect descriptors needs"),
                ({}, ["--depth", 342, "--indirect", "off", "--ring", "packed"],
                 "needs rings of 1026, and they have at most 1024"),
                ({"queues": 4, "size": 1 << 34}, ["--bs", "64M", "--queues", 4],
                 "bytes of memory together")]:
            with Disk("null", daemon=daemon, **keys) as disk:
                status, err = perf_run.refused(disk.socket, *args)
                expect(status, 2, err)
                assert wanted in err and len(err.splitlines()) == 1, err


def test_read_only_disks_are_read():
    with Disk("aio", readonly=True) as disk:
        assert perf_run.measure(disk.socket, "--time", 0.1)["requests"] > 0


def test_sockets_that_are_none():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sock")
        status, err = perf_run.refused(path)
        expect((status, err), (1, f"vhostperf: {path}: No such file or directory\n"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            status, err = perf_run.refused(path)
            expect((status, err), (1, f"vhostperf: {path}: nobody listens on this socket\n"))
            listener.listen()
            for answer, wanted in (b"", "hung up while it was being set up"), \
                                  (b"HTTP/1.1 400 Bad Request\r\n", "no vhost-user-blk back end"):
                with perf_run.running(path) as process:
                    conn = listener.accept()[0]
                    conn.recv(12)
                    conn.sendall(answer)
                    conn.close()
                    expect(process.wait(perf_run.PATIENCE_S), 1)
                    err = process.stderr.read()
                    assert wanted in err and path in err, err


def test_the_disk_is_another_front_ends():
    with Disk() as disk, perf_run.running(disk.socket, "--time", 60) as process:
        disk.wait_load()
        status, err = perf_run.refused(disk.socket, "--time", 0.1)
        expect(status, 1)
        assert disk.socket in err and len(err.splitlines()) == 1, err
        expect(process.poll(), None)


# -- terminal, pages, completion --------------------------------------------------------------


def test_progress_on_a_terminal():
    with Disk() as disk:
        master, slave = pty.openpty()
        with perf_run.running(disk.socket, "--time", 2.5, stdin=subprocess.DEVNULL,
                              stderr=slave) as process:
            os.close(slave)
            shown = b""
            deadline = time.monotonic() + perf_run.PATIENCE_S
            while process.poll() is None and time.monotonic() < deadline:
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        shown += os.read(master, 4096)
                    except OSError:  # EIO: closed
                        break
            expect(process.wait(perf_run.PATIENCE_S), 0)
            os.close(master)
            lines = re.findall(r"\d+ IOPS, \d+ requests", shown.decode())
            assert 1 <= len(lines) <= 3, shown
            assert b"\n" not in shown and shown.endswith(b"\r\x1b[K"), shown


def man_sections():
    """{section: [line]} of the manual page."""
    path = os.path.join(os.environ["VHOSTPERF_SOURCE"], "vhostperf.1.scd")
    sections, section = {}, ""
    with open(path, encoding="utf-8") as file:
        for line in file.read().replace("\\_", "_").splitlines():
            heading = re.match(r"#+ (.*)", line)
            section = heading.group(1) if heading else section
            sections.setdefault(section, []).append(line)
    return sections


def entries(lines):
    return [m.group(1) for m in (re.fullmatch(r"\*([\w.]+)\*", line) for line in lines) if m]


def test_json_keys_are_documented():
    sections = man_sections()
    with Disk() as disk, perf_run.running(disk.socket, "--phases", "--json") as process:
        result = perf_run.Phases(process).finish()[0]
        expect(list(result), entries(sections["JSON"]))
        for key in "latency_us", "latency_net_us":
            expect(list(result[key]), entries(sections["Latency"]))
        expect(list(result["settings"]), entries(sections["Settings"]))
        plain = perf_run.measure(disk.socket, "--time", 0.1)
        expect(["phase", *plain], list(result))


def test_histograms_hold_every_request():
    with Disk() as disk:
        result = perf_run.measure(disk.socket, "--time", 0.2, "--histogram")
        for key in "latency_us", "latency_net_us":
            latency, pairs = result[key], result[key]["histogram"]
            expect(sum(count for _, count in pairs), result["requests"])
            assert pairs == sorted(pairs), pairs
            assert latency["min"] * 0.99 <= pairs[0][0] <= pairs[-1][0] <= latency["max"] * 1.01
            half = result["requests"] / 2
            assert sum(count for us, count in pairs if us <= latency["p50"] * 1.01) >= half


def test_help_is_documented():
    sections = man_sections()
    done = perf_run.Ended([os.environ["VHOSTPERF"], "--help"])
    expect((done.status, done.err), (0, ""))
    listed = re.findall(r"^  (--[a-z-]+) ([A-Z]*)", done.out, re.M)
    page = [re.fullmatch(r"\*(--[a-z-]+)\*(?: _([A-Z]+)_)?", line) for line in sections["OPTIONS"]]
    expect([(m.group(1), m.group(2) or "") for m in page if m], listed)
    expect(entries(sections["EXIT STATUS"]), re.findall(r"^  (\d)  ", done.out, re.M))
    assert max(map(len, done.out.splitlines())) <= 100
    done = perf_run.Ended([os.environ["VHOSTPERF"], "--version"])
    assert done.status == 0 and re.fullmatch(r"vhostperf [\d.]+\n", done.out), done.out


def completed(*words):
    script = os.path.join(os.environ["VHOSTPERF_SOURCE"], "vhostperf.bash-completion")
    text = f'. "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vhostperf "$1"; ' \
        'printf "%s\\n" "${COMPREPLY[@]}"'
    out = subprocess.run(["bash", "-c", text, "bash", os.environ["VHOSTPERF"], *words], check=True,
                         stdout=subprocess.PIPE, text=True, timeout=perf_run.PATIENCE_S).stdout
    return out.split()


def test_completion():
    expect(completed("a", "--dep"), ["--depth"])
    expect(completed("a", "--rw"), ["--rw"])
    expect(completed("a", "--rw", ""), list(KINDS))
    expect(completed("a", "--rw", "=", "rand"), ["randread", "randwrite"])
    expect(completed("a", "--event-idx", "o"), ["on", "off"])
    expect(completed("a", "--depth", ""), [])
    words = completed("a", "--")
    expect([f"--{name}" for name in ("rw", "bs", "version") if f"--{name}" not in words], [])
    for option, values in ("--rw", KINDS), ("--wait", ("poll", "block")), ("--ring", RINGS):
        expect(completed("a", option, ""), list(values))
        done = perf_run.Ended([os.environ["VHOSTPERF"], "a", option, "?"])
        for value in values:
            assert value in done.err, done.err


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
