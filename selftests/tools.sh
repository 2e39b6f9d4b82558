#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tools that shape, filter and watch traffic do with a device what they do
# with lo: tc, nft, tcpdump.

. ./beside_lo.sh

# rtt ADDRESS: of the fastest of three echoes, in whole ms.
rtt() { in_ns ping -q -n -c 3 -i 0.01 -W 60 "$1" | sed -n 's/^rtt min[^=]*= \([0-9]*\)\..*/\1/p'; }

received() { in_ns ping -q -n -c 3 -i 0.01 -W 1 "$1" | grep -o '[0-9]* received'; }

# What the device's qdisc says in its statistics.
qdisc_sent() { in_ns tc -s qdisc show dev "$1" root | sed -n 's/^ Sent \(.* pkt\) .*/\1/p'; }

qdiscs() {
	local time direction address
	ip -n "$ns" link add rlo1 type rlo
	ip -n "$ns" link set rlo1 up
	ip -n "$ns" addr add 10.7.1.1/32 dev rlo1
	in_ns tc qdisc add dev rlo0 root netem delay 200ms
	# Once for the request, once for the reply.
	time=$(rtt "${ipv4[rlo0]}")
	is "netem delay 200ms: 400 ms or more there and back (${time:-no} ms)" yes \
		"$([ "${time:-0}" -ge 400 ] && echo yes)"
	for address in 10.7.1.1 ${ipv4[lo]}; do
		time=$(rtt "$address")
		is "netem delay: less than 200 ms to $address on another loopback (${time:-no} ms)" yes \
			"$([ "${time:-200}" -lt 200 ] && echo yes)"
	done
	in_ns tc qdisc replace dev rlo0 root netem loss 100%
	is "netem loss: nothing comes back" "0 received" "$(received "${ipv4[rlo0]}")"
	is "netem loss: the qdisc dropped the packets" "dropped 3" \
		"$(in_ns tc -s qdisc show dev rlo0 root | grep -o 'dropped [0-9]*')"
	for address in 10.7.1.1 ${ipv4[lo]}; do
		is "netem loss: nothing is lost to $address on another loopback" "3 received" "$(received "$address")"
	done
	in_ns tc qdisc del dev rlo0 root
	ip -n "$ns" link del rlo1

	each tc qdisc add dev DEVICE root tbf rate 100mbit burst 256kb latency 400ms
	pings tbf IPV4 10
	# A qdisc counts the Ethernet header too.
	is "tbf: the qdisc saw each packet once" "$((20 * 98)) bytes 20 pkt" "$(qdisc_sent rlo0)"
	is "tbf: as on lo" "$(qdisc_sent lo)" "$(qdisc_sent rlo0)"
	each tc qdisc del dev DEVICE root

	each tc qdisc add dev DEVICE clsact
	for direction in ingress egress; do
		each tc filter add dev DEVICE "$direction" matchall action pass
	done
	pings clsact IPV4 10
	pings clsact IPV6 10
	# The Ethernet header is there at egress only.
	for direction in "ingress 3760" "egress 4320"; do
		same "clsact ${direction% *}: each packet once" "${direction#* } bytes 40 pkt" \
			sh -c "tc -s filter show dev DEVICE ${direction% *} | sed -n 's/^.*Sent \(.* pkt\) .*/\1/p'"
	done
	each tc qdisc del dev DEVICE clsact
}

# nft_counters DEVICE: of each hook, packets and bytes.
nft_counters() {
	in_ns nft list counters | tr -d '\n\t' | grep -o "counter $1_[a-z_]* {packets [0-9]* bytes [0-9]*" |
		sed "s/counter $1_//; s/ {packets/:/; s/ bytes//"
}

