#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots User-mode Linux, runs a command in it and exits with the command's exit
# status. Its root is the build root, read-only.
#
#   scripts/uml.sh [-a PARAMETERS] KERNEL COMMAND...
#
#   KERNEL         uml or native, see test-kernel.sh
#   -a PARAMETERS  more parameters for the kernel
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "${IN_BUILD_ROOT:-}" ] || exec "$top/scripts/in-root.sh" /src/scripts/uml.sh "$@"

usage="usage: scripts/uml.sh [-a PARAMETERS] uml|native COMMAND..."
parameters=
if [ "${1:-}" = -a ]; then
	parameters=$2
	shift 2
fi
[ $# -gt 1 ] || die "$usage"
kernel=$1
shift
[ -x "$build/linux-$kernel/linux" ] || die "there is no such kernel yet: run 'make modules-$kernel' first"

# Its memory is a file in TMPDIR. The status comes as a line (uml-init.sh).
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '%q ' "$@" >"$dir/command"
boot_status=0
# shellcheck disable=SC2086 # several parameters
TMPDIR=/tmp timeout 600 "$build/linux-$kernel/linux" mem=256M con=null con0=fd:0,fd:1 quiet \
	$parameters rootfstype=hostfs ro panic=-1 init=/src/scripts/uml-init.sh -- "$dir/command" \
	</dev/null 2>&1 |
	sed -u -e 's/\r$//' -e "/^uml: exit status /{s/.* //;w $dir/status" -e 'd}' || boot_status=$?
[ -s "$dir/status" ] || die "User-mode Linux ended without an exit status ($boot_status)"
exit "$(cat "$dir/status")"
