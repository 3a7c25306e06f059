#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# No function over 60 lines, no file over 500; no left-overs; nothing that is no source.
set -euo pipefail
cd "$1"
bad=0
mapfile -t files < <(find src include tools -name '*.[ch]')

while read -r line; do
	echo "over 500 lines: $line"
	bad=1
done < <(wc -l "${files[@]}" | awk '$2 != "total" && $1 > 500')

while read -r line; do
	echo "over 60 lines: $line"
	bad=1
done < <(awk 'FNR == 1 { start = 0 } /^\{/ { start = FNR; name = last }
	/^\}/ { if (start && FNR - start > 60) print FILENAME ":" start ": " name; start = 0 }
	{ if ($0 !~ /^[ \t{}]/ && $0 != "") last = $0 }' "${files[@]}")

while read -r line; do
	echo "left over: $line"
	bad=1
done < <(grep -nE '\b(TODO|FIXME|XXX)\b' "${files[@]}" || true)

# Fuzzers' corpora are the only binary files; all are small.
while read -r file; do
	echo "no source: $file"
	bad=1
done < <(git ls-files -z | grep -zv '^tests/fuzz/corpus/' | xargs -0 grep -LI '' | xargs -r ls -s)
while read -r file; do
	echo "over 256 KiB: $file"
	bad=1
done < <(git ls-files -z | xargs -0 ls -1s --block-size=K | awk '$1 + 0 > 256')
exit $bad
