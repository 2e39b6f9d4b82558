#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Sockets of every kind work with a device as they do with lo.

. ./beside_lo.sh

families="IPV4 IPV6"
# The device does the same with both.
! slow || families=IPV4
declare -A ip_header=([IPV4]=20 [IPV6]=40)
declare -A ethertype=([IPV4]=0x800 [IPV6]=0x86dd)

# Software timestamps, in the order of time.
timestamps() {
	through "timestamps, UDP, $1" "scheduled sent received" sockets timestamps udp "$1"
	through "timestamps, TCP, $1" "scheduled sent received acknowledged" sockets timestamps tcp "$1"
}

# The receiver is on the same machine: the data are copied, and the sender told.
zerocopy() {
	local done=$'completed 0 1 2 3 copied\nintact intact intact intact'
	exact "MSG_ZEROCOPY, UDP, $1" "$done" 4 $((4 * (40000 + 8 + ip_header[$1]))) sockets zerocopy udp "$1"
	through "MSG_ZEROCOPY, TCP, $1" "$done" sockets zerocopy tcp "$1"
}

# Packet sockets see a packet when it is sent and when it is received.
packet() {
	local kind from=192.0.2.9 bytes=$((1000 + 8 + ip_header[$1]))
	[ "$1" = IPV4 ] || from=2001:db8::9
	for kind in raw dgram; do
		exact "packet socket, $kind, $1: sends" \
			"UDP: intact from $from"$'\n'"packet socket: outgoing host intact intact" \
			1 $bytes sockets packet_send $kind "$1" DEVICE
	done
	for kind in "raw $((14 + 8 + ip_header[$1]))" "dgram $((8 + ip_header[$1]))"; do
		exact "packet socket, ${kind% *}, $1: receives" "$(
			for direction in outgoing host; do
				echo "$direction ${ethertype[$1]}, hardware type 772, address 000000000000, headers ${kind#* } intact"
			done
		)" 1 $bytes sockets packet_receive "${kind% *}" "$1" DEVICE
	done
	exact "packet socket, PACKET_VNET_HDR, $1: a packet to be segmented" \
		"UDP: 10000 bytes, intact, segments of 1000
outgoing: flags 1, type 5, size 1000, intact
host: flags 1, type 5, size 1000, intact" \
		1 $((10000 + 8 + ip_header[$1])) sockets packet_vnet "$1" DEVICE 10000 1000
	exact "packet socket, TPACKET_V3 ring, $1" "outgoing intact host intact dropped 0" \
		50 $((50 * (400 + 8 + ip_header[$1]))) sockets packet_ring "$1" DEVICE 50
}

# Twice each, outgoing (4) and received: for this host (0), broadcast (1),
# multicast (2), for another host (3). lo has 00:... as its broadcast address.
packet_types() {
	exact "packet socket: types of frames" \
		"own: type 4 protocol 0x88b5 intact type 0 protocol 0x88b5 intact
other: type 4 protocol 0x88b5 intact type 3 protocol 0x88b5 intact
multicast: type 4 protocol 0x88b5 intact type 2 protocol 0x88b5 intact
broadcast: type 4 protocol 0x88b5 intact type 2 protocol 0x88b5 intact
802.2: type 4 protocol 0x2e intact type 0 protocol 0x4 intact
802.3: type 4 protocol 0x2e intact type 0 protocol 0x1 intact" \
		6 $((6 * 46)) sockets packet_types DEVICE
}

raw() {
	exact "raw socket with an IP header of its own, $1" intact 1 $((500 + ip_header[$1])) sockets raw "$1"
}

icmp() {
	in_ns sysctl -q net.ipv4.ping_group_range="1 0"
	exact "ICMP socket, $1: not permitted outside ping_group_range" "not permitted" 0 0 sockets echo "$1"
	in_ns sysctl -q net.ipv4.ping_group_range="0 0"
	exact "ICMP socket, $1: echo" "reply intact" 2 $((2 * (500 + 8 + ip_header[$1]))) sockets echo "$1"
}

