# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Checks, one line of KTAP each. Sourced by lib.sh, and by tests that are not selftests.

# shellcheck source=/dev/null # of the kernel, and checked there
. "$KSELFTEST/kselftest/ktap_helpers.sh"

# is NAME EXPECTED ACTUAL: the two are the same text.
is() {
	if [ "$2" = "$3" ]; then
		ktap_test_pass "$1"
	else
		ktap_test_fail "$1"
		printf '%s\n' "expected: $2" "found:    $3" | sed 's/^/#   /'
	fi
}

# ok NAME COMMAND...: the command succeeds. What it said is in said.
ok() {
	local name=$1 status=0
	shift
	said=$("$@" 2>&1) || status=$?
	if [ "$status" -eq 0 ]; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
		printf '%s\n' "exit status $status: $*" "$said" | sed 's/^/#   /'
	fi
}

# sentence COMMAND...: what a refused command says, and its exit status.
sentence() {
	local output status=0
	output=$("$@" 2>&1 >/dev/null) || status=$?
	printf '%s (%d)' "${output//$'\n'/ }" $status
}
