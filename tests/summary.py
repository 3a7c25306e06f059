#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Adds up meson's JUnit reports: names what failed or was skipped, prints the closing line.

summary.py --failed-builds N REPORT...     exits 1 unless all passed
"""

import argparse
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    """(passed, failed, skipped) of one report; names those that did not pass."""
    passed = failed = skipped = 0
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        print(f"FAILED: no report {path}: {error}")
        return 0, 1, 0
    for suite in root.iter("testsuite"):
        for case in suite.iter("testcase"):
            name = f"{suite.get('name')}: {case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                print(f"FAILED: {name} ({path})")
                failed += 1
            elif case.find("skipped") is not None:
                print(f"SKIPPED: {name} ({path})")
                skipped += 1
            else:
                passed += 1
    if passed + failed + skipped == 0:
        print(f"FAILED: no test in {path}")
        failed += 1
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--failed-builds", type=int, default=0)
    parser.add_argument("reports", nargs="*")
    args = parser.parse_args()
    totals = [0, args.failed_builds, 0]
    for _ in range(args.failed_builds):
        print("FAILED: a build")
    for path in args.reports:
        totals = [a + b for a, b in zip(totals, count(path))]
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] or totals[2] else 0


if __name__ == "__main__":
    sys.exit(main())
