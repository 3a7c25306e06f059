#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
set -euo pipefail
cd "$1"
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
	--inline-suppr --suppress=missingIncludeSystem --suppress=unknownMacro \
	--suppress=checkersReport -j 2 -Isrc -Iinclude -Itools/frontend src tools/vhostctl \
	tools/vhostperf
