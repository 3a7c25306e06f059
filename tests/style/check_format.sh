#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every C file is as clang-format leaves it.
set -euo pipefail
cd "$1"
find src include tools tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
