#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhostctl against a scripted daemon: test_vhostctl.py VHOSTCTL COMPLETION-SCRIPT"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time

from fake_daemon import (FakeDaemon, Run, answering, expect, expect_in, run_on_terminal, run_tap,
                         silent)

VHOSTCTL = os.path.abspath(sys.argv[1])
COMPLETION = os.path.abspath(sys.argv[2])

NOBODY = 65534

DEVICE = {
    "name": "d0", "backend": "aio", "path": "/srv/d0.img", "size_bytes": 10 << 30,
    "block_size": 512, "queues_max": 4, "readonly": False, "serial": "", "write_cache": True,
    "socket": "/run/vhostd/d0.sock", "state": "running", "state_age_ms": 185000, "waits_for": "",
    "deleting": False, "connected": True, "peer": {"pid": 4711, "uid": 1000}, "connections": 3,
    "virtio_features": "0x130000246", "virtio_feature_names": ["SEG_MAX", "BLK_SIZE"],
    "inflight": 7, "store": {"kind": "aio", "why": "it was asked for", "state": "short",
                             "size_bytes": 3 << 20, "errors": 5,
                             "errors_by_errno": {"EIO": 3, "ENOSPC": 2}, "block_size": 4096},
    "queues": [
        {"index": 0, "lcore": 1, "state": "polling", "ring_size": 256, "inflight": 7,
         "counters": {"reads": 12345, "writes": 6, "io_errors": 0, "breaks": 0}},
        {"index": 1, "lcore": 3, "state": "broken", "ring_size": 128, "inflight": 0,
         "broken": "descriptor 300 is outside the table", "counters": {"reads": 1, "breaks": 1}},
    ],
}


def environment(**more):
    env = {k: v for k, v in os.environ.items() if k not in ("VHOSTD_CONTROL", "XDG_RUNTIME_DIR")}
    return {**env, **more}


def ctl(*args, **kwargs):
    return Run([VHOSTCTL, *args], env=kwargs.pop("env", environment()), **kwargs)


def ask(result, *args):
    """Runs vhostctl against a daemon that answers `result`; the run, and the request it sent."""
    with FakeDaemon(answering(result)) as daemon:
        run = ctl("--control", daemon.path, *args)
        return run, daemon.requests[0] if daemon.requests else None


def shown(result, *args):
    """The standard output of a command that has to succeed."""
    run, _ = ask(result, *args)
    expect((run.err, run.status), ("", 0))
    return run.out


# Command line

def test_usage_errors():
    """a wrong command line ends with 2, says what is wrong, and never asks the daemon"""
    wrong = {
        (): "no command",
        ("lst",): 'did you mean "list"?',
        ("frobnicate",): "known: add, del, list",
        ("list", "x"): "one word too many",
        ("add", "--backend", "null"): "add needs NAME",
        ("add", "d0", "--backend"): "needs a value",
        ("add", "d0", "--backend", "null", "--queues", "two"): "whole number",
        ("add", "d0", "--backend", "null", "--queues", "-1"): "whole number",
        ("add", "d0", "--backend", "null", "--bakcend", "x"): 'did you mean "--backend"?',
        ("add", "d0", "--backend", "a", "--backend", "b"): "given twice",
        ("add", b"d\xff", "--backend", "null"): '"d\\xff" is not UTF-8',
        ("del", "d0", "--force=yes"): "takes no value",
        ("del", "d0", "-f"): 'unknown option "-f"',
        ("list", "--timeout", "soon"): "--timeout wants seconds",
        ("list", "--timeout", "-1"): "--timeout wants seconds",
        ("list", "--timeout", "nan"): "--timeout wants seconds",
        ("list", "--control", ""): "--control wants",
        ("list", "--control", "/" + "x" * 200): "201 bytes",
    }
    for args, text in wrong.items():
        run = ctl(*args)
        expect((args, run.status, run.out), (args, 2, ""))
        expect_in(text, run.err)
        expect(run.err.count("\n"), 1)


def test_help():
    """--help names every command and option, before or after the command, and ends with 0"""
    run = ctl("--help")
    expect((run.status, run.err), (0, ""))
    for word in ("add", "del", "list", "show", "resize", "qos", "move", "stats", "lcores", "rebalance",
                 "log-level", "info", "shutdown", "--control PATH", "--json", "--timeout S"):
        expect_in(f"  {word}", run.out)
    run = ctl("add", "-h")
    expect(run.status, 0)
    for word in ("--backend KIND", "--block-size BYTES", "--readonly"):
        expect_in(word, run.out)
    expect_in("vhostctl ", ctl("--version").out)


