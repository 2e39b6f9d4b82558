#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The features of a device are those of lo, one by one, and so is what can be
# switched. What they do is tested by offload.sh, sockets.sh, link.sh, tools.sh.

. ./beside_lo.sh

declare -A features=()
while read -r feature; do
	features[${feature%%:*}]=$feature
done < <(in_ns ethtool -k rlo0 | sed 1d)
count=0
while read -r feature; do
	is "ethtool -k: $feature" "$feature" "${features[${feature%%:*}]}"
	count=$((count + 1))
done < <(in_ns ethtool -k lo | sed 1d)
is "ethtool -k: there are features" yes "$([ $count -gt 50 ] && echo yes)"
is "ethtool -k: no other feature" "$count" "${#features[@]}"

# What lo has for good cannot be switched, and what it lets switch changes
# nothing for the transfers.
each ip link set DEVICE mtu 1500
for feature in rx-checksum tx-checksum-ip-generic tx-checksum-sctp tx-scatter-gather \
	tx-scatter-gather-fraglist highdma loopback; do
	same "ethtool -K: $feature is fixed" "Could not change any device features; exit status 1" \
		sh -c "ethtool -K DEVICE $feature off 2>&1 >/dev/null"
done
for feature in "rx-gro off" "rx-gro on" "rx-gro-list on" "rx-udp-gro-forwarding on" "tx-gso-list off"; do
	# shellcheck disable=SC2086 # a feature and its state
	same "ethtool -K: $feature" "" ethtool -K DEVICE $feature
	through "TCP with $feature" \
		$'100000 bytes, intact\nlarger than 1500: some\ncounted as captured' sockets stream tcp IPV4 DEVICE 100000 1500
done
balanced

finish
