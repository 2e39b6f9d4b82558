#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own test suite for AF_XDP sockets passes on a device, which sends to
# itself, with generic XDP (mode skb), XDP in the driver (drv), and zero-copy sockets (zc).
# Each of the suite's tests is a check in each mode.
#
#   XSK_MODES    the modes ("skb drv zc")
#   XSKXCEIVER   the suite's program (the one that 'make xskxceiver' builds)

. ./lib.sh

modes=${XSK_MODES:-skb drv zc}
suite=${XSKXCEIVER:-../build/xskxceiver/xskxceiver}

# Tests that are not run in a mode. All others pass: to be skipped is a failure.
declare -A left_out=(
	["skb XDP_ADJUST_TAIL_GROW"]="the suite does not let packets grow in generic XDP"
	["skb XDP_ADJUST_TAIL_GROW_MULTI_BUFF"]="the suite does not let packets grow in generic XDP"
	# bpf_xdp_adjust_tail() gives it back as if it were not of a page pool.
	["skb XDP_ADJUST_TAIL_SHRINK_MULTI_BUFF"]="generic XDP corrupts the page that is cut off, with any driver"
	["zc STAT_RX_DROPPED"]="the suite counts packets that are too large to be copied"
	["zc TX_QUEUE_CONSUMER"]="the suite looks at the budget of sending copies"
)

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
# The device carries nothing but the suite's packets.
in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
# Buffers of 8 MiB, while the kernel still releases those of the test before.
pages=/proc/sys/vm/nr_hugepages
before=$(<$pages)
echo 16 >$pages

# run MODE NUMBER: what the suite says in one of its tests. In zero-copy mode a packet of the
# MTU must fit into a buffer when it begins; some tests leave a larger MTU.
limit=120
! slow || limit=600
run() {
	local cpus
	cpus=$(nproc)
	# In this one the suite does not wait for its receiver, which could fall behind by all
	# of its buffers if it had not the same CPU.
	[ "${tests[$2]}" != STAT_TX_INVALID ] || cpus=1
	ip -n "$ns" link set rlo0 mtu 1500
	{
		in_ns timeout "$limit" taskset -c 0-$((cpus - 1)) stdbuf -oL \
			"$suite" -i rlo0 -i rlo0 -m "$1" -t "$2" 2>&1 || echo "exit status $?"
	} | grep -vE "^(1\.\.1$|# (Totals|Error opening|Can't get|1 skipped))"
}

mapfile -t tests < <("$suite" --list | sed -n 's/^[0-9]*: //p')
is "the suite, $suite, lists its tests" yes "$([ ${#tests[@]} -gt 30 ] && echo yes)"
for mode in $modes; do
	ip -n "$ns" link add rlo0 type rlo
	ip -n "$ns" link set rlo0 up
	for number in "${!tests[@]}"; do
		name="$mode ${tests[number]}"
		if [ -n "${left_out[$name]:-}" ]; then
			echo "# $name is left out: ${left_out[$name]}"
			continue
		fi
		tries=1
		# In these the suite gives the packets a millisecond to arrive.
		[[ ! $name =~ \ STAT_(RX_FULL|FILL_EMPTY)$ ]] || tries=5
		for ((; tries; tries--)); do
			said=$(run "$mode" "$number")
			[[ ! $said =~ (^|$'\n')ok\ 1\ PASS:\  ]] || said=PASS tries=1
		done
		is "$name" PASS "$said"
		# The device has no such mode.
		[[ $said != *"mode not supported"* ]] || break
	done
	ok "$mode: the device is deleted" ip -n "$ns" link del rlo0
done
echo "$before" >$pages

finish