def test_request():
    """each type of parameter reaches the daemon as the type it is"""
    with FakeDaemon(answering(DEVICE)) as daemon:
        run = ctl("--control", daemon.path, "add", "d0", "--backend=aio", "--path", "x/../d.img",
                  "--size", "10G", "--block-size", "4096", "--queues", "4", "--readonly",
                  "--serial", "S 1", "--lcores", "1,3-5", cwd="/tmp")
        expect((run.err, run.status), ("", 0))
        expect(daemon.requests, [{
            "jsonrpc": "2.0", "id": 1, "method": "device.add",
            "params": {"name": "d0", "backend": "aio", "path": "/tmp/x/../d.img", "size": "10G",
                       "block_size": 4096, "queues": 4, "readonly": True, "serial": "S 1",
                       "lcores": "1,3-5"}}])
    _, request = ask(DEVICE, "resize", "d0", "1048576")
    expect(request["params"], {"name": "d0", "size": 1048576})
    _, request = ask(DEVICE, "resize", "d0", "512K", "--shrink")
    expect(request["params"], {"name": "d0", "size": "512K", "shrink": True})
    _, request = ask({"name": "d0"}, "qos", "d0", "--iops", "5000", "--bandwidth", "200M",
                     "--read-bandwidth", "4096", "--burst=2s")
    expect(request["params"], {"name": "d0", "iops": 5000, "bandwidth": "200M",
                               "read_bandwidth": 4096, "burst": "2s"})
    _, request = ask({"name": "d0"}, "qos", "d0", "--off")
    expect(request, {"jsonrpc": "2.0", "id": 1, "method": "device.qos",
                     "params": {"name": "d0", "off": True}})
    _, request = ask({"name": "--x", "state": "gone"}, "del", "--no-wait", "--force", "--", "--x")
    expect(request["params"], {"no_wait": True, "force": True, "name": "--x"})
    _, request = ask({"devices": []}, "list")
    expect(request, {"jsonrpc": "2.0", "id": 1, "method": "device.list", "params": {}})


def test_control_path():
    """--control, then VHOSTD_CONTROL, then the runtime directory"""
    with FakeDaemon(answering({"devices": []})) as daemon:
        elsewhere = environment(VHOSTD_CONTROL="/nonexistent/env.sock")
        expect(ctl("list", "--control", daemon.path, env=elsewhere).status, 0)
        expect(ctl("list", env=environment(VHOSTD_CONTROL=daemon.path)).status, 0)
        run = ctl("list", env=elsewhere)
        expect(run.status, 3)
        expect_in("/nonexistent/env.sock", run.err)
    default = ("/run/vhostd/control.sock" if os.geteuid() == 0
               else "/nonexistent/vhostd/control.sock")
    expect_in(default, ctl("--help", env=environment(XDG_RUNTIME_DIR="/nonexistent")).out)


# What can go wrong

def test_no_daemon():
    """no socket, a socket nobody listens on, no permission: 3, with the path and what to do"""
    directory = tempfile.mkdtemp(prefix="vhostctl-test-")
    try:
        path = os.path.join(directory, "c.sock")
        run = ctl("list", "--control", path)
        expect(run.status, 3)
        expect_in(path, run.err)
        expect_in("is vhostd running?", run.err)
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        run = ctl("list", "--control", path)
        stale.close()
        expect(run.status, 3)
        expect_in("Connection refused", run.err)
        if os.geteuid() == 0:
            run = ctl("list", "--control", path, user=NOBODY)
            expect(run.status, 3)
            expect_in("Permission denied; its owner and group may use it", run.err)
    finally:
        shutil.rmtree(directory)


def test_refused():
    """the daemon's error is printed as it is, after its name, and the status is 1"""
    def script(conn):
        conn.refuse(conn.request(), 3, "BUSY", 'd0: front end pid 4711 is connected\n"x"')
    for extra in ((), ("--json",)):
        with FakeDaemon(script) as daemon:
            run = ctl("--control", daemon.path, "del", "d0", *extra)
        expect((run.status, run.out), (1, ""))
        expect(run.err, 'vhostctl: BUSY: d0: front end pid 4711 is connected\\n"x"\n')
    nameless = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no JSON"}}\n'
    with FakeDaemon(lambda conn: (conn.request(), conn.send(nameless))) as daemon:
        run = ctl("--control", daemon.path, "list")
    expect((run.status, run.err), (1, "vhostctl: no JSON\n"))


