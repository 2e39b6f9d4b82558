#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the selftests in a guest: shows a line for each test and every check
# that failed, and counts. Fails if a check failed, was skipped, or none ran.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

log=$logs/selftests.log
mkdir -p "$logs"
say "Running the selftests in a guest (about 8 min; log: ${log#"$top"/})"
status=0
"$top/scripts/guest.sh" -n selftests -t 3000 make -C selftests run_tests 2>&1 |
	tee "$log" | grep --line-buffered -vE '^# (ok|TAP|1\.\.|overriding)|^make|^# # Totals' || status=$?

count() { grep -cE "$1" "$log" || true; }
files=$(sed -n '/^TEST_PROGS/,/[^\\]$/p' "$top/selftests/Makefile" | grep -c '\.sh')
finished=$(count '^(not )?ok [0-9]+ selftests')
skipped=$(count '^(# )?ok .*# SKIP')
passed=$(($(count '^# ok ') - $(count '^# ok .*# SKIP')))
failed=$(($(count '^# not ok ') + $(count '^not ok .*(TIMEOUT|missing)')))
if [ "$finished" -ne "$files" ]; then
	printf 'error: %d of %d tests came to an end; see %s\n' "$finished" "$files" "${log#"$top"/}" >&2
	failed=$((failed + files - finished))
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$skipped" -eq 0 ] && [ "$passed" -gt 0 ] &&
	! grep -q '^not ok' "$log"
