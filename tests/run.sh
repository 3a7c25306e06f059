#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs what the tests need, builds vhostd in every way that counts, runs all tests, and ends
# with one line: N passed, N failed, N skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
	cat <<-EOF
	usage: tests/run.sh [OPTION] [-- BENCHMARK-OPTION...]

	Without an option: everything but what is named below; about twelve minutes on two cores.

	  --thorough     all that sanitizers bear, under each of them; half an hour
	  --suite NAME   only this suite of the plain build: unit, e2e, peer, guest, model
	                 or style
	  --fuzz SECONDS each libFuzzer target for so long, after the corpus
	  --crash ROUNDS power failures under load, so many on each back end
	  --bench NAME   a benchmark instead of the tests: neighbour, fairness, peers, scale
	                 or storage; what stands behind -- is its own (--help)
	  --no-install   don't install packages
	  --help
	EOF
}

packages=(
	gcc clang libclang-rt-14-dev clang-format clang-tidy cppcheck shellcheck meson ninja-build
	pkg-config python3 libdpdk-dev libaio-dev liburing-dev libjson-c-dev libcmocka-dev scdoc
	qemu-system-x86 qemu-utils qemu-system-common seabios busybox-static e2fsprogs fio cpio
	kmod syslinux-common syslinux mtools dosfstools fdisk util-linux spin libfuse3-dev fuse3
)

suite=
bench=
memory=(--suite unit --suite memory)
race=(--suite race)
fuzz_seconds=
crash_rounds=
install=yes
while (($#)); do
	case $1 in
	--suite) suite=${2:?--suite wants a name} && shift ;;
	--fuzz) fuzz_seconds=${2:?--fuzz wants a number of seconds} && shift ;;
	--crash) crash_rounds=${2:?--crash wants a number of rounds} && shift ;;
	--bench) bench=${2:?--bench wants a name} && shift ;;
	--thorough) memory+=(--suite memory_more) && race+=(--suite race_more) ;;
	--no-install) install= ;;
	--help) usage && exit 0 ;;
	--) shift && break ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done

as_root() {
	if ((EUID == 0)); then
		"$@"
	else
		sudo "$@"
	fi
}

install_packages() {
	local missing=() package

	for package in "${packages[@]}"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	((${#missing[@]})) || return 0
	echo "== installing ${missing[*]}"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		"${missing[@]}" >/dev/null
}

failed_builds=0
results=()

# configure DIR CC MESON-OPTION...
configure() {
	local dir=$1 cc=$2

	shift 2
	echo "== build $dir ($cc $*)"
	[[ -f $dir/build.ninja ]] || CC=$cc meson setup "$dir" "$@" >"$dir.setup.log" 2>&1 || {
		cat "$dir.setup.log"
		return 1
	}
}

# build DIR CC MESON-OPTION...
build() {
	configure "$@" && ninja -C "$1" --quiet || failed_builds=$((failed_builds + 1))
}

# run DIR LABEL MESON-TEST-ARGUMENT...
run() {
	local dir=$1 label=$2

	shift 2
	echo "== test $label"
	meson test -C "$dir" --print-errorlogs --logbase "$label" "$@" || true
	results+=("$dir/meson-logs/$label.junit.xml")
}

plain_suites() {
	build build gcc -Dwerror=true
	if [[ $suite ]]; then
		run build "$suite" --suite "$suite" --num-processes 1
		return
	fi
	run build heavy --suite guest --suite model --suite style --num-processes 2
	run build plain --suite unit --suite e2e --suite peer --num-processes 3
}

# No leak detection at exit: librte_vhost's event thread never ends, so the daemon leaves by
# _exit(). gcc warns of what ThreadSanitizer inserts: no -Werror there, and only what its tests need
# is built.
sanitizer_suites() {
	build build-asan clang -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false
	ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		run build-asan memory "${memory[@]}" --num-processes 3 --timeout-multiplier 4
	configure build-tsan gcc -Db_sanitize=thread -Db_lundef=false ||
		failed_builds=$((failed_builds + 1))
	TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/tests/sanitize/tsan.supp" \
		run build-tsan race "${race[@]}" --num-processes 2 --timeout-multiplier 4
}

fuzz() {
	local target

	build build-fuzz clang -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link
	for target in conf jsonrpc packed request ring; do
		mkdir -p "build-fuzz/corpus/$target"
		"build-fuzz/tests/fuzz/fuzz_$target" -max_total_time="$fuzz_seconds" \
			-artifact_prefix="build-fuzz/" "build-fuzz/corpus/$target" \
			"tests/fuzz/corpus/$target" || failed_builds=$((failed_builds + 1))
	done
}

crash() {
	build build gcc -Dwerror=true
	CRASH_ROUNDS=$crash_rounds run build crash --num-processes 1 --verbose \
		--timeout-multiplier "$((1 + crash_rounds / 20))" crash-aio crash-uring
	summary
}

run_bench() {
	if [[ $bench == */* || ! -x tests/bench/$bench ]]; then
		echo "tests/run.sh: there is no benchmark \"$bench\"" >&2
		exit 2
	fi
	build build gcc -Dwerror=true
	((failed_builds)) && exit 1
	exec "tests/bench/$bench" --build build "$@"
}

summary() {
	python3 tests/summary.py --failed-builds "$failed_builds" "${results[@]}"
}

if [[ $install ]]; then
	install_packages
fi
if [[ $bench ]]; then
	run_bench "$@"
fi
if [[ $fuzz_seconds ]]; then
	fuzz
	exit "$((failed_builds > 0))"
fi
if [[ $crash_rounds ]]; then
	crash
	exit
fi
plain_suites
if [[ ! $suite ]]; then
	sanitizer_suites
fi
summary