def test_timeout():
    """a daemon that does not answer, or takes no connection: 4 when the time is over"""
    with FakeDaemon(silent) as daemon:
        run = ctl("--control", daemon.path, "--timeout", "0.3", "show", "d0")
        expect((run.status, run.out), (4, ""))
        expect_in("0.3 s", run.err)
        if not 0.3 <= run.seconds < 3:
            raise AssertionError(f"took {run.seconds} s")
    directory = tempfile.mkdtemp(prefix="vhostctl-test-")
    listener = socket.socket(socket.AF_UNIX)
    waiting = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(directory + "/c.sock")
        listener.listen(0)
        waiting.connect(directory + "/c.sock")
        expect(ctl("--control", directory + "/c.sock", "--timeout", "0.3", "list").status, 4)
    finally:
        waiting.close()
        listener.close()
        shutil.rmtree(directory)


def test_trickle_times_out():
    """a daemon that sends a byte now and then does not stretch the time"""
    def script(conn):
        conn.request()
        while True:
            conn.send(" ")
            time.sleep(0.05)
    with FakeDaemon(script) as daemon:
        run = ctl("--control", daemon.path, "--timeout", "0.5", "list")
    expect(run.status, 4)
    if run.seconds > 3:
        raise AssertionError(f"took {run.seconds} s")


def test_hang_up():
    """a daemon that hangs up, before the request or half-way through the answer: 3"""
    def at_once(conn):
        conn.close()

    def half_way(conn):
        conn.request()
        conn.send('{"jsonrpc":"2.0","id":1,"resu')
    for script in (at_once, half_way):
        with FakeDaemon(script) as daemon:
            run = ctl("--control", daemon.path, "list")
        expect((run.status, run.out), (3, ""))
        expect_in("closed the connection before it answered", run.err)


def test_not_vhostd():
    """answers that are no JSON-RPC: 3, and no crash"""
    for line in ("hello\n", "[]\n", "1\n", "{}\n", '{"id":1}\n', '{"id":1,"error":"x"}\n', "\n",
                 '{"a":' * 100 + "1" + "}" * 100 + "\n", b"\x00\xff\n", b'{"\xff":\n'):
        def script(conn, line=line):
            conn.request()
            conn.send(line)
        with FakeDaemon(script) as daemon:
            run = ctl("--control", daemon.path, "list")
        expect((line, run.status, run.out), (line, 3, ""))
        expect(run.err.count("\n"), 1)


def test_partial_lines():
    """an answer in small pieces, after answers to others, and a large one, are read whole"""
    devices = [{"name": f"disk{i}", "state": "listening", "backend": "null"} for i in range(3000)]

    def script(conn):
        request = conn.request()
        conn.send('{"jsonrpc":"2.0","id":99,"result":{}}\n{"jsonrpc":"2.0","method":"x"}\n')
        text = json.dumps({"jsonrpc": "2.0", "id": request["id"],
                           "result": {"devices": devices}}) + "\n"
        for i in range(50):
            conn.send(text[i:i + 1])
        conn.send(text[50:])
    with FakeDaemon(script) as daemon:
        run = ctl("--control", daemon.path, "list")
    expect((run.status, run.err), (0, ""))
    expect(len(run.out.splitlines()), 3001)


def test_output_fails():
    """an output that cannot be written is no success"""
    with open("/dev/full", "wb") as full, FakeDaemon(answering({"devices": []})) as daemon:
        run = ctl("--control", daemon.path, "list", stdout=full)
    expect(run.status, 1)
    expect_in("can't write the output", run.err)


# What people see

