# SPDX-License-Identifier: BSD-3-Clause
"""One scenario: set up, nothing, the event; again and again."""

import time

from .probe import Probe
from .process import BenchError

SETTLE_S = 0.3  # after B was set up
QUIET_PHASES = 3
AFTERWARDS_S = 0.2  # what goes on when the event is over belongs to it


class Rounds:
    """The rounds of one scenario at one depth."""

    def __init__(self, rig, scenario, depth):
        self.rig = rig
        self.scenario = scenario
        self.probe = Probe(rig.build, rig.path("A.sock"), depth)
        self.n = 0
        self.busy_turns = []
        self.quiet_turns = []
        self.control_ms = {}
        self.control_net_ms = {}
        self.del_ms = None

    def set_up(self):
        self.scenario.prepare()
        self.scenario.begin_quiet()
        time.sleep(SETTLE_S)
        self.probe.end_phase("set up")

    def quiet(self):
        """In short phases: how much they differ is the machine's doing."""
        self.rig.forget_turns()
        for _ in range(QUIET_PHASES):
            time.sleep(self.scenario.quiet_s / QUIET_PHASES)
            self.probe.end_phase("quiet")
        self.quiet_turns.append(self.rig.turns())
        self.scenario.end_quiet()

    def busy(self):
        self.rig.forget_turns(trace=True)
        self.probe.end_phase("between")
        ms = self.scenario.happen()
        time.sleep(AFTERWARDS_S)
        self.probe.end_phase("busy")
        self.busy_turns.append(self.rig.turns())
        if ms is not None:
            self.del_ms = max(ms, self.del_ms or 0.0)

    def one(self, control):
        self.set_up()
        self.quiet()
        control.figures()
        self.busy()
        for longest, ms in zip((self.control_ms, self.control_net_ms), control.figures()):
            longest.update({name: max(ms[name], longest.get(name, 0.0)) for name in ms})
        self.n += 1

    def run(self):
        """So many that the busy phases are long enough together."""
        with self.rig.control() as control:
            while not self.n or (not self.scenario.failure and
                                 self.n < self.scenario.rounds_max and
                                 self.probe.figures["busy"].seconds < self.rig.seconds):
                self.one(control)
        if control.error:
            raise BenchError(control.error)
        if control.n_lives == 0:
            raise BenchError("the control plane was not tried")
        self.scenario.clean()

    def close(self):
        if self.scenario.front_end:
            self.scenario.front_end.kill()
        self.probe.close()


def measure(rig, scenario, depth):
    """One scenario at one depth: a row of the table."""
    rounds = Rounds(rig, scenario, depth)
    try:
        rounds.run()
    finally:
        rounds.close()
    figures = rounds.probe.figures
    turn_us, turn_cause, _ = max(rounds.busy_turns, key=lambda turns: turns[0] or 0.0)
    return {"number": scenario.number, "title": scenario.title, "depth": depth,
            "quiet": figures["quiet"], "busy": figures["busy"], "set_up": figures["set up"],
            "rounds": rounds.n, "del_ms": rounds.del_ms, "turn_us": turn_us,
            "turn_cause": turn_cause,
            "slow_turns": [turn for turns in rounds.busy_turns for turn in turns[2]],
            "quiet_turn_us": max(turns[0] or 0.0 for turns in rounds.quiet_turns),
            "control_ms": rounds.control_ms, "control_net_ms": rounds.control_net_ms,
            "control_held_ms": scenario.control_held_ms,
            "failure": scenario.failure, "failures_before": []}
