# SPDX-License-Identifier: BSD-3-Clause
"""Runs vhostperf, whose binary is named by $VHOSTPERF, and looks at what it prints."""

import contextlib
import json
import os
import subprocess
import time

from vhostd_rpc import expect

PATIENCE_S = 60.0


def command(socket, *args):
    return [os.environ["VHOSTPERF"], socket, *map(str, args)]


class Ended:
    """A vhostperf that has ended: status, out, err."""

    def __init__(self, argv, env=None, stdout=subprocess.PIPE):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, env=env,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr


def run(socket, *args, **kwargs):
    return Ended(command(socket, *args), **kwargs)


def measure(socket, *args):
    """The results of a run in which everything goes well."""
    done = run(socket, "--json", *args)
    expect((done.status, done.err), (0, ""), f"{args}")
    return check_sane(json.loads(done.out))


def measure_some(socket, *args):
    """The results of a run in which something was done: a loaded machine may give a short one no
    time at all."""
    for _ in range(5):
        result = measure(socket, *args)
        if result["requests"] > 0:
            return result
    raise AssertionError(f"{args}: no request was done: {result}")


def failing(socket, *args):
    """(results, what stands on standard error) of a run that fails."""
    done = run(socket, "--json", *args)
    expect(done.status, 1, f"{args}: {done.err}")
    return check_sane(json.loads(done.out)), done.err


def refused(socket, *args):
    """Standard error of a run that never begins, and its status."""
    done = run(socket, *args)
    expect(done.out, "", f"{args}")
    return done.status, done.err


def check_sane(result):
    """What holds for every result."""
    for key in "latency_us", "latency_net_us":
        values = [result[key][name] for name in
                  ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
        assert values == sorted(values), result[key]
        assert result[key]["min"] <= result[key]["mean"] <= result[key]["max"], result[key]
    expect(result["reads"] + result["writes"], result["requests"])
    assert result["gap_net_max_us"] <= result["gap_max_us"], result
    if result["seconds"] > 0.1:
        rate = result["requests"] / result["seconds"]
        assert abs(result["iops"] - rate) <= 0.01 * rate + 1, result
    return result


@contextlib.contextmanager
def running(socket, *args, **kwargs):
    """A vhostperf that runs; it is killed if it still does at the end."""
    process = subprocess.Popen(command(socket, *args), stdin=kwargs.pop("stdin", subprocess.PIPE),
                               stdout=subprocess.PIPE, stderr=kwargs.pop("stderr", subprocess.PIPE),
                               text=True, **kwargs)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in process.stdin, process.stdout, process.stderr:
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Phases:
    """A vhostperf --phases --json."""

    def __init__(self, process):
        self.process = process

    def end(self, name):
        """Ends a phase; its results, which are there at once."""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        result = check_sane(json.loads(self.process.stdout.readline()))
        expect(result["phase"], name)
        return result

    def wait_load(self):
        """Ends phases until there are requests in one."""
        while self.end("start")["requests"] == 0:
            time.sleep(0.05)

    def finish(self):
        """Ends standard input: (last results, status, standard error)."""
        self.process.stdin.close()
        result = check_sane(json.loads(self.process.stdout.read()))
        self.process.wait(PATIENCE_S)
        return result, self.process.returncode, self.process.stderr.read()