def test_list():
    """list is a table, aligned, with units"""
    devices = [
        {"name": "d0", "state": "running", "backend": "aio", "path": "/srv/d0.img",
         "size_bytes": 10 << 30, "block_size": 512, "queues": 4, "readonly": False,
         "connected": True, "peer_pid": 4711, "inflight": 12},
        {"name": "scratch-long", "state": "listening", "backend": "malloc", "path": "",
         "size_bytes": 1536 << 20, "block_size": 4096, "queues": 1, "readonly": True,
         "connected": False, "inflight": 0}]
    expect(shown({"devices": devices}, "list").splitlines(), [
        "NAME          STATE      BACKEND      SIZE    BLOCK  QUEUES  READ ONLY  PEER PID"
        "  IN FLIGHT  PATH",
        "d0            running    aio      10.0 GiB    512 B       4  no             4711"
        "         12  /srv/d0.img",
        "scratch-long  listening  malloc    1.5 GiB  4.0 KiB       1  yes               -"
        "          0  -"])
    expect(shown({"devices": []}, "list"), "no disks\n")


def test_show():
    """show prints everything, also what this vhostctl does not know"""
    out = shown({**DEVICE, "later_field": {"a": [1, 2]}}, "show", "d0")
    for text in ("running", "3 min 5 s", "10.0 GiB (10737418240 bytes)", "/srv/d0.img", "4711",
                 "1000", "it was asked for", "/run/vhostd/d0.sock", "0x130000246", "SEG_MAX, BLK_SIZE",
                 "short", "3.0 MiB (3145728 bytes)", "EIO 3, ENOSPC 2", "4.0 KiB", "12345", "descriptor 300 is outside the table",
                 'later_field  {"a":[1,2]}'):
        expect_in(text, out)


def test_missing_fields():
    """fields that are missing, null or of another type are shown as far as they go"""
    for result in ({}, None, [], 1, "x", {"devices": 1, "queues": "x", "lcores": {}},
                   {"devices": [{}, None, 1]}, {"devices": [{"totals": 3, "queues": 4}]},
                   {"peer": None, "size_bytes": "big", "queues": [None], "limits": 3}):
        for command in (("list",), ("show", "x"), ("add", "x", "--backend", "null"), ("info",),
                        ("del", "x"), ("resize", "x"), ("stats",), ("lcores",), ("log-level",),
                        ("move", "x", "--lcore", "1"), ("rebalance",)):
            run, _ = ask(result, *command)
            expect((command, result, run.status, run.err), (command, result, 0, ""))


def test_add():
    """add prints the socket and QEMU options that a shell takes as they are"""
    out = shown(DEVICE, "add", "d0", "--backend", "null")
    expect_in("d0: added, 10.0 GiB", out)
    expect_in("socket: /run/vhostd/d0.sock\n", out)
    expect_in("memory-backend-memfd,id=mem,size=4G,share=on", out)
    expect_in("-chardev socket,id=vhostd-d0,path=/run/vhostd/d0.sock,reconnect=1 \\\n", out)
    expect_in("-device vhost-user-blk-pci,chardev=vhostd-d0,num-queues=4\n", out)
    hostile = {**DEVICE, "socket": "/tmp/a b,c'd$(reboot)/x.sock"}
    out = shown(hostile, "add", "d0", "--backend", "null")
    option = "-chardev 'socket,id=vhostd-d0,path=/tmp/a b,,c'\\''d$(reboot)/x.sock,reconnect=1'"
    expect_in(option, out)


def test_stats():
    """stats has a row for each disk, or for each queue of one, and no columns of zeroes"""
    totals = {"reads": 10, "writes": 0, "flushes": 0, "read_bytes": 40960, "io_errors": 0}
    one = {"name": "d0", "totals": totals, "queues": [
        {"index": 0, "counters": {**totals, "reads": 9}},
        {"index": 1, "counters": {**totals, "reads": 1}}]}
    expect(shown({"devices": [one, {**one, "name": "d1"}]}, "stats").splitlines(), [
        "NAME  READS  WRITES  READ BYTES",
        "d0       10       0    40.0 KiB",
        "d1       10       0    40.0 KiB"])
    expect([line.split()[:3] for line in shown({"devices": [one]}, "stats", "d0").splitlines()],
           [["NAME", "READS", "WRITES"], ["d0", "10", "0"], ["queue", "0", "9"],
            ["queue", "1", "1"]])