# nft_rules DEVICE: each hook counts what comes in by the device or goes out by it.
nft_rules() {
	local hook
	for hook in "iifname prerouting" "iifname input" "oifname output" "oifname postrouting"; do
		cat <<-EOF
			add counter inet beside $1_${hook#* }
			add chain inet beside ${hook#* } { type filter hook ${hook#* } priority 0; }
			add rule inet beside ${hook#* } ${hook% *} $1 counter name $1_${hook#* }
		EOF
	done
	for hook in new established; do
		cat <<-EOF
			add counter inet beside $1_ct_$hook
			add rule inet beside input iifname $1 ct state $hook counter name $1_ct_$hook
		EOF
	done
	for hook in ingress egress; do
		cat <<-EOF
			add counter netdev beside $1_$hook
			add chain netdev beside $1_$hook { type filter hook $hook device $1 priority 0; }
			add rule netdev beside $1_$hook meta protocol { ip, ip6 } counter name $1_$hook
		EOF
	done
}

# nft_compare WHAT COUNT EGRESS: what both devices' hooks count, packets and bytes; at egress there is
# the Ethernet header, too.
nft_compare() {
	local hook expected lo counted
	lo=$(nft_counters lo)
	counted=$(nft_counters rlo0)
	for hook in prerouting input output postrouting ingress egress; do
		[ $hook = egress ] && expected=$3 || expected=$2
		is "nft, $1, $hook: each packet once" "$hook: $expected" "$(grep "^$hook:" <<<"$counted")"
	done
	is "nft, $1: as on lo, connection tracking too" "$lo" "$counted"
}

netfilter() {
	in_ns nft add table inet beside
	in_ns nft add table netdev beside
	ok "nft: rules for both devices" in_ns nft -f - < <(nft_rules lo; nft_rules rlo0)
	pings nft IPV4 10
	nft_compare IPV4 "20 1680" "20 1960"
	pings nft IPV6 10
	nft_compare "IPV4 and IPV6" "40 3760" "40 4320"
	in_ns nft delete table inet beside
	in_ns nft delete table netdev beside
}

# Packets in the capture files, in the order of the arguments.
captured() {
	local file
	for file; do
		tcpdump -n -r "$dumps/$file" 2>/dev/null | wc -l
	done | paste -sd' '
}

# tcpdump sees a packet when it is sent and when it is received. Of lo, and only
# of a device with this name, libpcap hides the sent ones.
captures() {
	local device direction expected processes=()
	dumps=$(mktemp -d)
	for device in lo rlo0; do
		for direction in in out inout; do
			in_ns tcpdump -n -U --immediate-mode -i $device -Q $direction \
				-w "$dumps/$device-$direction" 2>"$dumps/$device-$direction.log" &
			processes+=($!)
		done
	done
	slowwait 60 sh -c "[ \$(cat $dumps/*.log | grep -c 'listening on') -eq 6 ]"
	in_ns ping -q -n -c 5 -i 0.01 "${ipv4[rlo0]}" >/dev/null
	slowwait 60 sh -c "[ \$(tcpdump -n -r $dumps/rlo0-inout 2>/dev/null | wc -l) -ge 20 ]"
	expected="10 10 20"
	is "tcpdump on the device: received, sent, both" "$expected" \
		"$(captured rlo0-in rlo0-out rlo0-inout)"
	is "tcpdump on lo: nothing of it" "0 0 0" "$(captured lo-in lo-out lo-inout)"
	in_ns ping -q -n -c 5 -i 0.01 "${ipv4[lo]}" >/dev/null
	slowwait 60 sh -c "[ \$(tcpdump -n -r $dumps/lo-inout 2>/dev/null | wc -l) -ge 10 ]"
	is "tcpdump on lo: received; the sent ones are hidden" "10 0 10" "$(captured lo-in lo-out lo-inout)"
	is "tcpdump on the device: nothing of lo" "$expected" "$(captured rlo0-in rlo0-out rlo0-inout)"
	kill "${processes[@]}"
	wait "${processes[@]}" 2>/dev/null
	rm -r "$dumps"
}

qdiscs
netfilter
captures
balanced

finish
