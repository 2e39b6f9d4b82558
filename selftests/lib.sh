# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the selftests: KTAP with one line a check, network namespaces that
# are removed at the end, counters, and a look at the kernel's log.
#
# A test sources this file, makes checks, and calls finish as its last command.

: "${KSELFTEST:?is not set: run the tests with make -C selftests run_tests}"
. "$KSELFTEST/kselftest/ktap_helpers.sh"
. "$KSELFTEST/net/lib.sh"

# The module that was built for the running kernel; if there is none, the
# installed one is meant.
module=
for candidate in "$PWD"/../build/module*/rust_loopback.ko; do
	[ "$(modinfo -F vermagic "$candidate" 2>/dev/null | cut -d ' ' -f 1)" != "$(uname -r)" ] ||
		module=$candidate
done
finished=

# is NAME EXPECTED ACTUAL: the two are the same text.
is() {
	if [ "$2" = "$3" ]; then
		ktap_test_pass "$1"
	else
		ktap_test_fail "$1"
		printf '%s\n' "expected: $2" "found:    $3" | sed 's/^/#   /'
	fi
}

# ok NAME COMMAND...: the command succeeds.
ok() {
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if [ "$status" -eq 0 ]; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
		printf '%s\n' "exit status $status: $*" "$output" | sed 's/^/#   /'
	fi
}

load_module() {
	if [ -n "$module" ]; then
		insmod "$module" "$@"
	else
		modprobe rust_loopback "$@"
	fi
}

unload_module() { rmmod rust_loopback; }

module_loaded() { [ -d /sys/module/rust_loopback ]; }

# counter NAMESPACE DEVICE NAME: one of the device's statistics (rx_packets, ...).
counter() { ip netns exec "$1" cat "/sys/class/net/$2/statistics/$3"; }

# counters NAMESPACE DEVICE: packets and bytes, received and sent.
counters() {
	local name line=
	for name in rx_packets rx_bytes tx_packets tx_bytes; do
		line+="$name=$(counter "$1" "$2" $name) "
	done
	echo "${line% }"
}

# moved NAMESPACE DEVICE COMMAND...: how many packets the device received while
# the command ran, whose output is not shown.
moved() {
	local ns=$1 device=$2 before
	shift 2
	before=$(counter "$ns" "$device" rx_packets)
	ip netns exec "$ns" "$@" >/dev/null 2>&1
	echo $(($(counter "$ns" "$device" rx_packets) - before))
}

# trace_drops: begins to trace dropped packets with their reasons.
# drops REASON: ends it, and counts those with the reason.
tracing=/sys/kernel/tracing
trace_drops() {
	: >$tracing/trace
	echo 1 >$tracing/events/skb/kfree_skb/enable
}
drops() {
	echo 0 >$tracing/events/skb/kfree_skb/enable
	grep -c "reason: $1" $tracing/trace
}

# sentence COMMAND...: what a refused command says, and its exit status.
sentence() {
	local output status=0
	output=$("$@" 2>&1 >/dev/null) || status=$?
	printf '%s (%d)' "$(tr '\n' ' ' <<<"$output" | sed 's/ *$//')" $status
}

# device_of NAMESPACE ADDRESS [OPTION...]: the device that the route leads over.
device_of() {
	ip -n "$1" route get "${@:2}" 2>/dev/null | grep -oE 'dev [^ ]+' | head -n 1 | cut -d ' ' -f 2
}

# ip_counter NAMESPACE NAME: one of the namespace's IP statistics, as nstat calls it.
ip_counter() {
	ip netns exec "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'
}

# addresses NAMESPACE [IP OPTION...]: the addresses, a line each, sorted.
addresses() {
	local ns=$1
	shift
	ip -n "$ns" -o addr show "$@" | awk '{ print $2, $3, $4 }' | sort
}

# Everything the kernel logged since this test began.
kernel_log() { dmesg | sed -n "/$mark/,\$p"; }

finish() {
	trap - EXIT
	cleanup_all_ns
	! module_loaded || unload_module
	is "no network namespace is left over" "" "$(ip netns list)"
	ok "the kernel's log reaches back to the start" sh -c "dmesg | grep -qF '$mark'"
	is "the kernel's log is clean" "" "$(kernel_log | grep -E -f bad-log)"
	ktap_set_plan $((KTAP_TESTNO - 1))
	ktap_finished
}

died() {
	echo "# the test ended before its last check"
	ktap_test_fail "all checks ran"
	finish
}

mark="selftest ${0##*/} $$"
echo "$mark" >/dev/kmsg
trap died EXIT
ktap_print_header
! module_loaded || unload_module
