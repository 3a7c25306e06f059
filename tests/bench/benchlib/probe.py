# SPDX-License-Identifier: BSD-3-Clause
"""Disk A: a polling front end whose latencies are measured in phases, and the lcore's own account
of the same time."""

import json

from .process import OTHER_CPU, Lines

PHASE_TIMEOUT_S = 120.0


class Figures:
    """What was measured in phases of the same kind, added up. Latencies are in us and net of the
    front end's own absence."""

    def __init__(self):
        self.buckets = {}
        self.n = 0
        self.seconds = self.max_us = self.gap_us = 0.0
        self.phase_p999_us = []

    def add(self, phase):
        latency = phase["latency_net_us"]
        for us, count in latency["histogram"]:
            self.buckets[us] = self.buckets.get(us, 0) + count
            self.n += count
        self.seconds += phase["seconds"]
        self.max_us = max(self.max_us, latency["max"])
        self.gap_us = max(self.gap_us, phase["gap_net_max_us"])
        self.phase_p999_us.append(latency["p99.9"])

    def p999_spread_us(self):
        """How far the phases lie apart: the noise floor of this figure."""
        return max(self.phase_p999_us) - min(self.phase_p999_us)

    def percentile(self, percent):
        """The latency in us that so many per cent of the requests do not exceed."""
        rank, seen = self.n * percent / 100.0, 0
        for us in sorted(self.buckets):
            seen += self.buckets[us]
            if seen >= rank:
                return us
        return 0.0

    def json(self):
        percentiles = {f"p{percent:g}": self.percentile(percent) for percent in (50, 99, 99.9)}
        return {"seconds": round(self.seconds, 3), "requests": self.n, **percentiles,
                "max": self.max_us, "gap_max_us": self.gap_us,
                "phases_p99.9": self.phase_p999_us}


class Probe:
    """4 KiB random reads on disk A at a depth."""

    def __init__(self, build, socket_path, depth):
        self.perf = Lines([f"{build}/tools/vhostperf/vhostperf", socket_path, "--rw", "randread",
                           "--bs", "4k", "--depth", str(depth), "--wait", "poll", "--phases",
                           "--json", "--histogram"], cpu=OTHER_CPU, gives_way=True)
        self.figures = {}

    def end_phase(self, name):
        """Ends the phase that runs, and adds it to the figures of this name."""
        self.perf.send(name)
        phase = json.loads(self.perf.receive(PHASE_TIMEOUT_S))
        if phase["phase"] != name:
            raise self.perf.failure(f"ended phase {phase['phase']!r} instead of {name!r}")
        if phase["errors"]:
            raise self.perf.failure(f"{phase['errors']} requests failed")
        self.figures.setdefault(name, Figures()).add(phase)

    def close(self):
        self.perf.close()
