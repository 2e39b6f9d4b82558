# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests that a device does what lo does: a namespace in which both have an
# address of each family, and functions that do the same thing on both, compare
# what came out, and look at what exactly each device counted.
#
# In commands, the words DEVICE, IPV4 and IPV6 stand for a device's name and
# addresses, OTHER for the name of the other device.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }

declare -A ipv4=([lo]=10.6.0.1 [rlo0]=10.7.0.1)
declare -A ipv6=([lo]=fd00:6::1 [rlo0]=fd00:7::1)
declare -A other=([lo]=rlo0 [rlo0]=lo)

ip -n "$ns" link add rlo0 type rlo
for device in lo rlo0; do
	ip -n "$ns" link set $device up
	ip -n "$ns" addr add "${ipv4[$device]}/32" dev $device
	ip -n "$ns" addr add "${ipv6[$device]}/128" dev $device nodad
done

# words DEVICE COMMAND...: the command for this device, in the array words.
words() {
	local device=$1
	shift
	words=("${@//DEVICE/$device}")
	words=("${words[@]//IPV4/${ipv4[$device]}}")
	words=("${words[@]//IPV6/${ipv6[$device]}}")
	words=("${words[@]//OTHER/${other[$device]}}")
}

# The one process that makes the traffic of all checks in sockets.py.
coproc sockets { in_ns ./sockets.py 2>&1; }

# sockets TOPIC [ARGUMENT...]: the answer.
sockets() {
	local line
	echo "$*" >&"${sockets[1]}"
	while read -r line && [ "$line" != . ]; do
		echo "$line"
	done <&"${sockets[0]}"
}

# on DEVICE COMMAND...: runs it, a topic of sockets.py or a program in the
# namespace, and sets
#   output   what it printed, and its exit status if that is not 0
#   moved    packets and bytes that the device counted
#   beside   the same of the other device
#   arrived  the same of IP, what it received from any device
on() {
	local device=$1 status=0
	local -a words before after
	shift
	words "$device" "$@"
	read -r -d "" -a before < <(sockets measure "$device" "${other[$device]}")
	if [ "${words[0]}" = sockets ]; then
		output=$("${words[@]}")
	else
		output=$(in_ns "${words[@]}" 2>&1) || status=$?
	fi
	read -r -d "" -a after < <(sockets measure "$device" "${other[$device]}")
	[ $status -eq 0 ] || output+="${output:+; }exit status $status"
	# Sentences that name the device or its address compare.
	output=${output//${ipv4[$device]}/IPV4}
	output=${output//${ipv6[$device]}/IPV6}
	output=$(sed "s/\b$device\b/DEVICE/g; s/\b${other[$device]}\b/OTHER/g" <<<"$output")
	moved="$((after[0] - before[0])) packets, $((after[1] - before[1])) bytes"
	beside="$((after[2] - before[2])) packets, $((after[3] - before[3])) bytes"
	arrived="$((after[4] - before[4])) packets, $((after[5] - before[5])) bytes"
}

still="0 packets, 0 bytes"

# each COMMAND...: on both devices, without a check.
each() {
	local device
	local -a words
	for device in lo rlo0; do
		words "$device" "$@"
		in_ns "${words[@]}"
	done
}

# same NAME EXPECTED COMMAND...: prints this on the device, and on lo too. Leaves
# in lo_moved what was counted when it was run on lo.
same() {
	local name=$1 expected=$2 lo
	shift 2
	on lo "$@"
	lo=$output
	lo_moved="$moved; $beside"
	on rlo0 "$@"
	is "$name" "$expected" "$output"
	is "$name: lo does the same" "$lo" "$output"
}

# differs NAME LO EXPECTED COMMAND...: prints LO on lo, and EXPECTED on the device:
# a difference that is known.
differs() {
	local name=$1 lo=$2 expected=$3
	shift 3
	on lo "$@"
	is "$name: lo" "$lo" "$output"
	on rlo0 "$@"
	is "$name: a device" "$expected" "$output"
}

# exact NAME EXPECTED PACKETS BYTES COMMAND...: as same, and each device counts
# exactly these packets, while the other stands still.
exact() {
	local name=$1 expected=$2 counted="$3 packets, $4 bytes"
	shift 4
	same "$name" "$expected" "$@"
	is "$name: counted by the device, and by lo" "$counted; $still" "$moved; $beside"
	is "$name: lo counts the same" "$lo_moved" "$moved; $beside"
}

# through NAME EXPECTED COMMAND...: as same, for traffic whose number of packets
# is not known before: all that IP received came through the device.
through() {
	local name=$1
	same "$@"
	is "$name: all packets went through the device, none through lo" \
		"$arrived; $still" "$moved; $beside"
	is "$name: and there were packets" yes "$([ "${moved%% *}" -gt 0 ] && echo yes)"
}

# pings NAME FAMILY COUNT: exact counters of echoes with 56 bytes of data.
pings() {
	local size=84
	[ "$2" = IPV4 ] || size=104
	exact "$1: $2, answered" "$3 received" $((2 * $3)) $((2 * $3 * size)) \
		sh -c "ping -q -n -i 0.002 -c $3 $2 | grep -o '[0-9]* received'"
}

# What was sent was received, and nothing was lost: the last checks of a test.
balanced() {
	local names="rx_dropped tx_dropped rx_errors tx_errors"
	is "all that was sent was received" "$(counter "$ns" rlo0 tx_packets) $(counter "$ns" rlo0 tx_bytes)" \
		"$(counter "$ns" rlo0 rx_packets) $(counter "$ns" rlo0 rx_bytes)"
	# shellcheck disable=SC2086 # several names
	same "${names// /, }" $'0\n0\n0\n0' sh -c "cd /sys/class/net/DEVICE/statistics && cat $names"
}
