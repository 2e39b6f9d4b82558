# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For labs that are shell scripts: a transcript with the commands that were typed, what
# they said, and what is expected of it. Sourced, not run.
#
# A lab has network, process and mount namespaces of its own, and /tmp/lab for
# its files: with its end its devices, rules, servers and files are gone.

# shellcheck source=../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

[ "$(id -u)" -eq 0 ] || die "a lab makes network devices: run it as root, or with 'make' in a guest"
[ -d /sys/module/rust_loopback ] || modprobe rust_loopback numdevs=0 ||
	die "the module rust_loopback is neither loaded nor installed: see Documentation/building.rst"
[ -n "${LAB_INSIDE:-}" ] || exec env LAB_INSIDE=1 \
	unshare --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$@"

cd "$(dirname "$0")" || exit
mkdir -p /tmp/lab /run/netns
mount -t tmpfs -o mode=1777 tmpfs /tmp/lab || exit
mount -t tmpfs tmpfs /run/netns || exit
trap 'umount -l /tmp/lab; rmdir /tmp/lab' EXIT
trap 'exit 130' INT TERM
ip link set lo up

checks=0 failed=0
# An empty line before the next command, where the last one said something; and
# whether there is one already.
gap='' fresh=''

title() {
	printf '\n\n%s\n%s\n\n' "$*" "${*//?/=}"
	gap='' fresh=yes
}

note() {
	[ -n "$fresh" ] || echo
	printf '%s\n\n' "$*" | fold -s -w 88 | sed 's/ $//'
	gap='' fresh=yes
}

# show COMMAND [ERROR]: as on the screen of a shell: the line as it is typed, and what it
# says, which is in said afterwards, too. It has to work, or to say this error.
show() {
	local status=0
	printf '%s# %s\n' "$gap" "$1"
	gap='' fresh=''
	# Not into a pipe: a server that stays would hold it open.
	eval "$1" >/tmp/lab/said 2>&1 || status=$?
	said=$(tr -d '\r' </tmp/lab/said)
	[ -z "$said" ] || printf '%s\n' "$said"
	[ -z "$said" ] || gap=$'\n'
	[ "$status" -ne 0 ] || return 0
	[[ -n ${2:-} && $said == *$2* ]] || die "this command should have worked, but its exit status is $status: $1"
	return 1
}

# expect CLAIM FOUND OPERATOR VALUE: = compares text, <, <=, > and >= numbers.
expect() {
	local good='' bound='' number='^-?[0-9]+(\.[0-9]+)?$'
	checks=$((checks + 1))
	if [ "$3" = "=" ]; then
		[ "$2" != "$4" ] || good=yes
	else
		bound=" ($3 $4)"
		[[ ! $2 =~ $number || ! $4 =~ $number ]] || ! awk "BEGIN { exit !($2 $3 $4) }" || good=yes
	fi
	gap=$'\n'
	if [ -n "$good" ]; then
		printf '[ ok ] %s: %s%s\n' "$1" "$2" "$bound"
	else
		printf '[FAIL] %s: found %s, expected %s %s\n' "$1" "${2:-nothing}" "$3" "$4"
		failed=$((failed + 1))
	fi
}

# calculate EXPRESSION [FORMAT]
calculate() { awk "BEGIN { printf(\"${2:-%.0f}\", ($1)) }"; }

# finish: the verdict, as the last command of a lab.
finish() {
	echo
	[ "$failed" -eq 0 ] || die "$failed of $checks checks have failed: look for [FAIL] above"
	say "All $checks checks are good"
	exit 0
}
