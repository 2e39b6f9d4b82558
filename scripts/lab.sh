#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs a lab in a guest with the module loaded, and keeps what it says.
#
#   scripts/lab.sh NAME EXPECTED TRANSCRIPT COMMAND...
#
# NAME is that of the log in build/labs, EXPECTED how long it takes, TRANSCRIPT the file in
# labs/ that the documentation shows. Environment:
#   RENEW        not empty: writes TRANSCRIPT anew, if all was as expected
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -gt 3 ] || die "usage: scripts/lab.sh NAME EXPECTED TRANSCRIPT COMMAND..."
log=$build/labs/$1.log
transcript=$top/$3
mkdir -p "$build/labs"
say "Running the lab $1 in a guest (about $2; log: ${log#"$top"/})"
# The guest's clock goes by its instructions: on a busy machine no timer runs out too early,
# what is measured is comparable, and time that is only waited for is skipped.
# shellcheck disable=SC2016 # for the guest's shell
"$top/scripts/guest.sh" -d -m 1536 -n "lab-$1" -t 1800 \
	sh -c 'insmod build/module/rust_loopback.ko numdevs=0 &&
		echo "Linux $(uname -r), $(date -u +%F)" && exec "$@"' sh "${@:4}" 2>&1 | tee "$log" ||
	die "not all was as the lab expects; see ${log#"$top"/}, and build/logs/guest-lab-$1.log for the kernel's log"
# said FILE: the commands and checks in it, without numbers, which differ from run to run.
said() {
	sed -nE 's/^ *# /# /p; /^\[ ok \]/ { s/-?[0-9]+(\.[0-9]+)?/N/g; p }' "$1" | sort -u
}

if [ -n "${RENEW:-}" ]; then
	cp "$log" "$transcript"
	say "Renewed ${transcript#"$top"/}"
elif ! cmp -s <(said "$log") <(said "$transcript"); then
	say "The run has other commands or checks than ${transcript#"$top"/}, which RENEW=1 writes anew"
fi
