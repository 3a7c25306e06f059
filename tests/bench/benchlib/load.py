# SPDX-License-Identifier: BSD-3-Clause
"""One measurement: vhostperf on a disk for a while, and what that cost its back end."""

import json
import statistics
import time

from .process import OTHER_CPU, Lines

WARM_UP_S = 0.2
SLICE_S = 0.1
ANSWER_TIMEOUT_S = 120.0


class Load:
    """4 KiB random reads by a polling client."""

    def __init__(self, build, socket, depth, ring="split", queues=1):
        self.perf = Lines([f"{build}/tools/vhostperf/vhostperf", socket, "--depth", str(depth),
                           "--ring", ring, "--queues", str(queues), "--phases", "--json"],
                          cpu=OTHER_CPU)

    def end_phase(self, name):
        self.perf.send(name)
        figures = json.loads(self.perf.receive(ANSWER_TIMEOUT_S))
        if figures["errors"]:
            raise self.perf.failure(f"{figures['errors']} requests failed")
        return figures

    def close(self):
        self.perf.close()


def write_all(build, socket, size):
    """Once over the disk, so that a store in memory has all of it."""
    block = 64 << 10
    perf = Lines([f"{build}/tools/vhostperf/vhostperf", socket, "--rw", "write", "--overwrite",
                  "--bs", str(block), "--phases", "--json"], cpu=OTHER_CPU)
    left = size // block
    while left > 0:
        time.sleep(0.1)
        perf.send("")
        left -= json.loads(perf.receive(ANSWER_TIMEOUT_S))["requests"]
    perf.close()


def slice_of_run(load, backend, seconds):
    """The figures of the next so many seconds."""
    cpu_ns, busy_us = backend.cpu_ns(), backend.lcore_busy_us()
    load.end_phase("between")
    time.sleep(seconds)
    figures = load.end_phase("slice")
    cpu_s = (backend.cpu_ns() - cpu_ns) / 1e9
    n = figures["requests"]
    return {"iops": figures["iops"], "p50_us": figures["latency_us"]["p50"],
            "p99_us": figures["latency_us"]["p99"],
            "iops_per_cpu_s": n / cpu_s if cpu_s > 0 else None,
            "lcore_ns": None if busy_us is None or not n
                        else (backend.lcore_busy_us() - busy_us) * 1e3 / n}


def measure(build, backend, disk, seconds, depth, ring="split", queues=1):
    """What a run of so many seconds gives, as a list of its slices: on a machine that is shared, a
    median of many short ones leaves out what the machine takes away now and then."""
    load = Load(build, backend.socket(disk), depth, ring, queues)
    try:
        time.sleep(WARM_UP_S)
        return [slice_of_run(load, backend, SLICE_S)
                for _ in range(max(1, round(seconds / SLICE_S)))]
    finally:
        load.close()


def medians(slices):
    """Figure by figure."""
    some = {key: [one[key] for one in slices if one[key] is not None] for key in slices[0]}
    return {key: statistics.median(values) if values else None for key, values in some.items()}