mptcp() {
	local before
	before=$(ip_counter "$ns" MPTcpExtMPCapableACKRX)
	through "MPTCP, $1: on both sides" \
		$'MPTCP: yes yes\n1000000 bytes, intact\nlarger than 65536: none\ncounted as captured' \
		sockets stream mptcp "$1" DEVICE 1000000 65536
	is "MPTCP, $1: MPCapableACKRX of lo's connection and of the device's" 2 \
		$(($(ip_counter "$ns" MPTcpExtMPCapableACKRX) - before))
}

# SO_BINDTODEVICE: the device that the socket is bound to is the one that it
# sends through, whoever has the address, and the only one that it hears.
bindtodevice() {
	local bytes=$((1000 + 8 + ip_header[$1])) unreachable=576
	# The ICMP error has the packet in it; the one of IPv4 is cut.
	[ "$1" = IPV4 ] || unreachable=$((bytes + 8 + ip_header[$1]))
	exact "SO_BINDTODEVICE, $1: sender bound to the device of the address" intact 1 $bytes \
		sockets bound sender "$1" DEVICE
	exact "SO_BINDTODEVICE, $1: receiver bound to the device of the address" intact 1 $bytes \
		sockets bound receiver "$1" DEVICE
	exact "SO_BINDTODEVICE, $1: receiver bound to the other device, port unreachable" lost \
		2 $((bytes + unreachable)) \
		sockets bound receiver "$1" OTHER
	if [ "$1" = IPV4 ]; then
		same "SO_BINDTODEVICE, $1: sender bound to the other device" intact \
			sockets bound sender "$1" OTHER
		is "SO_BINDTODEVICE, $1: the packet went through the other device" \
			"$still; 1 packets, $bytes bytes" "$moved; $beside"
	else
		exact "SO_BINDTODEVICE, $1: sender bound to the other device" \
			"OSError: Network is unreachable" 0 0 sockets bound sender "$1" OTHER
	fi
}

# See bind() in sockets.py.
bind_to_address() {
	if [ "$1" = IPV4 ]; then
		through "a server bound to the address, $1" "connected, intact" sockets bind "$1"
	else
		differs "a server bound to the address, $1" "connected, intact" \
			"OSError: Cannot assign requested address" sockets bind "$1"
	fi
}

# Joining a group sends reports, some of them seconds later: from here on the
# counters are no longer exact, but the packet sockets are.
multicast() {
	local state group family device expected=$'intact\nintact\nintact\n'
	expected+=$'packet socket on DEVICE: outgoing host outgoing host outgoing host\n'
	expected+="packet socket on OTHER:"
	for state in off on; do
		[ $state = off ] || same "multicast can be switched on" "" ip link set DEVICE multicast on
		same "multicast is $state" "$([ $state = off ] || echo MULTICAST)" \
			sh -c "ip link show DEVICE | grep -o MULTICAST || true"
		for group in 239.1.1.1 ff02::77 ff05::77; do
			family=IPV4
			if [[ $group = *:* ]]; then
				family=IPV6
				same "multicast $state, $group, without a route" "OSError: Network is unreachable" \
					sockets multicast $group "$family" DEVICE OTHER
			fi
			for device in lo rlo0; do
				[ "$family" = IPV4 ] || ip -n "$ns" route add local $group dev $device table local
				on $device sockets multicast $group "$family" DEVICE OTHER
				is "multicast $state, $group, joined on $device: through it alone" "$expected" "$output"
				[ "$family" = IPV4 ] || ip -n "$ns" route del local $group dev $device table local
			done
		done
	done
}

for family in $families; do
	timestamps "$family"
	zerocopy "$family"
	packet "$family"
	raw "$family"
	icmp "$family"
	mptcp "$family"
	bindtodevice "$family"
	bind_to_address "$family"
done
packet_types
balanced
multicast

finish
