#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How the daemon starts and ends: the control socket's file, configuration file and command line,
signals, systemd."""

import grp
import json
import os
import signal
import socket
import stat
import sys
import tempfile
import time

from vhostd_rpc import DISK, Daemon, Hangup, expect, request, run_tests


# -- start and end ----------------------------------------------------------------------------


def test_a_second_daemon_is_refused():
    with Daemon() as daemon, daemon.client() as client:
        client.ok("device.add", name="d0", **DISK)
        code, text = daemon.run()
        expect(code, 1)
        assert f"pid {daemon.process.pid}," in text and daemon.control in text, text
        expect(client.ok("device.show", name="d0")["state"], "listening")
        assert os.path.exists(daemon.path("d0.sock"))


def test_two_that_start_at_once():
    with tempfile.TemporaryDirectory(prefix="vhostd-") as directory:
        daemons = [Daemon(directory=directory, start=False) for _ in range(4)]
        for daemon in daemons:
            daemon.spawn()
        try:
            deadline = time.monotonic() + 20
            while sum(daemon.alive() for daemon in daemons) > 1:
                assert time.monotonic() < deadline, "more than one serves"
                time.sleep(0.01)
            winner = next(daemon for daemon in daemons if daemon.alive())
            winner.wait_log("ready after")
            with winner.client() as client:
                expect(client.ok("daemon.info")["pid"], winner.process.pid)
            expect({d.process.returncode for d in daemons if d is not winner}, {1})
        finally:
            for daemon in daemons:
                daemon.kill()


def test_what_a_dead_one_left_is_replaced():
    with Daemon() as daemon:
        with daemon.client() as client:
            client.ok("device.add", name="d0", **DISK)
        daemon.kill()
        assert os.path.exists(daemon.control)
        daemon.start()
        with daemon.client() as client:
            client.ok("device.add", name="d0", **DISK)
        expect(daemon.stop(), 0)
        expect([n for n in os.listdir(daemon.dir) if n != "log"], [])


def test_the_place_of_the_socket_is_taken():
    with Daemon(start=False) as daemon:
        daemon.write("control.sock", "")
        code, text = daemon.run()
        expect(code, 1)
        assert "is not a socket" in text, text
        os.unlink(daemon.control)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
            stranger.bind(daemon.control)
            stranger.listen()
            code, text = daemon.run()
            expect(code, 1)
            assert f"pid {os.getpid()}, answers there" in text, text
        assert os.path.exists(daemon.control)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_modes_of_the_sockets():
    with Daemon() as daemon, daemon.client() as client:
        expect(mode_of(daemon.control), 0o600, "control")
        expect(mode_of(client.ok("device.add", name="d0", **DISK)["socket"]), 0o660, "disk")
    group = grp.getgrgid(os.getgid()).gr_name
    if os.getuid() == 0:
        group = "daemon"
    config = {"control_mode": "0620", "control_group": group, "socket_mode": "0606",
              "socket_group": group}
    with Daemon(config=config) as daemon, daemon.client() as client:
        path = client.ok("device.add", name="d0", **DISK)["socket"]
        expect((mode_of(daemon.control), mode_of(path)), (0o620, 0o606))
        expect({os.stat(p).st_gid for p in (daemon.control, path)}, {grp.getgrnam(group).gr_gid})


def test_signals_end_it():
    for number in signal.SIGTERM, signal.SIGINT:
        with Daemon() as daemon, daemon.client() as client:
            client.ok("device.add", name="d0", **DISK)
            daemon.signal(number)
            expect(daemon.wait(), 0)
            expect([n for n in os.listdir(daemon.dir) if n != "log"], [])
            try:
                raise AssertionError(f"still open: {client.receive()}")
            except Hangup:
                pass


def test_a_second_signal_ends_it_at_once():
    with Daemon() as daemon:
        with daemon.client() as client:
            client.ok("device.add", name="d0", **DISK)
        daemon.signal(signal.SIGSTOP)  # so that both are there before the first is seen
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGINT)
        daemon.signal(signal.SIGCONT)
        expect(daemon.wait(), 1)
        daemon.start()
        with daemon.client() as client:
            client.ok("device.add", name="d0", **DISK)
        expect(daemon.stop(), 0)


def test_waiting_clients_are_answered():
    with Daemon() as daemon, daemon.client() as first, daemon.client() as second:
        for number in range(20):
            first.send("device.add", name=f"d{number}", **DISK)
        daemon.wait_log("add d19")
        second.send("daemon.shutdown")
        answers = [first.receive() for _ in range(20)]
        for answer in answers:
            assert "result" in answer or answer["error"]["data"]["error"] == "SHUTDOWN", answer
        expect(second.receive()["result"], {})
        expect(daemon.wait(), 0)
        expect([n for n in os.listdir(daemon.dir) if n != "log"], [])


def test_a_late_request_is_told():
    with Daemon() as daemon, daemon.client() as client:
        client.send_raw(request("daemon.shutdown", 1) + request("device.list", 2))
        answers = {answer["id"]: answer for answer in (client.receive(), client.receive())}
        expect(answers[1]["result"], {})
        expect(answers[2]["error"]["data"]["error"], "SHUTDOWN")
        expect(daemon.wait(), 0)


def test_sighup_reads_the_log_level():
    with Daemon(config={"log_level": "warning"}) as daemon, daemon.client() as client:
        expect(client.ok("log.level")["level"], "warning")
        daemon.write("vhostd.json", {"log_level": "debug"})
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("log level debug, was warning")
        expect(client.ok("log.level")["level"], "debug")
        daemon.write("vhostd.json", '{"log_level": "loud"}')
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("nothing is changed")
        expect(client.ok("log.level")["level"], "debug")
    with Daemon("--log-level", "notice", config={"log_level": "debug"}) as daemon:
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("log level notice, was notice")


def test_disks_of_the_configuration_file():
    disks = [{"name": f"d{number}", **DISK} for number in range(3)]
    with Daemon(config={"devices": disks}) as daemon, daemon.client() as client:
        daemon.wait_log("ready after")
        expect([d["name"] for d in client.ok("device.list")["devices"]], ["d0", "d1", "d2"])
        expect(client.ok("daemon.info")["config"], daemon.config_path)
    disks[1] = {"name": "bad", "backend": "aio", "path": "/no/such/file"}
    with Daemon(config=json.dumps({"devices": disks}, indent=1), start=False) as daemon:
        code, text = daemon.run()
        expect(code, 1)
        assert f"{daemon.config_path}:" in text and "devices[1]" in text, text
        assert "/no/such/file" in text, text
        expect(sorted(os.listdir(daemon.dir)), ["vhostd.json"])


def test_check_config():
    cases = [
        ("{}", 0, "vhostd.json: ok, 0 disks"),
        ({"memory": 256, "log_level": "info", "devices": [{"name": "d", **DISK}]}, 0,
         "ok, 1 disk"),
        ("", 2, "vhostd.json:1: "),
        ('{"memory": 64,\n "log_level": }', 2, "vhostd.json:2: "),
        ('{"memory": 64}\nx', 2, "vhostd.json:2: "),
        ("[]", 2, "is not a JSON object"),
        ('{\n "memry": 64}', 2, 'vhostd.json:2: memry: unknown key; did you mean "memory"?'),
        ('{"memory": "64"}', 2, 'memory: "64" is not a whole number'),
        ('{"memory": 5}', 2, 'memory: "5" is not a number of MB from 32'),
        ('{"memory": 64, "memory": 65}', 2, "memory: the key stands here twice"),
        ('{"hugepages": "yes"}', 2, 'hugepages: "yes" is not true or false'),
        ('{"poll": "adaptive"}', 0, "ok, 0 disks"),
        ('{"poll": "lazy"}', 2, '"lazy" is no poll mode; busy or adaptive is'),
        ('{"devices": [{"name": "a", "backend": "null", "size": 4096, "poll": "lazy"}]}', 2,
         'poll: "lazy" is no poll mode; busy or adaptive is'),
        ('{"lcores": "0-"}', 2, 'lcores: "0-" is not a list of CPUs'),
        ('{"lcores": "127"}', 2, "CPU 127 does not exist"),
        ('{"log_level": "loud"}', 2, "none of err, warning, notice, info, debug"),
        ('{"control_mode": "0888"}', 2, "octal"),
        ('{"control_mode": 384}', 2, "control_mode: 384 is not a string"),
        ('{"socket_group": "no such group"}', 2, "there is no group"),
        ('{"state_dir": "relative"}', 2, "is not an absolute path"),
        ('{"socket_dir": "/%s"}' % ("x" * 120), 2, "is longer than the 107 bytes"),
        ('{"devices": {}}', 2, "devices: is not a list"),
        ('{"devices": [5]}', 2, "devices[0]: is not an object"),
        ('{"devices": [\n{"name": "a"}]}', 2, "vhostd.json:2: devices[0].backend: missing"),
        ({"devices": [{"name": "d", **DISK, "blocksize": 512}]}, 2,
         'devices[0].blocksize: unknown key; did you mean "block_size"?'),
        ('{"devices": [\n {"name": "d", "backend": "null", "size": "1G",\n'
         '  "block_size": 1000}]}', 2,
         "vhostd.json:3: devices[0].block_size: 1000 is neither 512 nor 4096"),
        ('{"devices": [\n {"name": "d", "backend": "null", "size": "1G"},\n'
         ' {"backend": "null",\n  "name": "d", "size": "1G"}]}', 2,
         'vhostd.json:4: devices[1].name: "d" is devices[0]\'s already'),
        ({"devices": [{"name": "d", **DISK, "lcores": "99"}]}, 2,
         "devices[0].lcores: \"99\" is not among the daemon's lcores"),
        ({"devices": [{"name": "x" * 64, **DISK}]}, 2, "longer than 107 bytes"),
    ]
    # A directory so deep that a long disk's name has no room in sun_path.
    with Daemon(start=False) as daemon:
        deep = daemon.path("y" * 40)
        os.mkdir(deep)
        for config, wanted_code, wanted in cases:
            path = daemon.write("vhostd.json", config)
            code, text = daemon.run("--config", path, "--socket-dir", deep, "--check-config") \
                if "107 bytes\"" not in wanted and "socket_dir" not in str(config) \
                else run_bare("--config", path, "--check-config")
            expect(code, wanted_code, f"{config}: {text}")
            assert wanted in text, f"{config}: {text!r} doesn't say {wanted!r}"
        code, text = daemon.run("--config", daemon.path("none.json"), "--check-config")
        assert code == 2 and "none.json: No such file" in text, text
        assert not os.path.exists(daemon.control)


def run_bare(*args):
    """vhostd with these arguments and no others."""
    with Daemon(start=False) as daemon:
        daemon.command = lambda *more: [os.environ["VHOSTD"], *more]
        return daemon.run(*args)


def test_command_line():
    for args, code, wanted in [
            (["--version"], 0, "vhostd "),
            (["--help"], 0, "usage: vhostd"),
            (["--nonsense"], 2, "--nonsense is not an option"),
            (["--memory"], 2, "--memory needs a value"),
            (["stray"], 2, "stray is not an option"),
            (["--memory", "lots"], 2, '--memory: "lots" is not a number'),
            (["--poll", "default"], 2, '"default" is no poll mode'),
            (["--poll-idle-us", "0"], 2, "is not a number of microseconds from 1 to 1000000"),
            (["--lcores", "x"], 2, '--lcores: "x"'),
            (["--control", "/" + "x" * 108], 2, "--control: ")]:
        got, text = run_bare(*args)
        expect(got, code, f"{args}: {text}")
        assert wanted in text, f"{args}: {text!r} doesn't say {wanted!r}"


def test_the_command_line_wins():
    with Daemon("--log-level", "err", config={"log_level": "debug", "memory": 99}) as daemon:
        with daemon.client() as client:
            expect(client.ok("log.level")["level"], "err")
            expect(client.ok("daemon.info")["memory_mb"], 64)  # Daemon() gives --memory


# -- systemd ----------------------------------------------------------------------------------


def notifications(sock, wanted, timeout_s=20.0):
    """Receives until a datagram has the line `wanted`; all lines so far."""
    lines = []
    sock.settimeout(timeout_s)
    while wanted not in lines:
        lines += sock.recv(4096).decode().split("\n")
    return lines


def test_sd_notify():
    with tempfile.TemporaryDirectory(prefix="vhostd-") as directory:
        path = os.path.join(directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
            config = {"devices": [{"name": "d0", **DISK}]}
            with Daemon(config=config, env=env) as daemon:
                assert "STATUS=serving 1 disk" in notifications(manager, "READY=1") + \
                    notifications(manager, "WATCHDOG=1")
                began = time.monotonic()
                for _ in range(5):
                    notifications(manager, "WATCHDOG=1")
                took = time.monotonic() - began
                assert 0.4 < took < 5, f"5 pings in {took} s"
                with daemon.client() as client:
                    client.ok("device.del", name="d0")
                notifications(manager, "STATUS=serving 0 disks")
                daemon.signal(signal.SIGHUP)
                lines = notifications(manager, "READY=1")
                assert "RELOADING=1" in lines, lines
                assert any(line.startswith("MONOTONIC_USEC=") for line in lines), lines
                daemon.signal(signal.SIGTERM)
                notifications(manager, "STOPPING=1")
                expect(daemon.wait(), 0)


def test_the_journal_gets_priorities():
    with Daemon(start=False) as daemon:
        daemon.env["JOURNAL_STREAM"] = "1:1"
        daemon.start()
        daemon.wait_log("vhostd: ready after")
        assert "<5>" not in daemon.log()
        daemon.stop()
        st = os.stat(daemon.log_path)
        daemon.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        daemon.start()
        daemon.wait_log("<5>vhostd: ready after")
        expect(daemon.stop(), 0)


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