def test_lcores_and_info():
    """lcores, info, log-level and resize say what they have been told"""
    out = shown({"lcores": [{"lcore": 3, "socket": 0, "queues": 5, "turns": 123456,
                             "load_percent": 25, "busy_percent": 12.345, "asleep_percent": 50.0,
                             "turns_over_50us": 7,
                             "turns_over_1ms": 2, "preemptions": 8, "kernel_sleeps": 0,
                             "longest_turn_cause": "memory map",
                             "longest_turn_device": "d1", "longest_turn_queue": 4,
                             "longest_turn_us": 1500, "messages": 9,
                             "devices": ["d0", "d1"], "serves": [
                                 {"device": "d0", "queues": [0, 2], "load_percent": 1.26},
                                 {"device": "d1", "queues": [4], "load_percent": 0}]},
                            {"lcore": 4, "serves": []}]}, "lcores")
    expect(out.splitlines()[1].split(),
           ["3", "0", "5", "25.0", "%", "12.3", "%", "50.0", "%", "123456", "7", "2", "8", "0",
            "1.5", "ms", "memory", "map", "d1", "4", "9"])
    expect([line.split() for line in out.splitlines()[3:]],
           [["lcore", "3", "serves:"], ["DISK", "QUEUES", "LOAD"], ["d0", "0,", "2", "1.3", "%"],
            ["d1", "4", "0.0", "%"]])
    out = shown({"version": "0.1.0", "dpdk": "22.11.11", "pid": 77, "uptime_s": 90061,
                 "hugepages": False, "devices": 3, "lcores": [1, 3],
                 "limits": {"devices": 1000}}, "info")
    for text in ("22.11.11", "1 d 1 h", "1, 3", "devices  1000"):
        expect_in(text, out)
    expect(shown({"level": "debug", "previous": "info"}, "log-level", "debug"),
           "debug (was info)\n")
    expect(shown({"level": "info"}, "log-level"), "info\n")
    expect_in("d0: 10.0 GiB", shown(DEVICE, "resize", "d0"))


def test_move():
    """move asks for what its options say, and tells where the virtqueues are now"""
    run, request = ask(DEVICE, "move", "d0", "--queue", "1", "--lcore", "3")
    expect((request["method"], request["params"]),
           ("device.move", {"name": "d0", "queue": 1, "lcore": 3}))
    expect([line.split() for line in run.out.splitlines()],
           [["d0"], ["QUEUE", "LCORE", "STATE"], ["0", "1", "polling"], ["1", "3", "broken"]])


def test_rebalance():
    """rebalance shows moves and loads, and whether that was a proposal"""
    plan = {"applied": False,
            "moves": [{"device": "d0", "queue": 1, "from": 1, "to": 3, "load_percent": 40.25}],
            "lcores": [{"lcore": 1, "load_percent": 90, "load_percent_after": 49.75},
                       {"lcore": 3, "load_percent": 0, "load_percent_after": 40.25}]}
    run, request = ask(plan, "rebalance")
    expect((request["method"], request.get("params") or {}), ("lcore.rebalance", {}))
    expect([line.split() for line in run.out.splitlines()],
           [["DISK", "QUEUE", "LOAD", "FROM", "LCORE", "TO", "LCORE"],
            ["d0", "1", "40.2", "%", "1", "3"], ["LCORE", "LOAD", "AFTER"],
            ["1", "90.0", "%", "49.8", "%"], ["3", "0.0", "%", "40.2", "%"],
            "a proposal: --apply carries it out".split()])
    run, request = ask({**plan, "applied": True}, "rebalance", "--apply")
    expect(request["params"], {"apply": True})
    expect(run.out.splitlines()[-1], "the virtqueues have moved")
    expect_in("no move would help", shown({**plan, "moves": []}, "rebalance"))


def test_trace():
    """trace says what slow turns were spent on"""
    pieces = [{"cause": "fetch", "device": "d0", "queue": 3, "count": 32, "us": 2.25},
              {"cause": "submit", "device": "d0", "count": 32, "us": 150.25}]
    turn = {"lcore": 1, "age_ms": 61000, "us": 152, "pieces": pieces, "pieces_left_out": 7}
    out = shown({"tracing": True, "over_us": 100, "turns": [turn, turn]}, "trace")
    expect(out.splitlines()[0], "lcore 1: a turn of 152 us, 1 min 1 s ago")
    expect([line.split() for line in out.splitlines()[1:5]],
           [["WORK", "DISK", "QUEUE", "COUNT", "TIME"],
            ["fetch", "d0", "3", "32", "2", "us"],
            ["submit", "d0", "-", "32", "150", "us"],
            ["and", "7", "more", "pieces", "of", "work"]])
    expect(out.count("a turn of"), 2)
    expect(out.splitlines()[-1], "going on: turns of 100 us or more are kept")
    expect(shown({"tracing": False, "over_us": 0, "turns": []}, "trace"),
           "tracing is off; --over-us US begins it\n")


