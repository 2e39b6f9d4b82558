#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the KUnit suites, which a kernel with KUNIT runs when the module is
# loaded, and shows the result with the kernel's own parser (kunit.py).
#
#   scripts/kunit.sh uml     on User-mode Linux, in seconds
#   scripts/kunit.sh debug   in a guest with the debug kernel
#   scripts/kunit.sh coverage   there, with the module that counts what runs
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "${IN_BUILD_ROOT:-}" ] || exec "$top/scripts/in-root.sh" env ACCEL="${ACCEL:-}" /src/scripts/kunit.sh "$@"

kernel=${1:-}
log=$logs/kunit-$kernel.log
mkdir -p "$logs"
# Not the kernel's own suites, which would run at boot and taint the kernel.
suites="kunit.enable=1 kunit.autorun=1 kunit.filter_glob=netdev_*"
load=(/src/scripts/kunit-load.sh "/src/build/module-$kernel/rust_loopback.ko")
status=0
case $kernel in
uml)
	say "Running the KUnit suites on User-mode Linux (about 3 s; log: ${log#"$top"/})"
	"$top/scripts/uml.sh" -a "$suites" uml "${load[@]}" >"$log" 2>&1 || status=$?
	;;
debug)
	say "Running the KUnit suites on the debug kernel (about 1 min; log: ${log#"$top"/})"
	"$top/scripts/guest.sh" -k debug -n kunit -a "$suites" "${load[@]}" >"$log" 2>&1 || status=$?
	;;
coverage)
	say "Running the KUnit suites with counters on the debug kernel (about 1 min; log: ${log#"$top"/})"
	kernel=debug
	"$top/scripts/guest.sh" -k debug -n kunit-coverage -a "$suites kmemleak=off" \
		tools/coverage/guest.sh scripts/kunit-load.sh build/coverage/module/rust_loopback.ko \
		>"$log" 2>&1 || status=$?
	;;
*) die "usage: scripts/kunit.sh uml|debug|coverage" ;;
esac

if [ $status -ne 0 ] || grep -qE -f "$top/selftests/bad-log" "$log"; then
	printf 'error: the kernel under the KUnit suites ended with status %d or reported a bug; the end of %s:\n' \
		$status "${log#"$top"/}" >&2
	tail -n 40 "$log" | sed 's/^/    /' >&2
	exit 1
fi
python3 "$build/linux-$kernel/tools/testing/kunit/kunit.py" parse "$log"
