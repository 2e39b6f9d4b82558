#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the selftests in a guest: shows a line for each test and every check
# that failed, and counts. Fails if a check failed, was skipped, or none ran.
#
#   scripts/selftests.sh [stock|debug]   on this kernel (stock); on the debug kernel all of them
#                                        with ALL=1, and without those that take long and ask for
#                                        little of the driver
#   scripts/selftests.sh xskxceiver      the kernel's AF_XDP test suite, on the stock kernel,
#                                        in the modes of XSK_MODES (all)
#   scripts/selftests.sh coverage        all that the debug kernel can run, those two and the
#                                        stress tests, with the module that counts what runs
#   scripts/selftests.sh total           the last counts of all three, added up
#
# Most of a test is one process after another: there are two guests at a time. With three, an
# emulated CPU often waits for one that the host has stopped, and all take a half longer. On the
# debug kernel, which is many times slower, kmemleak, which doubles the time, watches over the tests
# that make and remove devices and namespaces, and over stress.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

what=${1:-stock}
kernel=$what
mkdir -p "$logs"
tests=$(sed -n '/^TEST_PROGS :=/,/[^\\]$/s/.*[ \t]\([a-z_]*\.sh\).*/\1/p' "$top/selftests/Makefile")
kmemleak="load.sh netns.sh sample.sh"
# A short version of 'make stress', on the debug kernel: so many seconds for each of the four.
stress="faults.sh races.sh hostile.sh overload.sh"
stress_seconds=45
# So that both guests have as much to do: on the debug kernel those after the guest with kmemleak,
# and those of the second guest on the stock kernel.
after_kmemleak="errors.sh localhost.sh features.sh"
second="documented.sh features.sh sockets.sh offload.sh link.sh tools.sh sample.sh xdp.sh"
# Not on the debug kernel: what the pages show is the stock kernel's, and twelve daemons with timers
# of seconds are many times slower there. What they ask of a device the other tests do, too.
stock_only="documented.sh router.sh"
# On the debug kernel with ALL=1 only, and with counters: it is the stack that they look at, over the
# device and over lo, and they take a fifth of the time.
of_the_stack="appearance.sh addressing.sh link_down.sh link.sh tools.sh sockets.sh"

# without TESTS: all others.
without() { grep -vxF "$(tr ' ' '\n' <<<"$1")" <<<"$tests" | xargs; }

# run NAME SECONDS PARAMETERS TESTS: in a guest, with the output in build/logs.
run() {
	local status=0
	"$top/scripts/guest.sh" -k "$kernel" -n "$1" -t "$2" -a "$3" \
		"${around[@]}" env KSFT_MACHINE_SLOW="$slow" XSK_MODES="${XSK_MODES:-}" \
		STRESS_SECONDS="$stress_seconds" STRESS_SEED="${SEED:-}" XSK_SEED="${SEED:-}" \
		make -C selftests run_tests \
		TEST_PROGS="$4" kselftest_override_timeout="$limit" 2>&1 |
		tee "$logs/$1.log" |
		grep --line-buffered -vE '^# (ok|TAP|1\.\.|overriding|Warning: IPv6 bind)|^make|^# # Totals|^@' ||
		status=$?
	return $status
}

# the_others: waits for what runs beside.
the_others() {
	local pid
	for pid in "${besides[@]}"; do wait "$pid" || status=$?; done
}

# shellcheck disable=SC2317 # called by beside
second_of_debug() {
	local status=0
	run selftests-kmemleak 4500 "" "$kmemleak $stress" || status=$?
	run selftests-debug-2 4500 kmemleak=off "$after_kmemleak" || status=$?
	return "$status"
}

status=0
# A command that runs the tests.
around=()
case $what in
stock)
	log=("$logs/selftests.log" "$logs/selftests-2.log")
	slow=no
	limit=$(sed -n 's/^timeout=//p' "$top/selftests/settings")
	say "Running the selftests on the stock kernel (about 12 min; logs: ${log[*]#"$top"/})"
	beside run selftests-2 3000 "" "$second"
	run selftests 3000 "" "$(without "$second")" || status=$?
	the_others
	;;
debug)
	if [ -n "${ALL:-}" ]; then
		of_the_stack='' after_kmemleak="features.sh link.sh tools.sh"
		kmemleak+=" errors.sh many.sh localhost.sh"
	fi
	tests=$(without "$stock_only $of_the_stack" | tr ' ' '\n')
	log=("$logs/selftests-debug.log" "$logs/selftests-kmemleak.log" "$logs/selftests-debug-2.log")
	slow=yes
	# Seconds for one test. The longest takes 500 on an idle host.
	limit=1800
	say "Running the selftests on the debug kernel (about 30 min; logs: ${log[*]#"$top"/})"
	beside second_of_debug
	run selftests-debug 4500 kmemleak=off "$(without "$kmemleak $after_kmemleak")" || status=$?
	the_others
	tests+=$'\n'$(tr ' ' '\n' <<<"$stress")
	;;
xskxceiver)
	log=("$logs/xskxceiver.log")
	kernel=stock
	slow=no
	limit=1200
	tests=xskxceiver.sh
	say "Running the kernel's AF_XDP test suite (about 1 min a mode; log: ${log[0]#"$top"/})"
	run xskxceiver 1500 "" "$tests" || status=$?
	;;
coverage)
	tests=$(tr ' ' '\n' <<<"$(without "$stock_only") $stress xskxceiver.sh")
	log=("$logs/coverage.log" "$logs/coverage-2.log")
	kernel=debug
	slow=yes
	limit=3600
	stress_seconds=200
	# Chance is to run the same lines each time.
	SEED=${SEED:-1}
	around=(tools/coverage/guest.sh env MODULES=coverage/module)
	second="offload.sh sockets.sh xdp.sh xsk.sh xskxceiver.sh"
	say "Running the suites with counters on the debug kernel (about 40 min; logs: ${log[*]#"$top"/})"
	beside run coverage-2 5400 kmemleak=off "$second"
	run coverage 5400 kmemleak=off "$(without "$second")" || status=$?
	the_others
	;;
total)
	awk '{ passed += $1; failed += $3; skipped += $5 }
		END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' \
		"$logs"/selftests-{stock,xskxceiver,debug}.summary
	exit 0
	;;
*) die "usage: scripts/selftests.sh [stock|debug|xskxceiver|coverage|total]" ;;
esac

tally "$(wc -w <<<"$tests")" "${log[@]}" || status=1
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped" |
	tee "$logs/selftests-$what.summary"
exit "$status"
