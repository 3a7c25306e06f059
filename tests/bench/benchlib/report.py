# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, as a table and as verdicts."""

GAP_ALLOWED_US = 100.0
TURN_ALLOWED_US = 100.0
P999_ALLOWED = 1.10
CONTROL_ALLOWED_MS = 50.0

HEAD = ("scenario", "qd", "p50 us", "p99 us", "p99.9 us", "max us", "gap us", "turn us",
        "rounds", "del ms", "control ms", "noise us", "verdict")


def verdict(row):
    """OK, or the figures that fail, with what they were allowed to be. A figure may be above that
    of the quiet phases by as much as these differ among themselves, and by what the machine took
    away at once while nothing ran."""
    quiet, busy, noise_us = row["quiet"], row["busy"], row["noise_us"]
    bad = []
    if row["failure"]:
        bad.append(row["failure"])
    allowed = quiet.percentile(99.9) * P999_ALLOWED + quiet.p999_spread_us()
    if busy.percentile(99.9) > allowed:
        bad.append(f"p99.9 {busy.percentile(99.9):.1f} > {allowed:.1f} us")
    allowed = max(quiet.gap_us, noise_us) + GAP_ALLOWED_US
    if busy.gap_us > allowed:
        bad.append(f"gap {busy.gap_us:.0f} > {allowed:.0f} us")
    allowed = TURN_ALLOWED_US + noise_us
    if row["turn_us"] is not None and row["turn_us"] > allowed:
        bad.append(f"turn {row['turn_us']:.0f} > {allowed:.0f} us ({row['turn_cause']})")
    for name, ms in (row["control_net_ms"] or {}).items():
        allowed = CONTROL_ALLOWED_MS + row["control_held_ms"].get(name, 0.0)
        if ms > allowed:
            bad.append(f"{name} of C {ms:.0f} > {allowed:.0f} ms")
    return "OK" if not bad else "; ".join(bad)


def pair(quiet, busy):
    return f"{quiet:.1f}/{busy:.1f}" if busy < 1000 else f"{quiet:.1f}/{busy:.0f}"


def cells(row):
    quiet, busy = row["quiet"], row["busy"]
    turn = "-" if row["turn_us"] is None else f"{row['turn_us']:.0f}"
    control = "-"
    if row["control_ms"]:
        control = f"{max(row['control_ms'].values()):.1f}/{max(row['control_net_ms'].values()):.1f}"
    deletion = "-" if row["del_ms"] is None else f"{row['del_ms']:.1f}"
    return (row["title"], str(row["depth"]),
            *(pair(quiet.percentile(percent), busy.percentile(percent))
              for percent in (50, 99, 99.9)),
            pair(quiet.max_us, busy.max_us), pair(quiet.gap_us, busy.gap_us), turn,
            str(row["rounds"]),
            deletion, control, f"{row['noise_us']:.0f}", row["verdict"])


def json_row(row):
    """Without objects of ours."""
    return {**row, "quiet": row["quiet"].json(), "busy": row["busy"].json(),
            "set_up": row["set_up"].json()}


def markdown(head, rows):
    """A table of cells, columns aligned."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def table(rows):
    """quiet/busy where there are two figures; control by the clock/net of the CPU's absence."""
    return markdown(HEAD, [cells(row) for row in rows])
