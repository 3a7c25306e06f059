# SPDX-License-Identifier: BSD-3-Clause
"""Is one disk with two virtqueues on two lcores twice as fast as with one on one lcore?

With two CPUs there is none left for a front end, so it must cost next to nothing: it reads large
blocks from a disk in memory, which the lcores copy, and sleeps until it is interrupted, which comes
late and for several requests at once: so many are in flight that the lcore never waits for more.
What two CPUs can be at best is measured in turn with it: one thread, and two, that copy as much by
memcpy(). What the machine's memory does not give twice, no back end can; so it is also measured with
a part of the disk that CPUs have in their caches."""

import json
import statistics
import subprocess

from .backends import Vhostd
from .load import write_all
from .process import LCORE_CPU, OTHER_CPU
from .report import markdown

SIZE_MIB = 256
CACHED_MIB = 2
BLOCK_KIB = 512
DEPTH = 32  # of each virtqueue
COALESCE_US = 100
OF_COPY_WANTED = 0.9  # of the factor that plain copies have
BOTH = f"{OTHER_CPU},{LCORE_CPU}"


def json_of(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def copy_rate(options, mib, cpus):
    """Bytes a second."""
    return json_of([f"{options.build}/tests/bench/bench-copy", cpus, str(BLOCK_KIB), str(DEPTH),
                    str(mib), str(options.seconds)])["bytes_per_s"]


def read_rate(options, backend, disk, mib, queues, cpus):
    figures = json_of([f"{options.build}/tools/vhostperf/vhostperf", backend.socket(disk), "--bs",
                       f"{BLOCK_KIB}k", "--size", f"{mib}M", "--depth", str(DEPTH), "--queues", str(queues),
                       "--cpu", cpus, "--wait", "block", "--time", str(options.seconds), "--json"])
    assert not figures["errors"], figures
    return figures["iops"] * BLOCK_KIB * 1024


def one_round(options, backend, mib):
    return {"one": read_rate(options, backend, "one", mib, 1, str(OTHER_CPU)),
            "two": read_rate(options, backend, "two", mib, 2, BOTH),
            "copy_one": copy_rate(options, mib, str(LCORE_CPU)),
            "copy_two": copy_rate(options, mib, BOTH)}


def medians(mib, rounds):
    """Factors are of a round."""
    row = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    row["factor"] = statistics.median(one["two"] / one["one"] for one in rounds)
    row["copy_factor"] = statistics.median(one["copy_two"] / one["copy_one"] for one in rounds)
    return {"mib": mib, **row}


def measure(options):
    """A row for all of the disk, and one for a small part."""
    backend = Vhostd(options.build, lcores=BOTH)
    try:
        size = SIZE_MIB << 20
        how = {"poll": "adaptive", "coalesce_us": COALESCE_US}
        backend.add("one", "memory", size, lcores=str(LCORE_CPU), **how)
        backend.add("two", "memory", size, queues=2, **how)
        for disk in "one", "two":
            write_all(options.build, backend.socket(disk), size)
        return [medians(mib, [one_round(options, backend, mib) for _ in range(options.rounds)])
                for mib in (SIZE_MIB, CACHED_MIB)]
    finally:
        backend.close()


HEAD = ("read from", "one lcore GB/s", "two", "factor", "memcpy() by one thread GB/s", "by two",
        "factor")


def cells(row):
    return (f"{row['mib']} MiB", f"{row['one'] / 1e9:.1f}", f"{row['two'] / 1e9:.1f}",
            f"{row['factor']:.2f}", f"{row['copy_one'] / 1e9:.1f}", f"{row['copy_two'] / 1e9:.1f}",
            f"{row['copy_factor']:.2f}")


def describe(rows):
    return (f"One disk in memory, reads of {BLOCK_KIB} KiB, {DEPTH} for each virtqueue; one "
            "virtqueue on one lcore, and two on two. The front end sleeps until it is interrupted, "
            f"{COALESCE_US} us late at most, and shares the lcores' CPUs:\n\n" +
            markdown(HEAD, [cells(row) for row in rows]))


def targets(rows):
    """(what is wanted, what was measured, met?)"""
    return [(f"one disk on two lcores, {row['mib']} MiB of memory: at least {OF_COPY_WANTED} of what "
             f"two copying threads are to one ({OF_COPY_WANTED * row['copy_factor']:.2f})",
             f"{row['factor']:.2f} times one lcore",
             row["factor"] >= OF_COPY_WANTED * row["copy_factor"]) for row in rows]