def test_json():
    """--json is the daemon's result, unchanged"""
    tricky = {"name": "\x7f\x9b\u202e\n\"\\/", "big": 2**64 - 1, "f": 0.5, "n": None, "l": [[], {}]}
    for args in (("--json", "list"), ("list", "--json")):
        expect(json.loads(shown(tricky, *args)), tricky)


def test_hostile_strings():
    """no string of the daemon's reaches the terminal raw"""
    nasty = "a\x1b[2J\x07b\rc\nd\x9be\u202ef\u2028g\x00h"
    device = {**DEVICE, "name": nasty, "state": nasty, "path": nasty, "waits_for": nasty,
              "socket": nasty, "virtio_feature_names": [nasty], nasty: nasty,
              "totals": {nasty: 1}}
    result = {**device, "devices": [device], "lcores": [{"devices": [nasty]}], "level": nasty,
              "turns": [{"lcore": nasty, "pieces": [{"cause": nasty, "device": nasty}]}],
              "version": nasty, "limits": {nasty: nasty}}
    for args in (("list",), ("show", "x"), ("stats",), ("info",), ("lcores",), ("log-level",),
                 ("trace",),
                 ("add", "x", "--backend", "null"), ("del", "x"), ("--json", "list")):
        out = shown(result, *args)
        bad = [c for c in out if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160
                                               or c in "\u202e\u2028")]
        expect((args, bad), (args, []))
    with FakeDaemon(lambda conn: (conn.request(), conn.send(
            b'{"id":1,"result":{"level":"\xff\xc0\x80\xed\xa0\x80"}}\n'))) as daemon:
        expect(ctl("--control", daemon.path, "log-level").out,
               "\\xff\\xc0\\x80\\xed\\xa0\\x80\n")
        expect(json.loads(ctl("--control", daemon.path, "--json", "log-level").out),
               {"level": "\ufffd" * 6})


# Deletion on a terminal

def deletion(conn):
    """Answers device.show with stages, then device.del."""
    deletion_request = conn.request()
    for stage in ("4 requests on lcore 1", "4 requests on lcore 1", "the front end to hang up"):
        conn.answer(conn.request(), {"name": "d0", "state": "quiescing", "waits_for": stage})
    conn.refuse(conn.request(), 2, "NOT_FOUND", "d0: no such device")
    conn.answer(deletion_request, {"name": "d0", "state": "gone"})


def test_del_on_terminal():
    """del on a terminal tells what it waits for, once for each change, until the disk is gone"""
    with FakeDaemon(deletion) as daemon:
        status, out = run_on_terminal([VHOSTCTL, "--control", daemon.path, "del", "d0"],
                                      environment())
    expect(status, 0)
    expect(out.splitlines(), ["d0: quiescing, waits for 4 requests on lcore 1",
                              "d0: quiescing, waits for the front end to hang up", "d0: deleted"])


def test_del_elsewhere():
    """del without a terminal tells the result only; refusals are the same on both"""
    def slowly(conn):
        request = conn.request()
        time.sleep(0.7)
        conn.answer(request, {"name": "d0", "state": "gone"})
        conn.request()
    with FakeDaemon(slowly) as daemon:
        expect(ctl("--control", daemon.path, "del", "d0").out, "d0: deleted\n")
    expect([r["method"] for r in daemon.requests], ["device.del"])
    out = shown({"name": "d0", "state": "quiescing"}, "del", "d0", "--no-wait")
    expect(out, "d0: deletion has begun; state: quiescing\n")

    def refuse(conn):
        conn.refuse(conn.request(), 3, "BUSY", "pid 4711")
    with FakeDaemon(refuse) as daemon:
        status, out = run_on_terminal([VHOSTCTL, "--control", daemon.path, "del", "d0"],
                                      environment())
    expect((status, out), (1, "vhostctl: BUSY: pid 4711\n"))
    with FakeDaemon(silent) as daemon:
        status, out = run_on_terminal([VHOSTCTL, "--control", daemon.path, "--timeout", "0.6",
                                       "del", "d0"], environment())
    expect(status, 4)


