# SPDX-License-Identifier: BSD-3-Clause
"""What happens to disk B, one class a scenario.

`prepare` brings B to where it stands in the quiet phase, which is between `begin_quiet` and
`end_quiet`. `happen` is the event and returns when it is over (the time of a deletion in ms, or
None). These make a round, and there may be many. `clean` ends what is left of the last one."""

import os
import threading
import time

from . import control
from .process import BenchError, Lines

MIB = 1 << 20


def twice(size):
    """Of a size such as 512M."""
    return f"{2 * int(size[:-1])}{size[-1]}" if size[-1].isalpha() else str(2 * int(size))


class Scenario:
    """A disk B in memory with a front end that one of bench-trouble's parts plays."""

    number = 0
    title = ""
    daemon_env = {}
    rounds_max = 1000
    quiet_s = 0.3
    # What librte_vhost's one event thread can't do for others while it is held in B's handler.
    control_held_ms = {}

    def __init__(self, rig):
        self.rig = rig
        self.front_end = None
        self.failure = None  # in words: it did not end as it must

    def add(self, name="B", **params):
        params = {"backend": "malloc", "size": "1G", **params}
        return self.rig.client.ok("device.add", name=name, **params)

    def trouble(self, part, *args):
        """Starts a part of bench-trouble on B; it is set up when this returns."""
        command = [f"{self.rig.build}/tests/bench/bench-trouble", part, "--socket",
                   self.rig.path("B.sock"), *map(str, args)]
        self.front_end = Lines(command, gives_way=True)
        self.front_end.expect("ready", 300.0)

    def begin(self):
        self.front_end.send("go")
        self.front_end.expect("running")

    def leave(self):
        """The front end has said that it is done, or is gone."""
        self.front_end.close()
        self.front_end = None

    def timed_del(self, force=True, name="B"):
        start = time.monotonic()
        self.rig.client.ok("device.del", name=name, force=force)
        return (time.monotonic() - start) * 1e3

    def del_if_there(self, name="B"):
        answer = self.rig.client.call("device.del", name=name, force=True)
        if "error" in answer and answer["error"]["data"]["error"] != "NOT_FOUND":
            raise BenchError(f"device.del {name}: {answer['error']['message']}")

    def wait_until_unused(self, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while self.rig.client.ok("device.show", name="B")["connected"]:
            if time.monotonic() > deadline:
                raise BenchError("B's front end has gone, and B does not know")
            time.sleep(0.002)

    def prepare(self):
        self.add()

    def begin_quiet(self):
        """B works as it will while the event happens, if it does."""

    def end_quiet(self):
        pass

    def happen(self):
        raise NotImplementedError

    def clean(self):
        if self.front_end:
            self.leave()
        self.del_if_there()


class FrontEndExits(Scenario):
    """1: as a guest that is shut down."""

    number = 1
    title = "1 front end exits, del"

    def prepare(self):
        self.add()
        self.trouble("load", "--depth", 4, "--bs", "4K")
        self.begin()

    def happen(self):
        self.front_end.send("stop")
        self.front_end.expect("done")
        self.leave()
        self.wait_until_unused()
        return self.timed_del(force=False)


class ForcedUnderLoad(Scenario):
    """2: with requests in flight all the time."""

    number = 2
    title = "2 del --force, 128 in flight"

    def prepare(self):
        self.add()
        self.trouble("load", "--depth", 128, "--bs", "4K")
        self.begin()

    def happen(self):
        ms = self.timed_del()
        self.front_end.expect("done")
        self.leave()
        return ms


class KilledWithMemory(Scenario):
    """3: its memory was touched from the daemon's side, page by page."""

    number = 3
    title = "3 front end killed, touched memory, del"
    rounds_max = 2
    quiet_s = 1.0

    def prepare(self):
        self.title = f"3 front end killed, {self.rig.memory} touched, del"
        self.add()
        self.trouble("idle", "--mem", self.rig.memory, "--touch")

    def happen(self):
        self.front_end.kill()
        self.leave()
        return self.timed_del()


class EventThreadHeld(Scenario):
    """4: munmap() and close() of the event thread take 2 s while B's connection is torn down."""

    number = 4
    title = "4 event thread held 2 s in teardown, del"
    control_held_ms = {"connect": 2000.0}
    quiet_s = 1.0

    def __init__(self, rig):
        super().__init__(rig)
        self.order_path = os.path.join(rig.dir, "hold")
        self.daemon_env = {"LD_PRELOAD": f"{rig.build}/tests/hold.so",
                           "HOLD_FILE": self.order_path}

    def prepare(self):
        self.add()
        self.trouble("load", "--depth", 4, "--bs", "4K")
        self.begin()

    def happen(self):
        new = self.order_path + ".new"
        with open(new, "w", encoding="utf-8") as file:
            file.write("2000 both vhost-events once\n")
        os.rename(new, self.order_path)
        ms = self.timed_del()
        if os.path.exists(self.order_path):
            os.unlink(self.order_path)
            raise BenchError("the event thread was not held: it neither unmaps nor closes there")
        self.front_end.expect("done")
        self.leave()
        return ms


class StoreHangs(Scenario):
    """5: requests in flight on a file system that does not answer; it comes back after 2 s."""

    number = 5
    title = "5 store hangs 2 s, del --force"
    quiet_s = 1.0

    def prepare(self):
        path = self.rig.file_that_hangs("B.img", 64 * MIB)
        self.add(backend="aio", path=path, size="64M")
        self.trouble("load", "--depth", 32, "--bs", "4K")
        self.begin()

    def happen(self):
        self.rig.store.send("hang")
        self.rig.store.expect("ok")
        come_back = threading.Timer(2.0, self.rig.store.send, ["pass"])
        come_back.start()
        try:
            ms = self.timed_del()
        finally:
            come_back.join()
            self.rig.store.expect("ok")
        self.front_end.expect("done")
        self.leave()
        return ms


class MemoryTables(Scenario):
    """6: memory hot-plug: a region stays, with B's I/O in it, another comes and goes each
    millisecond. Without the messages, the same I/O is what the quiet phase has."""

    number = 6
    title = "6 SET_MEM_TABLE again and again"
    rounds_max = 1
    quiet_s = 2.0

    def prepare(self):
        self.title = f"6 SET_MEM_TABLE each ms, {self.rig.memory} + {self.rig.memory}"
        self.add()
        self.trouble("plug", "--mem", twice(self.rig.memory), "--regions", 2, "--touch")

    def begin_quiet(self):
        self.front_end.send("lull")
        self.front_end.expect("running")

    def end_quiet(self):
        self.front_end.send("stop")
        self.front_end.expect("done")

    def happen(self):
        self.begin()
        time.sleep(self.rig.seconds)
        self.front_end.send("stop")
        self.front_end.expect("done")


class Churn(Scenario):
    """7: a thousand connections, a thousand lives, 64 at once, one name from eight sides."""

    number = 7
    title = "7 1000 connections, 1000 lives, 64 dels at once"
    rounds_max = 1
    quiet_s = 2.0

    def happen(self):
        self.trouble("connect", "--count", 1000)
        self.begin()
        self.front_end.expect("done", 120.0)
        for _ in range(1000):
            self.add(name="B2", backend="null")
            self.timed_del(name="B2")
        self.many_at_once()
        self.race()

    def many_at_once(self):
        names = [f"many{i}" for i in range(64)]
        for method, params in (("device.add", {"backend": "null", "size": "1G"}),
                               ("device.del", {"force": True})):
            for name in names:
                self.rig.client.send(method, name=name, **params)
            for _ in names:
                answer = self.rig.client.receive()
                if "error" in answer:
                    raise BenchError(f"{method}: {answer}")

    def one_racer(self):
        with self.rig.daemon.client() as client:
            for _ in range(50):
                client.call("device.add", name="race", backend="null", size="1G")
                client.call("device.del", name="race", force=True)

    def race(self):
        racers = [threading.Thread(target=self.one_racer) for _ in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        self.del_if_there("race")


class Hostile(Scenario):
    """8: one after the other."""

    number = 8
    title = "8 half messages, no reader, kicks, GET_VRING_BASE"
    rounds_max = 1
    quiet_s = 2.0

    def happen(self):
        for part in ("half", "noread", "kicks", "base"):
            self.trouble(part)
            self.begin()
            time.sleep(max(0.5, self.rig.seconds / 4))
            self.front_end.send("stop")
            self.front_end.expect("done")
            self.leave()


class ResetWhileHung(Scenario):
    """9: GET_VRING_BASE is answered when the store has come back."""

    number = 9
    title = "9 GET_VRING_BASE while the store hangs 2 s"
    rounds_max = 1
    quiet_s = 2.0

    def prepare(self):
        path = self.rig.file_that_hangs("B.img", 64 * MIB)
        self.add(backend="aio", path=path, size="64M")
        self.trouble("reset", "--depth", 32, "--bs", "4K")

    def happen(self):
        self.rig.store.send("hang")
        self.rig.store.expect("ok")
        self.begin()
        time.sleep(2.0)
        control.connect(self.rig.path("A2.sock")).close()
        self.rig.store.send("pass")
        self.rig.store.expect("ok")
        self.front_end.expect("done")


ALL = (FrontEndExits, ForcedUnderLoad, KilledWithMemory, EventThreadHeld, StoreHangs, MemoryTables,
       Churn, Hostile, ResetWhileHung)
