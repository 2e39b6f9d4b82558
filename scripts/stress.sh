#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tries to break the driver, for some time: every allocation fails, everything changes at once,
# input is hostile, there is more than there is room for. Shows a line for each part and every
# check that failed, and at the end what was done, which also goes to build/stress/.
#
#   scripts/stress.sh [PART...]    of all parts, or of those named KERNEL-TEST, as debug-races
#
# Each part is a test of selftests/ in a guest of its own. Two guests run at a time: one after
# another with the debug kernel, where the checkers are, and beside it with the stock kernel,
# which does the same much oftener. Environment:
#   MINUTES   how long it may take (20; 60 with RENEW)
#   SEED      what chance begins with; what a run was is found by its seed
#   RENEW     put the figures into Documentation/reliability.rst, if nothing failed and the run got
#             as far as a whole run has to; an idle host needs 60 minutes for that
set -euo pipefail
. "$(dirname "$0")/lib.sh"

minutes=${MINUTES:-${RENEW:+60}}
minutes=${minutes:-20}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
[[ $minutes =~ ^[0-9]+$ && $minutes -ge 12 ]] ||
	die "MINUTES=$minutes: a number from 12 on is needed; the guests alone take 8 to boot and to look for leaks"
[[ $seed =~ ^[0-9]+$ ]] || die "SEED=$seed: a number is needed"
[ -z "${RENEW:-}" ] || [ "$minutes" -ge 60 ] ||
	die "MINUTES=$minutes: RENEW= is for a whole run, which takes 60 minutes or more"
results=$build/stress/$(date -u +%Y%m%d-%H%M%S)

# Seconds for the parts of each kernel, without those for the guests themselves.
# shellcheck disable=SC2034 # part() takes the one of its kernel
debug=$((minutes * 60 - 480)) stock=$((minutes * 60 - 120))

# part KERNEL TEST PERCENT [PARAMETER]: TEST in a guest, for so much of the time.
part() {
	local kernel=$1 test=$2 seconds=$((${!1} * $3 / 100)) name=$1-$2 slow=no status=0 begin=$SECONDS
	# The kernel's log has to reach back to the start.
	local log=$results/$name.log parameters="log_buf_len=16M ${4:-}"
	[[ " ${parts[*]} " == *" $name "* ]] || return 0
	[ "$kernel" = stock ] || slow=yes
	say "$name: $test.sh on the $kernel kernel (about $((seconds / 60 + 1)) min and a boot; log: ${log#"$top"/})"
	"$top/scripts/guest.sh" -k "$kernel" -n "stress-$name" -t $((seconds * 2 + 900)) -a "$parameters" \
		env KSFT_MACHINE_SLOW=$slow STRESS_SECONDS="$seconds" STRESS_SEED="$seed" \
		make -C selftests run_tests TEST_PROGS="$test.sh" \
		kselftest_override_timeout=$((seconds * 2 + 600)) >"$log" 2>&1 || status=$?
	printf 'exit status %d after %d s\n' $status $((SECONDS - begin)) >>"$log"
	sed -n "s/^# \(not ok .*\)/    $name: \1/p; s/^\(error: .*\)/    $name: \1/p" "$log"
	say "$name: $(grep -c '^# ok ' "$log" || true) checks passed, exit status $status, after $((SECONDS - begin)) s"
}

all=(debug-{faults,races,hostile,overload} stock-{races,hostile,overload})
parts=("$@")
[ $# -gt 0 ] || parts=("${all[@]}")
for name in "${parts[@]}"; do
	[[ " ${all[*]} " == *" $name "* ]] || die "there is no part $name, but these: ${all[*]}"
done
[ -z "${RENEW:-}" ] || [ $# -eq 0 ] || die "RENEW= is for a run of all parts"
mkdir -p "$results"
say "Stress for $minutes min, SEED=$seed (two guests at a time)"
# What ends when all is done, before its time, has more than an idle host needs.
# shellcheck disable=SC2317 # called by beside
on_stock() {
	part stock races 42
	part stock hostile 54
	part stock overload 4
}
beside on_stock
part debug faults 50
part debug races 27
part debug hostile 18
part debug overload 5 kmemleak=off
wait "${besides[0]}"
"$top/scripts/in-root.sh" env PYTHONDONTWRITEBYTECODE=1 python3 scripts/stress-report.py \
	"/src/${results#"$top"/}" "$seed" "$minutes" "${REVISION:-}" ${RENEW:+--renew} "${parts[@]}"