def test_shutdown():
    """shutdown returns when the daemon has hung up, not before"""
    def lingering(conn):
        conn.answer(conn.request(), {})
        time.sleep(0.5)
    with FakeDaemon(lingering) as daemon:
        run = ctl("--control", daemon.path, "shutdown")
    expect((run.status, run.out.count("\n")), (0, 1))
    if run.seconds < 0.5:
        raise AssertionError(f"took {run.seconds} s only")
    run, _ = ask({}, "--timeout", "0.3", "shutdown")
    expect(run.status, 4)


# Completion

def test_qos():
    """qos shows limits, what there is none of as a dash"""
    qos = {"iops": 5000, "read_iops": 0, "write_iops": 0, "bandwidth": 200 << 20,
           "read_bandwidth": 0, "write_bandwidth": 1 << 30, "burst_ms": 1500, "throttled": 12345,
           "throttled_us": 2500}
    lines = [line.split() for line in shown({"name": "d0", "qos": qos}, "qos", "d0").splitlines()]
    expect(lines, [["d0"], ["requests/s", "5000"], ["reads/s", "-"], ["writes/s", "-"],
                   ["bandwidth", "200.0", "MiB/s"], ["of", "reads", "-"],
                   ["of", "writes", "1.0", "GiB/s"], ["burst", "1.5", "s"],
                   ["requests", "held", "back", "12345"], ["for", "2.5", "ms"]])
    out = shown({**DEVICE, "qos": qos}, "show", "d0")
    expect_in("Limits\n  requests/s          5000\n", out)


def complete(words, daemon_path="/nonexistent", cwd=None):
    """COMPREPLY of bash for the words after "vhostctl", the last one under way, sorted."""
    script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_vhostctl "$1" "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"')
    run = Run(["bash", "--norc", "-c", script, "bash", COMPLETION, VHOSTCTL, *words],
              env=environment(VHOSTD_CONTROL=daemon_path), cwd=cwd)
    expect(run.err, "")
    return sorted(run.out.split())


def test_completion():
    """bash completes commands, options, values and the names of disks"""
    commands = ["add", "coalesce", "del", "info", "lcores", "list", "log-level", "move", "qos",
                "rebalance", "resize", "show", "shutdown", "stats", "trace"]
    expect(complete([""]), commands)
    expect(complete(["--json", "l"]), ["lcores", "list", "log-level"])
    expect(complete(["del", "--f"]), ["--force"])
    expect(complete(["del", "--force", "--"]),
           ["--control", "--help", "--json", "--no-wait", "--timeout", "--version"])
    expect(complete(["qos", "x", "--b"]), ["--bandwidth", "--burst"])
    expect(complete(["add", "x", "--backend", ""]), ["aio", "auto", "malloc", "null", "uring"])
    expect(complete(["add", "x", "--backend", "=", "m"]), ["malloc"])
    expect(complete(["add", "x", "--backend", "="]), ["aio", "auto", "malloc", "null", "uring"])
    expect(complete(["log-level", "e"]), ["err"])
    expect(complete(["nonsense", ""]), commands)
    names = {"devices": [{"name": n} for n in ("d0", "d1", "other", "$(reboot)", "a b", ".x")]}
    with FakeDaemon(answering(names)) as daemon:
        expect(complete(["show", "d"], daemon.path), ["d0", "d1"])
        expect(complete(["qos", "d"], daemon.path), ["d0", "d1"])
        expect(complete(["del", "--force", ""], daemon.path), ["d0", "d1", "other"])
        expect(complete(["--control", daemon.path, "resize", "o"]), ["other"])
        expect(complete(["show", "d0", ""], daemon.path), [])
        expect(complete(["add", ""], daemon.path), [])
    expect(complete(["show", ""]), [])


def test_completion_of_files():
    """bash completes file names where a path is wanted"""
    directory = tempfile.mkdtemp(prefix="vhostctl-test-")
    try:
        for name in ("disk.img", "disk2.img", "other"):
            with open(os.path.join(directory, name), "w", encoding="ascii"):
                pass
        expect(complete(["add", "x", "--path", "di"], cwd=directory), ["disk.img", "disk2.img"])
        expect(complete(["--control", "o"], cwd=directory), ["other"])
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(run_tap([f for name, f in list(globals().items()) if name.startswith("test_")]))
