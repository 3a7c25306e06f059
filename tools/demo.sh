#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# From a clean clone on a bare Debian 12 to a Linux guest on vhostd's disks, and one of the disks
# deleted under it. This script installs and builds; what is then shown is in demo.py.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$ROOT/build
LOG=$BUILD/demo/log # of the last command that apt-get or the build was run with
readonly ROOT BUILD LOG
readonly BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkgconf
	libdpdk-dev libjson-c-dev libaio-dev liburing-dev libcmocka-dev libfuse3-dev"
readonly GUEST_PACKAGES="python3 qemu-system-x86 e2fsprogs"
# Unpacked in the build folder by mkimage, not installed.
readonly UNPACKED_PACKAGES="linux-image-cloud-amd64 busybox-static"

usage() {
	cat <<-'END'
		usage: tools/demo.sh [--keep]

		Installs the Debian packages that are missing (as root or with sudo), builds vhostd in build/,
		starts it without hugepages with a memory disk and a file-backed disk, boots a Linux guest on
		them, checks its I/O, and deletes one disk while the guest uses both. Takes about a minute once
		the packages are there. All its state is in build/demo. Exit status 0: all was as it has to be.

		  --keep   leave vhostd and the guest running, and print how to attach to them
		  --help   this text
	END
}

die() {
	echo "demo.sh: $*" >&2
	exit 1
}

step() {
	printf '[%5.1f s] %s\n' "$(elapsed)" "$*"
}

elapsed() {
	awk -v start="$DEMO_START" -v now="$EPOCHREALTIME" 'BEGIN { print now - start }'
}

as_root() {
	if [[ $EUID == 0 ]]; then
		"$@"
	else
		sudo "$@"
	fi
}

is_installed() {
	dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

missing_packages() {
	local package
	for package in $BUILD_PACKAGES $GUEST_PACKAGES; do
		is_installed "$package" || echo "$package"
	done
}

apt_knows() { # PACKAGE...: all can be had
	local package
	for package in "$@"; do
		apt-cache show "$package" >/dev/null 2>&1 || return 1
	done
}

run_logged() {
	"$@" >"$LOG" 2>&1 || { tail -n 20 "$LOG" >&2 && die "this failed: $*, see $LOG"; }
}

apt_get() {
	run_logged as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

apt_install() { # once more with fresh lists, if packages have moved on since
	(apt_get install --no-install-recommends "$@") 2>/dev/null ||
		{ apt_get update && apt_get install --no-install-recommends "$@"; }
}

install_packages() {
	local missing
	mapfile -t missing < <(missing_packages)
	# shellcheck disable=SC2086 # a list of words
	if [[ ${#missing[@]} == 0 ]] && apt_knows $UNPACKED_PACKAGES; then
		return
	fi
	[[ $EUID == 0 ]] || command -v sudo >/dev/null ||
		die "not root, and there is no sudo; as root: apt-get update && apt-get install ${missing[*]}"
	# shellcheck disable=SC2086
	if ! apt_knows "${missing[@]}" $UNPACKED_PACKAGES; then
		step "updating the package lists"
		apt_get update
	fi
	[[ ${#missing[@]} != 0 ]] || return 0
	step "installing ${missing[*]}"
	apt_install "${missing[@]}"
}

build() {
	step "building vhostd in $BUILD"
	if [[ ! -e $BUILD/build.ninja ]]; then
		run_logged meson setup "$BUILD" "$ROOT"
	fi
	run_logged ninja -C "$BUILD" src/vhostd tools/vhostctl/vhostctl
}

main() {
	case ${1-} in
	"" | --keep) ;;
	--help) usage && exit ;;
	*) usage >&2 && exit 2 ;;
	esac
	export LC_ALL=C.UTF-8
	export DEMO_START=$EPOCHREALTIME
	mkdir -p "$BUILD/demo"
	install_packages
	build
	exec python3 "$ROOT/tools/demo.py" "$BUILD" "$@"
}

main "$@"
