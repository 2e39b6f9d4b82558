#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes a target beside others: it compiles with the time that these leave, which is much, for
# most of a test waits.
#
#   scripts/beside.sh TARGET OTHERS...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

target=$1
shift
log=$logs/beside-$target.log
mkdir -p "$logs"
say "Making $target at low priority beside what follows (log: ${log#"$top"/})"
make_target() { nice -n 19 make --no-print-directory "$target" >"$log" 2>&1; }
beside make_target
make --no-print-directory "$@"
step "Making the rest of $target" "15 min at most" "beside-$target-rest" \
	tail -n +1 -f --pid="${besides[0]}" "$log"
if ! wait "${besides[0]}"; then
	cat "$log" >&2
	exit 1
fi
