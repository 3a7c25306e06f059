# SPDX-License-Identifier: BSD-3-Clause
"""When a CPU was not there: its host had stopped it."""

import select

from .process import Lines


class Absence:
    """Of a CPU that something keeps busy."""

    def __init__(self, build, cpu):
        self.spells = []  # (begin, end), seconds as time.monotonic() has them
        self.watcher = Lines([f"{build}/tests/bench/bench-absent", str(cpu)], cpu=cpu)
        self.watcher.expect("ready")

    def learn(self):
        """Takes what was seen meanwhile."""
        while (b"\n" in self.watcher.rest or
               select.select([self.watcher.child.stdout], [], [], 0)[0]):
            begin, end = self.watcher.receive(10.0).split()
            self.spells.append((int(begin) / 1e9, int(end) / 1e9))

    def ms(self, begin, end):
        """How much of this time it was away at least."""
        return 1e3 * sum(max(0.0, min(end, spell_end) - max(begin, spell_begin))
                         for spell_begin, spell_end in self.spells)

    def close(self):
        self.watcher.close()
