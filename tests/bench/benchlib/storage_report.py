# SPDX-License-Identifier: BSD-3-Clause
"""What was measured of a store: medians over the rounds, ratios and differences within a round,
which don't mind that the machine is slower in one round than in the next."""

from statistics import median

from .report import markdown

RATIO_WANTED = 0.95
RATIO_DEPTH = 32  # and above
ADDED_ALLOWED_US = 10.0
POLLING = "fio polling"
AWAKE = "fio awake"  # for orientation only
PLAIN = "vhostd auto"  # what targets are for: the default


class Result:
    """One kind of work on one store: for each contender's name the figures of each round."""

    def __init__(self, store, work):
        self.store = store
        self.work = work
        self.rounds = {}

    def add(self, name, figures):
        self.rounds.setdefault(name, []).append(figures)

    def names(self, prefix):
        return [name for name in self.rounds if name.startswith(prefix)]

    def median(self, name, key):
        return median(figures[key] for figures in self.rounds[name])

    def raw(self):
        """The better fio."""
        return self.best("fio ")

    def polling(self):
        """The fio that waits as an lcore does."""
        return POLLING if POLLING in self.rounds else self.raw()

    def best(self, prefix):
        names = [name for name in self.names(prefix) if name != AWAKE]
        return max(names, key=lambda name: self.median(name, "iops"), default=None)

    def pairs(self, name, other):
        return zip(self.rounds[name], self.rounds[other])

    def ratio(self, name, other):
        """How many times the other's requests per second."""
        return median(a["iops"] / b["iops"] for a, b in self.pairs(name, other))

    def added_us(self, name):
        return median(a["p50_us"] - b["p50_us"] for a, b in self.pairs(name, self.polling()))

    def slow_turns(self, name):
        """(over 50 us, longest in us) in all rounds."""
        rounds = self.rounds[name]
        return (sum(figures["turns_over_50us"] for figures in rounds),
                max(figures["longest_turn_us"] for figures in rounds))

    def verdict(self):
        """OK, or what of the targets is missed."""
        bad = []
        if not self.names(PLAIN):
            return "-"
        if self.names("fio ") and self.work.depth >= RATIO_DEPTH:
            ratio = self.ratio(PLAIN, self.raw())
            if ratio < RATIO_WANTED:
                bad.append(f"{ratio:.2f} of {self.raw()} < {RATIO_WANTED}")
        if self.names("fio ") and self.work.depth == 1 and self.work.block_bytes == 4096:
            added_us = self.added_us(PLAIN)
            if added_us > ADDED_ALLOWED_US:
                bad.append(f"{added_us:.1f} us added > {ADDED_ALLOWED_US:.0f}")
        peer = self.best("qsd ")
        if peer and self.work.depth > 1 and self.ratio(PLAIN, peer) < 1.0:
            bad.append(f"{self.ratio(PLAIN, peer):.2f} of {peer} < 1")
        return "; ".join(bad) or "OK"

    def figures(self):
        """All of it, for a file."""
        return {"store": self.store, "work": self.work.kind, "block_bytes": self.work.block_bytes,
                "depth": self.work.depth, "rounds": self.rounds, "verdict": self.verdict()}


def table(results, head, cell, prefix=""):
    """A row for each result, a column for each contender."""
    names = list(dict.fromkeys(name for result in results for name in result.names(prefix)))
    rows = []
    for result in results:
        cells, last = cell(result, names)
        rows.append((result.store, result.work.title(), str(result.work.depth), *cells, *last))
    return markdown(("store", "work", "qd", *names, *head), rows)


def iops_cells(result, names):
    cells = []
    for name in names:
        if name not in result.rounds:
            cells.append("-")
            continue
        text = f"{result.median(name, 'iops') / 1e3:.1f}"
        if result.names("fio ") and not name.startswith("fio "):
            text += f" ({result.ratio(name, result.raw()):.2f})"
        cells.append(text)
    return cells, (result.verdict(),)


def latency_cells(result, names):
    cells = []
    for name in names:
        text = f"{result.median(name, 'p50_us'):.1f}"
        if result.names("fio ") and not name.startswith("fio "):
            text += f" ({result.added_us(name):+.1f})"
        cells.append(text)
    return cells, ()


def turn_cells(result, names):
    return ["{} ({} us)".format(*result.slow_turns(name)) for name in names], ()


def print_all(results):
    print("\nThousands of requests per second, and how many times the better fio's:\n")
    print(table(results, ("verdict",), iops_cells))
    shallow = [result for result in results if result.work.depth == 1]
    if shallow:
        print("\nMedian latency in us at depth 1, and what is added to that of a fio that polls:\n")
        print(table(shallow, (), latency_cells))
    if results[0].names("vhostd "):
        print("\nTurns of the lcore over 50 us in all rounds, and the longest one:\n")
        print(table(results, (), turn_cells, "vhostd "))
