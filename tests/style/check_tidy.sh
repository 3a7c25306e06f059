#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# clang-tidy over the product; its checks are in .clang-tidy. The analyzer looks at so many states of
# a function at most: with its default of 225000 it takes three times as long.
set -euo pipefail
cd "$1"
find src tools -name '*.c' -print0 |
	xargs -0 -P 2 -n 6 clang-tidy --quiet -p "$2" \
		--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang \
		--extra-arg=max-nodes=30000 --extra-arg=-Wno-unknown-warning-option \
		--extra-arg=-Wno-unused-command-line-argument
