#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs a command inside the Debian 13 build root, with the project at /src.
#
#   scripts/in-root.sh COMMAND [ARGUMENT...]
#
# Environment:
#   ROOT     another system to run it in, a folder
#
# The command gets a mount and a process namespace of its own: nothing stays
# mounted and no process (QEMU, virtiofsd) survives it, however it ends.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

root=${ROOT:-$build/root}
if [ "${1:-}" != --inside ]; then
	[ -d "$root/usr" ] || die "there is no system in ${root#"$top"/} yet: run 'make root' first"
	[ $# -gt 0 ] || die "usage: scripts/in-root.sh COMMAND [ARGUMENT...]"
	userns=()
	[ "$(id -u)" -eq 0 ] || userns=(--map-auto --map-root-user)
	exec unshare "${userns[@]}" --mount --pid --fork --kill-child=KILL -- "$0" --inside "$@"
fi

shift
mkdir -p "$root/src"
mount --bind "$top" "$root/src"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
exec chroot "$root" /usr/bin/env -i -C /src IN_BUILD_ROOT=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp \
	LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
