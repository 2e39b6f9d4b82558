# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the selftests: KTAP with one line a check, network namespaces that
# are removed at the end, counters, and a look at the kernel's log.
#
# A test sources this file, makes checks, and calls finish as its last command.

: "${KSELFTEST:?is not set: run the tests with make -C selftests run_tests}"
. ./checks.sh
# shellcheck source=/dev/null # of the kernel, and checked there
. "$KSELFTEST/net/lib.sh"

# The module that was built for the running kernel, or that in the folder MODULES
# of build/; if there is none, the installed one.
module=
for candidate in "$PWD"/../build/${MODULES:-module*}/rust_loopback.ko; do
	[ "$(modinfo -F vermagic "$candidate" 2>/dev/null | cut -d ' ' -f 1)" != "$(uname -r)" ] ||
		module=$candidate
done
[ -n "$module" ] || module=$(modinfo -n rust_loopback)
# The sources of a kernel like the running one.
# shellcheck disable=SC2034 # for the tests that source this file
kernel=$(realpath "$KSELFTEST/../../..")

# report NAME COMMAND...: runs a program that prints its checks ("is NAME|EXPECTED|FOUND"), its
# figures ("figure NAME|VALUE") and notes; another line is part of an error.
report() {
	local what=$1 line name rest
	shift
	while IFS= read -r line; do
		name=${line#* } rest=${line#*|}
		name=${name%%|*}
		case $line in
		'is '*) is "$name" "${rest%%|*}" "${rest#*|}" ;;
		*) echo "# ${line#\# }" ;;
		esac
	done < <(exec "$@" 2>&1)
	wait $!
	is "$what: it came to its end" 0 $?
}

# slow: whether the environment says that the machine is slow.
slow() { [ "${KSFT_MACHINE_SLOW:-no}" = yes ]; }

# repeats COUNT [SLOW]: SLOW, or a quarter of COUNT, on a slow machine.
repeats() { if slow; then echo "${2:-$((($1 + 3) / 4))}"; else echo "$1"; fi; }

# share PART PARTS...: how much of $seconds is a part's among these, by the weights in the array shares.
share() {
	local part total=0
	for part in "${@:2}"; do
		# shellcheck disable=SC2004,SC2154 # an associative array, of the test
		total=$((total + shares[$part]))
	done
	# shellcheck disable=SC2154 # of the test
	echo $((seconds * shares[$1] / total))
}

load_module() { insmod "$module" "$@"; }

unload_module() { rmmod rust_loopback; }

# undo COMMAND: what is to be done when the test finishes, however it ends.
undo=()
undo() { undo=("$1" "${undo[@]}"); }

module_loaded() { [ -d /sys/module/rust_loopback ]; }

# pin_programs OBJECT...: pins the programs and maps of build/selftests/OBJECT.bpf.o in $pins, until
# the test finishes. Not in /sys, which ip(8) mounts anew for another namespace.
pins=/tmp/selftest-programs
pin_programs() {
	local object
	mkdir $pins
	mount -t bpf bpf $pins
	for object; do
		bpftool prog loadall "../build/selftests/$object.bpf.o" $pins pinmaps $pins
	done
}

# new_ns VARIABLE...: as setup_ns, with a process that lives in each namespace,
# so that counters are read without a process. cleanup_ns ends it.
declare -A resident
new_ns() {
	local variable
	setup_ns "$@"
	for variable in "$@"; do
		nsenter --net="/run/netns/${!variable}" sleep infinity &
		resident[${!variable}]=$!
		disown
		until [ "/proc/$!/ns/net" -ef "/run/netns/${!variable}" ]; do
			kill -0 $! || return
			sleep 0.05
		done
	done
}

# Columns of /proc/net/dev.
declare -A column=([rx_bytes]=1 [rx_packets]=2 [rx_errors]=3 [rx_dropped]=4
	[tx_bytes]=9 [tx_packets]=10 [tx_errors]=11 [tx_dropped]=12)

# statistics NAMESPACE DEVICE: the line of /proc/net/dev, in the array statistics.
statistics() {
	while read -r -a statistics; do
		[ "${statistics[0]}" != "$2:" ] || return 0
	done <"/proc/${resident[$1]}/net/dev"
	echo "$2 is not in the namespace $1" >&2
	return 1
}

# counter NAMESPACE DEVICE NAME: one of the device's statistics (rx_packets, ...).
counter() { statistics "$1" "$2" && echo "${statistics[${column[$3]}]}"; }

# counters NAMESPACE DEVICE: packets and bytes, received and sent.
counters() {
	local name line=
	statistics "$1" "$2" || return
	for name in rx_packets rx_bytes tx_packets tx_bytes; do
		line+="$name=${statistics[${column[$name]}]} "
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

# device_of NAMESPACE ADDRESS [OPTION...]: the device that the route leads over.
device_of() {
	local route
	route=$(ip -n "$1" route get "${@:2}" 2>/dev/null)
	[[ ! $route =~ dev\ ([^ ]+) ]] || echo "${BASH_REMATCH[1]}"
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

# netdev_genl NAMESPACE ARGUMENT...: asks netdev-genl with the kernel's own program. Prints JSON.
netdev_genl() {
	nsenter --net="/run/netns/$1" "$kernel/tools/net/ynl/pyynl/cli.py" --no-schema --output-json \
		--spec "$kernel/Documentation/netlink/specs/netdev.yaml" "${@:2}"
}

# taint: what has tainted the kernel, but for an unsigned module of another tree.
taint() { echo $(($(cat /proc/sys/kernel/tainted) & ~(4096 | 8192))); }

# lockdep_works WHEN: on a kernel that has it. After the first report of any kind it is silent.
lockdep_works() {
	[ ! -e /proc/lockdep_stats ] ||
		is "$1: debug_locks" 1 "$(awk '/debug_locks:/ { print $2 }' /proc/lockdep_stats)"
}

finish() {
	local command
	trap - EXIT
	for command in "${undo[@]}"; do
		eval "$command"
	done
	cleanup_all_ns
	! module_loaded || ok "the module unloads" timeout 120 rmmod rust_loopback
	[ ! -d $pins ] || { umount $pins && rmdir $pins; }
	lockdep_works "at last"
	is "nothing else has tainted the kernel" "$tainted" "$(taint)"
	is "no network namespace is left over" "" "$(ip netns list)"
	ok "the kernel's log reaches back to the start" sh -c "dmesg | grep -qF '$mark'"
	# With the status of grep: nothing found.
	is "the kernel's log is clean" " (1)" "$(kernel_log | grep -E -f bad-log) ($?)"
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
tainted=$(taint)
lockdep_works "at first"
! module_loaded || unload_module
