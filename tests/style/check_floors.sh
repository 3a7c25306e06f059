#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A file includes only its own floor or a lower one, and each library only where it belongs.
set -euo pipefail
cd "$1/src"
floors=(base pure engine device control)
bad=0

complain() {
	echo "$1"
	bad=1
}

for ((i = 0; i < ${#floors[@]}; i++)); do
	for ((k = i + 1; k < ${#floors[@]}; k++)); do
		while read -r line; do
			complain "a higher floor: $line"
		done < <(grep -rn "#include \"${floors[k]}/" "${floors[i]}" || true)
	done
done

# only HEADER-PATTERN ALLOWED-PATTERN
only() {
	while read -r line; do
		[[ ${line%%:*} =~ $2 ]] || complain "$1 has no place here: $line"
	done < <(grep -rnE "#include [<\"]$1" . || true)
}

only 'json' '^\./control/'
only 'rte_vhost' '^\./device/endpoint\.c$'
only 'rte_(version)' '^\./(engine/eal\.c|device/vhost_msg\.h)$'
only 'rte_' '^\./(engine/(eal\.c|lcores?\.c|turn\.h)|device/(endpoint\.c|vhost_msg\.h))$'
only 'liburing' '^\./engine/uring_ring\.h$'
only 'libaio' '^\./engine/(store_aio\.c|signaller\.c|aio_ring\.h)$'

# The pure floor does no I/O, no allocation and no logging.
while read -r line; do
	complain "not pure: $line"
done < <(grep -nE '\b(malloc|calloc|free|open|read|write|ioctl|log_[a-z]+)\(' pure/*.[ch] || true)
exit $bad
