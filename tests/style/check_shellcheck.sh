#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Every shell script.
set -euo pipefail
cd "$1"
grep -rlE '^#!/bin/(ba)?sh|^#!/usr/bin/env bash' tools tests .ci | xargs shellcheck -x
