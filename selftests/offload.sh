#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Offloads are those of lo: segmentation (TCP, UDP, SCTP, BIG TCP) and checksums
# are left to the device, packets stay whole and blank on their way through it,
# and what is needed to complete them elsewhere is kept.

. ./beside_lo.sh

modprobe sctp
families="IPV4 IPV6"
# The device does the same with both.
! slow || families=IPV6
sizes="gso_max_size gro_max_size gso_ipv4_max_size gro_ipv4_max_size"
# Sizes of the headers of UDP and IP.
declare -A udp_header=([IPV4]=28 [IPV6]=48)

# set_features NAME on|off...: of both devices.
set_features() { each ethtool -K DEVICE "$@"; }

# large some|none SIZE: the answer of a stream that arrived.
large() { printf '%s\n' "$2 bytes, intact" "larger than ${3:-1500}: $1" "counted as captured"; }

tcp_segmentation() {
	local family
	for family in $families; do
		through "TCP, $family: packets are larger than the MTU" "$(large some 1000000)" \
			sockets stream tcp "$family" DEVICE 1000000 1500
		set_features gso off
		through "TCP, $family, GSO off: TSO does not need it" "$(large some 1000000)" \
			sockets stream tcp "$family" DEVICE 1000000 1500
		set_features tso off
		through "TCP, $family, GSO and TSO off: packets are not larger than the MTU" \
			"$(large none 1000000)" sockets stream tcp "$family" DEVICE 1000000 1500
		set_features gso on
		through "TCP, $family, TSO off: packets are not larger than the MTU" \
			"$(large none 1000000)" sockets stream tcp "$family" DEVICE 1000000 1500
		set_features tso on
	done
}

sctp_segmentation() {
	local family
	for family in $families; do
		through "SCTP, $family: packets are larger than the MTU" "$(large some 50000)" \
			sockets stream sctp "$family" DEVICE 50000 1500
		set_features tx-sctp-segmentation off
		through "SCTP, $family, tx-sctp-segmentation off: packets are not larger than the MTU" \
			"$(large none 50000)" sockets stream sctp "$family" DEVICE 50000 1500
		set_features tx-sctp-segmentation on
	done
}

# 64000 bytes in segments of 1400: 45 of them, and 1000 bytes.
udp_segmentation() {
	local family header datagrams=$'45 x 1400\n1 x 1000\nintact'
	for family in $families; do
		header=${udp_header[$family]}
		exact "UDP_SEGMENT, $family: one packet, 46 datagrams" \
			"$datagrams"$'\n'"larger than 1448: some"$'\n'"counted as captured" \
			1 $((64000 + header)) sockets udp_segments "$family" DEVICE 64000 1400 plain
		exact "UDP_SEGMENT, $family, to UDP_GRO: one packet, one call" \
			"1 x 64000 in segments of 1400"$'\n'intact$'\n'"larger than 1448: some"$'\n'"counted as captured" \
			1 $((64000 + header)) sockets udp_segments "$family" DEVICE 64000 1400 gro
		set_features tx-udp-segmentation off
		exact "UDP_SEGMENT, $family, tx-udp-segmentation off: 46 packets" \
			"$datagrams"$'\n'"larger than 1448: none"$'\n'"counted as captured" \
			46 $((64000 + 46 * header)) sockets udp_segments "$family" DEVICE 64000 1400 plain
		set_features tx-udp-segmentation on
		# The whole packet would be gso_max_size.
		exact "UDP_SEGMENT, $family, 65507 bytes: 47 packets" \
			$'46 x 1400\n1 x 1107\nintact\n'"larger than 1448: none"$'\n'"counted as captured" \
			47 $((65507 + 47 * header)) sockets udp_segments "$family" DEVICE 65507 1400 plain
	done
}

big_tcp() {
	local family size
	# Windows, and a share of them in one packet, that let packets grow however
	# slow the machine is.
	in_ns sysctl -q net.ipv4.tcp_rmem="4096 4194304 8388608" net.ipv4.tcp_wmem="4096 4194304 8388608" \
		net.ipv4.tcp_tso_rtt_log=30
	each ip link set dev DEVICE mtu 65536
	for family in $families; do
		through "TCP without BIG TCP, $family: packets are not larger than 64 KiB" \
			"$(large none 4000000 65536)" sockets stream tcp "$family" DEVICE 4000000 65536
	done
	for size in $sizes; do
		same "BIG TCP: $size 524281 is refused" "Error: too big $size.; exit status 2" \
			ip link set dev DEVICE "$size" 524281
		same "BIG TCP: $size 524280 is accepted" "" ip link set dev DEVICE "$size" 524280
	done
	same "BIG TCP: the sizes are 524280" "$(printf '%s\n' "${sizes// / 524280$'\n'} 524280" | sort)" \
		sh -c "ip -d link show dev DEVICE | grep -oE '\<g[sr]o(_ipv4)?_max_size [0-9]*' | sort"
	for family in $families; do
		through "BIG TCP, $family: packets are larger than 64 KiB" "$(large some 4000000 65536)" \
			sockets stream tcp "$family" DEVICE 4000000 65536
	done
	each ip link set dev DEVICE gso_max_size 65536 gro_max_size 65536 \
		gso_ipv4_max_size 65536 gro_ipv4_max_size 65536 mtu 1500
}

# How the packets of a transfer look to a packet socket on the device.
checksums_left() {
	local family protocol
	for family in $families; do
		for protocol in tcp udp sctp; do
			through "checksums, $protocol, $family: left to the device" \
				$'1000 bytes, intact\nreceived: left to the device\nsent: left to the device\nlarger than 1500: none' \
				sockets checksums $protocol "$family" DEVICE 1000 1500
		done
	done
}

# Behind the device the packets are mirrored to one without any offload: there
# the stack segments them and fills in the checksums from what they carry.
checksums_completed() {
	local family protocol
	ip -n "$ns" link add plain type dummy
	in_ns sysctl -q net.ipv6.conf.plain.disable_ipv6=1
	in_ns ethtool -K plain tx off sg off tso off gso off >/dev/null
	ip -n "$ns" link set plain up
	each tc qdisc add dev DEVICE clsact
	each tc filter add dev DEVICE ingress matchall action mirred egress mirror dev plain
	for family in $families; do
		for protocol in tcp udp sctp; do
			through "checksums, $protocol, $family: right where another device sends the packets on" \
				$'1400 bytes, intact\nsent: right\nlarger than 1500: none' \
				sockets checksums $protocol "$family" plain 1400 1500
		done
		through "checksums, tcp, $family: right in the segments of a large packet" \
			$'50000 bytes, intact\nsent: right\nlarger than 1500: none' \
			sockets checksums tcp "$family" plain 50000 1500
	done
	each tc qdisc del dev DEVICE clsact
	ip -n "$ns" link del plain
}

each ip link set DEVICE mtu 1500
tcp_segmentation
sctp_segmentation
udp_segmentation
big_tcp
checksums_left
checksums_completed
balanced

finish
