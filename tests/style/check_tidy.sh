#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# clang-tidy over the product; its checks are in .clang-tidy.
set -euo pipefail
cd "$1"
find src tools -name '*.c' -print0 |
	xargs -0 -P 2 -n 6 clang-tidy --quiet -p "$2" \
		--extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument
