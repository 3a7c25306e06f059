# SPDX-License-Identifier: BSD-3-Clause
"""Disk A: a polling front end whose latencies are measured in phases, and the lcore's own account
of the same time."""

import json

from .process import OTHER_CPU, Lines

PHASE_TIMEOUT_S = 120.0


class Probe:
    """4 KiB random reads on disk A at a depth."""

    def __init__(self, build, socket_path, depth):
        self.perf = Lines([f"{build}/tools/vhostperf/vhostperf", socket_path, "--rw", "randread",
                           "--bs", "4k", "--depth", str(depth), "--wait", "poll", "--phases",
                           "--json"], cpu=OTHER_CPU, gives_way=True)

    def end_phase(self, name):
        """Ends the phase that runs: its figures."""
        self.perf.send(name)
        figures = json.loads(self.perf.receive(PHASE_TIMEOUT_S))
        if figures["phase"] != name:
            raise self.perf.failure(f"ended phase {figures['phase']!r} instead of {name!r}")
        if figures["errors"]:
            raise self.perf.failure(f"{figures['errors']} requests failed")
        return figures

    def close(self):
        self.perf.close()


def longest_turn(client):
    """(us, text) of the lcore's longest turn since the last call."""
    lcore = client.ok("lcore.list", reset=True)["lcores"][0]
    cause = lcore.get("longest_turn_cause", "-")
    if "longest_turn_device" in lcore:
        cause += f" of {lcore['longest_turn_device']}"
    return lcore["longest_turn_us"], cause
