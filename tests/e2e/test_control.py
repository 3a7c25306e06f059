#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The control socket as its clients see it: requests and answers, bad input, limits, many clients.
No front end is connected here."""

import json
import os
import socket
import stat
import sys
import threading
import time

from vhostd_rpc import DISK, Daemon, Hangup, expect, request, run_tests

LINE_MAX = 65536
CLIENTS_MAX = 64


# -- requests and answers ---------------------------------------------------------------------


def test_a_disk_comes_and_goes():
    with Daemon() as daemon, daemon.client() as client:
        disk = client.ok("device.add", name="d0", block_size=4096, queues=3, serial="S 1",
                         readonly=True, **DISK)
        expect((disk["name"], disk["backend"], disk["state"]), ("d0", "null", "listening"))
        expect((disk["size_bytes"], disk["block_size"], disk["queues_max"]), (1 << 30, 4096, 3))
        expect((disk["readonly"], disk["serial"], disk["connected"]), (True, "S 1", False))
        expect(disk["socket"], daemon.path("d0.sock"))
        expect([queue["index"] for queue in disk["queues"]], [0, 1, 2])
        assert stat.S_ISSOCK(os.stat(disk["socket"]).st_mode)
        expect(client.ok("device.show", name="d0")["name"], "d0")
        expect([d["name"] for d in client.ok("device.list")["devices"]], ["d0"])
        expect(client.ok("device.del", name="d0"), {"name": "d0", "state": "gone"})
        expect(client.ok("device.list"), {"devices": []})
        assert not os.path.exists(disk["socket"])
        assert "control: add d0 by pid %d uid %d" % (os.getpid(), os.getuid()) in daemon.log()


def test_errors_about_disks():
    with Daemon() as daemon, daemon.client() as client:
        client.ok("device.add", name="d0", **DISK)
        expect(client.error("device.add", name="d0", **DISK)[0], "EXISTS")
        for method in "device.del", "device.show", "device.resize", "stats.get":
            name, text = client.error(method, name="nobody")
            expect(name, "NOT_FOUND", method)
            assert "nobody" in text, text
        expect(client.error("device.add", name="d1", backend="aio", path="/no/such/file")[0],
               "STORE")
        expect([d["name"] for d in client.ok("device.list")["devices"]], ["d0"])


def test_parameters_are_checked():
    refused = [
        ({"name": ""}, "name: "),
        ({"name": ".hidden"}, "name: "),
        ({"name": "a/b"}, "name: "),
        ({"name": "x" * 65}, "name: "),
        ({"name": 5}, "name: 5 is not a string"),
        ({"name": None}, "name: null is not a string"),
        ({"backend": "ssd"}, "auto, aio, uring, malloc, null"),
        ({"size": "10X"}, "size: "),
        ({"size": "-1"}, "size: "),
        ({"size": 0}, "size: "),
        ({"size": -512}, "size: -512 is not"),
        ({"size": 1.5}, "size: "),
        ({"size": 1000}, "size: 1000 is not a multiple"),
        ({"size": "99999999999999999999"}, "size: "),
        ({"block_size": 1024}, "block_size: 1024 is neither 512 nor 4096"),
        ({"block_size": True}, "block_size: true is not a whole number"),
        ({"queues": 0}, "queues: 0 is not from 1 to 64"),
        ({"queues": 65}, "queues: 65 is not from 1 to 64"),
        ({"queues": 65537}, "queues: 65537 is not from 1 to 64"),
        ({"queues": -1}, "queues: -1"),
        ({"readonly": "yes"}, 'readonly: "yes" is not true or false'),
        ({"serial": "x" * 21}, "serial: "),
        ({"serial": "\u00e9"}, "serial: "),
        ({"path": "/tmp/x"}, "path: "),
        ({"lcores": "120"}, 'lcores: "120" is not among'),
        ({"lcores": "1-"}, 'lcores: "1-" is not a list'),
        ({"lcores": ""}, "lcores: "),
        ({"lcores": 1}, "lcores: 1 is not a list"),
        ({"sise": "1G"}, 'did you mean "size"'),
    ]
    with Daemon() as daemon, daemon.client() as client:
        for change, wanted in refused:
            params = {"name": "d0", **DISK, **change}
            name, text = client.error("device.add", **params)
            expect(name, "PARAMS", change)
            assert wanted in text, f"{change}: {text!r} doesn't say {wanted!r}"
        name, text = client.error("device.add", name="d0", backend="malloc")
        assert name == "PARAMS" and "size: missing" in text, text
        name, text = client.error("device.add", name="d0", backend="aio", path="relative")
        assert name == "PARAMS" and "not absolute" in text, text
        name, text = client.error("device.add", name="d0", size=512)
        assert name == "PARAMS" and "backend: missing" in text, text
        name, text = client.error("device.add", backend="null", size=512)
        assert name == "PARAMS" and "name: missing" in text, text
        expect(client.ok("device.list"), {"devices": []})


def test_sizes_are_numbers_or_strings():
    with Daemon() as daemon, daemon.client() as client:
        for number, size in enumerate([4096, "4096", "4K"]):
            disk = client.ok("device.add", name=f"d{number}", backend="null", size=size)
            expect(disk["size_bytes"], 4096, size)
        expect(client.ok("device.add", name="t", backend="null", size="2T")["size_bytes"], 2 << 40)


def test_ids():
    with Daemon() as daemon, daemon.client() as client:
        for wanted in 7, -3, "seven", "", 1.5, None:
            client.send_raw(request(request_id=wanted))
            answer = client.receive()
            expect(answer, {"jsonrpc": "2.0", "id": wanted, "result": {"devices": []}})
        for bad in [1], {"a": 1}, True:
            expect(client.raw_error(request(request_id=bad)), ("REQUEST", None), bad)


def test_notifications_are_not_answered():
    with Daemon() as daemon, daemon.client() as client:
        for method in "device.list", "no.such", "device.show":
            client.send_raw(b'{"jsonrpc":"2.0","method":"%s"}\n' % method.encode())
        client.send_raw(json.dumps({"jsonrpc": "2.0", "method": "device.add",
                                    "params": {"name": "d0", **DISK}}).encode() + b"\n")
        client.ok("daemon.info")  # the next answer is this one's
        daemon.wait_log("add d0")
        while not client.ok("device.list")["devices"]:
            pass


def test_the_tables():
    with Daemon() as daemon, daemon.client() as client:
        found = client.ok("rpc.discover")
        methods = {method["name"]: method["params"] for method in found["methods"]}
        assert {"device.add", "device.del", "device.list", "device.show", "device.resize",
                "stats.get", "lcore.list", "log.level", "daemon.info", "daemon.shutdown",
                "rpc.discover"} <= set(methods), methods
        expect([p["name"] for p in methods["device.add"] if p["required"]], ["name"])
        expect({e["error"]: e["code"] for e in found["errors"]}["PARSE"], -32700)
        info = client.ok("daemon.info")
        expect(info["pid"], daemon.process.pid)
        expect((info["control"], info["socket_dir"]), (daemon.control, daemon.dir))
        expect(info["limits"]["clients"], CLIENTS_MAX)
        lcores = client.ok("lcore.list")["lcores"]
        expect([lcore["lcore"] for lcore in lcores], info["lcores"])
        client.ok("device.add", name="d0", **DISK)
        stats = client.ok("stats.get", name="d0")["devices"]
        expect([s["name"] for s in stats], ["d0"])
        expect((stats[0]["totals"]["reads"], stats[0]["queues"][0]["counters"]["reads"]), (0, 0))


def test_log_level():
    with Daemon() as daemon, daemon.client() as client:
        expect(client.ok("log.level"), {"level": "info", "previous": "info"})
        expect(client.ok("log.level", level="debug"), {"level": "debug", "previous": "info"})
        expect(client.error("log.level", level="loud")[0], "PARAMS")
        expect(client.ok("log.level")["level"], "debug")
        client.ok("log.level", level="err")
        before = daemon.log()
        client.ok("device.add", name="quiet", **DISK)
        expect(daemon.log(), before, "the log")


# -- bad input --------------------------------------------------------------------------------


def test_moves_are_checked():
    with Daemon() as daemon, daemon.client() as client:
        lcore = client.ok("daemon.info")["lcores"][0]
        client.ok("device.add", name="d0", **DISK)
        expect(client.ok("device.move", name="d0", lcore=lcore)["queues"][0]["lcore"], lcore)
        for params, text in (({}, "lcore: missing"), ({"lcore": "1"}, 'lcore: "1" is not a whole'),
                             ({"lcore": -1}, "lcore: -1 is not a whole"),
                             ({"lcore": 127}, "lcore: 127 is not among the daemon's lcores, "),
                             ({"lcore": lcore, "queue": 1}, 'queue: "d0" has no virtqueue 1; it has')):
            name, message = client.error("device.move", name="d0", **params)
            assert name == "PARAMS" and message.startswith(text), (params, message)
        expect(client.error("device.move", name="d1", lcore=lcore)[0], "NOT_FOUND")
        plan = client.ok("lcore.rebalance", apply=True)
        expect((plan["applied"], plan["moves"], [row["lcore"] for row in plan["lcores"]]),
               (True, [], [lcore]))
        expect(client.ok("lcore.rebalance")["applied"], False)
        expect(client.error("lcore.rebalance", apply="yes")[0], "PARAMS")


def test_tracing_is_switched():
    with Daemon() as daemon, daemon.client() as client:
        expect(client.ok("lcore.trace"), {"tracing": False, "over_us": 0, "turns": []})
        expect(client.ok("lcore.trace", over_us=1000)["tracing"], True)
        expect(client.ok("lcore.trace")["over_us"], 1000)
        for params in ({"over_us": 0}, {"over_us": 1000001}, {"over_us": 5, "off": True},
                       {"over_us": "5"}, {"on": True}):
            expect(client.error("lcore.trace", **params)[0], "PARAMS", params)
        expect(client.ok("lcore.trace", off=True)["tracing"], False)
        expect(len(client.ok("lcore.list", reset=True)["lcores"]), 1)


def test_what_is_no_request():
    bad = [
        (b"\n", None),
        (b"hello\n", "PARSE"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list"\n', "PARSE"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list"}}\n', "PARSE"),
        (b"{'jsonrpc':'2.0'}\n", "PARSE"),
        (b"\xff\xfe\n", "PARSE"),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}\n', "PARSE"),
        (b'{"jsonrpc":"2.0","id":1,"method":"a\x00b"}\n', "PARSE"),
        (b"[" * 30000 + b"\n", "PARSE"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list","params":' + b'{"a":' * 20 + b"1" +
         b"}" * 21 + b"\n", "PARSE"),
        (b"[]\n", "REQUEST"),
        (b"[" + request().strip() + b"]\n", "REQUEST"),
        (b"5\n", "REQUEST"),
        (b'"x"\n', "REQUEST"),
        (b"null\n", "REQUEST"),
        (b"{}\n", "REQUEST"),
        (b'{"id":1,"method":"device.list"}\n', "REQUEST"),
        (b'{"jsonrpc":"1.0","id":1,"method":"device.list"}\n', "REQUEST"),
        (b'{"jsonrpc":2.0,"id":1,"method":"device.list"}\n', "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1}\n', "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1,"method":5}\n', "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list","parms":{}}\n', "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","method":"device.list"}\n', "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list","params":[]}\n', "PARAMS"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.list","params":{"x":1}}\n', "PARAMS"),
        (b'{"jsonrpc":"2.0","id":1,"method":"device.del","params":{"name":"a","name":"b"}}\n',
         "REQUEST"),
        (b'{"jsonrpc":"2.0","id":1,"method":"no.such"}\n', "METHOD"),
        (b'{"jsonrpc":"2.0","id":1,"method":""}\n', "METHOD"),
    ]
    with Daemon() as daemon, daemon.client() as client:
        for line, wanted in bad:
            if wanted:
                name, _ = client.raw_error(line)
                expect(name, wanted, line[:80])
            else:
                client.send_raw(line)
            client.ok("device.list")  # the connection is still in step
        client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"device.lst"}\r\n')
        assert "device.list" in client.receive()["error"]["message"]


def test_long_lines():
    line = request().rstrip()
    with Daemon() as daemon:
        with daemon.client() as client:
            client.send_raw(line + b" " * (LINE_MAX - len(line) - 1) + b"\n")
            assert "result" in client.receive()
        for junk in line + b" " * (LINE_MAX - len(line)) + b"\n", b"x" * (4 * LINE_MAX):
            with daemon.client() as client:
                try:
                    client.send_raw(junk)
                except OSError:
                    pass  # hung up on while sending
                answer = client.receive()
                expect((answer["error"]["data"]["error"], answer["id"]), ("PARSE", None))
                try:
                    raise AssertionError(f"still open: {client.receive()}")
                except Hangup:
                    pass
        with daemon.client() as client:
            client.ok("device.list")


def test_names_can_not_forge_log_lines():
    with Daemon() as daemon, daemon.client() as client:
        client.error("device.del", name="a\nforged: line\x1b[2J\u009b")
        daemon.wait_log(r"del a\x0aforged: line\x1b[2J\xc2\x9b by pid")
        assert "\nforged" not in daemon.log()


# -- lines and connections --------------------------------------------------------------------


def test_pipelining():
    with Daemon() as daemon, daemon.client() as client:
        client.send_raw(b"".join(request("daemon.info", number) for number in range(1000)))
        expect([client.receive()["id"] for _ in range(1000)], list(range(1000)))
        silent = b'{"jsonrpc":"2.0","method":"device.list"}\n'
        client.send_raw(silent * 500 + request())
        expect(client.receive()["id"], 1)


def test_partial_lines():
    with Daemon() as daemon, daemon.client() as client:
        for byte in request("device.list", 1) + request("device.list", 2):
            client.send_raw(bytes([byte]))
        expect([client.receive()["id"], client.receive()["id"]], [1, 2])
        with daemon.client() as other:
            client.send_raw(request()[:20])
            other.ok("device.list")
            client.send_raw(request()[20:])
            assert "result" in client.receive()


def test_many_clients():
    with Daemon() as daemon:
        clients = [daemon.client() for _ in range(CLIENTS_MAX)]
        for number, client in enumerate(clients):
            client.send("device.add", name=f"d{number}", **DISK)
        for client in clients:
            assert "result" in client.receive()
        with daemon.client() as extra:
            expect(extra.receive()["error"]["data"]["error"], "LIMIT")
        clients.pop().close()
        deadline = time.monotonic() + 10
        while True:  # its place is free once the daemon has seen it go
            try:
                with daemon.client() as extra:
                    expect(len(extra.ok("device.list")["devices"]), CLIENTS_MAX)
                break
            except (AssertionError, BrokenPipeError, Hangup):
                assert time.monotonic() < deadline
        for client in clients:
            client.ok("device.list")
            client.close()


def test_a_slow_reader_is_dropped():
    with Daemon() as daemon, daemon.client() as slow, daemon.client() as other:
        other.ok("device.add", name="d0", queues=64, **DISK)
        try:
            for number in range(100000):
                slow.send_raw(request("device.show", number, name="d0"))
                if number % 50 == 0:
                    other.ok("device.list")
        except (BrokenPipeError, ConnectionResetError):
            pass
        daemon.wait_log("doesn't read its answers")
        other.ok("device.list")
        with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
            peak_kb = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        print(f"# peak of memory: {peak_kb} kB")


def test_long_answers_arrive_whole():
    with Daemon() as daemon, daemon.client() as client:
        for number in range(40):
            client.send("device.add", name=f"d{number}", queues=64, **DISK)
        for _ in range(40):
            assert "result" in client.receive()
        wanted = [client.send("device.show", name=f"d{number}") for number in range(40)]
        client.sock.shutdown(socket.SHUT_WR)  # half closed: still reads
        time.sleep(0.2)
        answers = [client.receive() for _ in wanted]
        expect([answer["id"] for answer in answers], wanted)
        expect([len(answer["result"]["queues"]) for answer in answers], [64] * 40)


def test_hanging_up():
    with Daemon() as daemon, daemon.client() as other:
        with daemon.client() as client:
            client.send_raw(request()[:30])
        with daemon.client() as client:
            client.send("device.add", name="orphan", **DISK)  # nobody waits for the answer
        daemon.wait_log("add orphan")
        while [d["state"] for d in other.ok("device.list")["devices"]] != ["listening"]:
            pass
        with daemon.client() as client:  # half closed: still reads
            for number in range(50):
                client.send("device.add", name=f"d{number}", **DISK)
            client.sock.shutdown(socket.SHUT_WR)
            expect(sorted(client.receive()["id"] for _ in range(50)), list(range(1, 51)))
            try:
                raise AssertionError(f"still open: {client.receive()}")
            except Hangup:
                pass
        with daemon.client() as client:
            client.send_raw(request().rstrip())
            client.sock.shutdown(socket.SHUT_WR)
            expect(client.receive()["error"]["data"]["error"], "PARSE")
        deadline = time.monotonic() + 10
        while other.ok("daemon.info")["clients"] != 1:
            assert time.monotonic() < deadline, "a client that is gone is kept"


def test_the_same_name_from_eight_clients():
    outcomes = {"device.add": set(), "device.del": set()}
    lock = threading.Lock()

    def work(daemon, seed):
        with daemon.client() as client:
            for turn in range(40):
                method = "device.add" if (turn + seed) % 2 else "device.del"
                params = {"name": "same", **(DISK if method == "device.add" else {})}
                answer = client.call(method, **params)
                with lock:
                    outcomes[method].add(answer["error"]["data"]["error"] if "error" in answer
                                         else "ok")

    with Daemon() as daemon:
        threads = [threading.Thread(target=work, args=(daemon, seed)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "ok" in outcomes["device.add"] and "ok" in outcomes["device.del"], outcomes
        assert outcomes["device.add"] <= {"ok", "EXISTS", "BUSY"}, outcomes
        assert outcomes["device.del"] <= {"ok", "NOT_FOUND", "BUSY"}, outcomes
        with daemon.client() as client:
            if client.ok("device.list")["devices"]:
                client.ok("device.del", name="same")
            client.ok("device.add", name="same", **DISK)
        expect(daemon.stop(), 0)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
