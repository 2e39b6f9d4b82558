#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes into pages of Documentation/ what their commands print in a guest with the stock kernel.
#
#   scripts/transcripts.sh [PAGE...]   (all that have commands)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2046 # several pages
[ $# -gt 0 ] || set -- $("$top/scripts/in-root.sh" python3 -B selftests/transcript.py --list)
mkdir -p "$logs"
for page; do
	file=$top/Documentation/$page.rst
	[ -f "$file" ] || die "there is no page Documentation/$page.rst"
	say "Running the commands of Documentation/$page.rst (about 1 min; log: build/logs/transcript-$page.log)"
	new=$build/transcript-$page.rst
	# The commands' own output is the page; what is said on the way is not.
	"$top/scripts/guest.sh" -n "transcript-$page" -t 1200 bash -c \
		"insmod build/module/rust_loopback.ko && selftests/transcript.py --write Documentation/$page.rst 2>/tmp/said; status=\$?; sed 's/^/@ /' /tmp/said; exit \$status" \
		>"$logs/transcript-$page.log" ||
		die "a command of Documentation/$page.rst failed: $(grep '^@ ' "$logs/transcript-$page.log" || echo "see build/logs/transcript-$page.log")"
	sed -n '/^\.\. SPDX/,$p' "$logs/transcript-$page.log" | grep -v '^@ ' >"$new"
	[ -s "$new" ] || die "nothing came of Documentation/$page.rst; see build/logs/transcript-$page.log"
	if cmp -s "$new" "$file"; then
		rm "$new"
		say "Documentation/$page.rst is as it was"
	else
		mv "$new" "$file"
		say "Documentation/$page.rst has changed: see 'git diff'"
	fi
done
