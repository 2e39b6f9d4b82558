#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device can be configured as lo can (MTU, hardware address), with the same
# effect on its packets, and does not interact with one of another namespace.

. ./beside_lo.sh

declare -A ip_header=([IPV4]=20 [IPV6]=40)

# exchange COUNT ADDRESS [OPTION...]: a command that prints how many of the
# echoes were answered.
exchange() {
	local count=$1
	shift
	echo "ping -q -n -i 0.002 -c $count $* | grep -o '[0-9]* received'"
}

# Every MTU that lo takes, and what becomes of the addresses.
mtu() {
	local line lo
	# Each line is the size, the answer, the MTU and the addresses that are left.
	# shellcheck disable=SC2016 # expanded by the namespace's shell
	set -- sh -c '
		for size in 0 1 67 68 576 1279 1280 1500 9000 65535 65536 65537 1000000 2147483647 2147483648 -1; do
			printf "%s\n" "link set DEVICE mtu 65536" "addr replace IPV4/32 dev DEVICE" \
				"addr replace IPV6/128 dev DEVICE nodad" | ip -batch - 2>/dev/null
			answer=$(ip link set DEVICE mtu $size 2>&1) || answer="$answer, exit status $?"
			read -r mtu </sys/class/net/DEVICE/mtu
			echo "$size: ${answer:-accepted}, is $mtu," \
				$(ip -o addr show dev DEVICE | grep -oE "IPV4|IPV6")
		done'
	on lo "$@"
	lo=$output
	on rlo0 "$@"
	while read -r line; do
		is "MTU $line" "$line" "$(grep "^${line%%:*}:" <<<"$output")"
	done <<<"$lo"
	is "MTU: 16 sizes were tried" 16 "$(wc -l <<<"$output")"
	each ip link set DEVICE mtu 65536
	each ip addr replace IPV4/32 dev DEVICE
	each ip addr replace IPV6/128 dev DEVICE nodad
	same "MTU 1279: the IPv6 address goes, the IPv4 address stays" IPV4 \
		sh -c "ip link set DEVICE mtu 1279; ip -o addr show dev DEVICE | grep -oE 'IPV4|IPV6'"
	each ip link set DEVICE mtu 1400
	each ip addr replace IPV6/128 dev DEVICE nodad
	exact "MTU 1400: 1400 bytes pass unfragmented, IPV4" "1 received" 2 2800 \
		sh -c "$(exchange 1 IPV4 -M "do" -s 1372)"
	exact "MTU 1400: 1400 bytes pass unfragmented, IPV6" "1 received" 2 2800 \
		sh -c "$(exchange 1 IPV6 -M "do" -s 1352)"
	exact "MTU 1400: 1401 bytes do not, IPV4" "sendmsg: Message too long" 0 0 \
		sh -c "ping -n -c 1 -W 1 -M do -s 1373 IPV4 2>&1 | grep -o 'sendmsg.*'"
	exact "MTU 1400: 1401 bytes do not, IPV6" "sendmsg: Message too long" 0 0 \
		sh -c "ping -n -c 1 -W 1 -M do -s 1353 IPV6 2>&1 | grep -o 'sendmsg.*'"
	each ip link set DEVICE mtu 65536
}

# 65507 bytes of data in fragments of at most 1500 bytes: 45 of 1480 bytes
# behind the IPv4 header, 46 of 1448 bytes behind the two IPv6 headers.
fragments() {
	local before
	each ip link set DEVICE mtu 1500
	before=$(ip_counter "$ns" IpReasmOKs)
	exact "fragments, IPV4" "3 received" $((6 * 45)) $((6 * (65507 + 8 + 45 * 20))) \
		sh -c "$(exchange 3 IPV4 -s 65507)"
	is "fragments, IPV4: put together, on both devices" 12 $(($(ip_counter "$ns" IpReasmOKs) - before))
	before=$(ip_counter "$ns" Ip6ReasmOKs)
	exact "fragments, IPV6" "3 received" $((6 * 46)) $((6 * (65507 + 8 + 46 * 48))) \
		sh -c "$(exchange 3 IPV6 -s 65507)"
	is "fragments, IPV6: put together, on both devices" 12 $(($(ip_counter "$ns" Ip6ReasmOKs) - before))
	each ip link set DEVICE mtu 65536
}

# The same names and addresses in another namespace.
namespaces() {
	local before twin
	new_ns twin
	ip -n "$twin" link add rlo0 type rlo
	ip -n "$twin" link set rlo0 up
	ip -n "$twin" addr add "${ipv4[rlo0]}/32" dev rlo0
	before=$(counters "$twin" rlo0)
	pings "another namespace has the same device and address" IPV4 10
	is "and did not count" "$before" "$(counters "$twin" rlo0)"
	before=$(counters "$ns" rlo0)
	is "the device there answers" "3 received" \
		"$(ip netns exec "$twin" ping -q -n -c 3 -i 0.01 "${ipv4[rlo0]}" | grep -o '[0-9]* received')"
	is "and counts" 6 "$(counter "$twin" rlo0 rx_packets)"
	is "and this one did not" "$before" "$(counters "$ns" rlo0)"
	ip -n "$twin" link set rlo0 down
	pings "the device there is down" IPV4 10
	ip -n "$twin" link del rlo0
	pings "the device there is deleted" IPV4 10
}

# Neither lo nor a device gets back the address of zeroes: the last test.
hardware_address() {
	local address family
	for family in IPV4 IPV6; do
		through "hardware address changed under a connection, $family" "intact intact intact intact" \
			sockets readdress "$family" DEVICE 02:00:00:00:00:01 fe:ff:ff:ff:ff:ff 02:00:00:00:00:09
	done
	for address in 01:00:5e:00:00:01 ff:ff:ff:ff:ff:ff 00:00:00:00:00:00; do
		same "hardware address $address is refused" \
			"RTNETLINK answers: Cannot assign requested address; exit status 2" \
			ip link set DEVICE address $address
	done
	for family in IPV4 IPV6; do
		exact "hardware address changed, $family: packets carry the new one" "$(
			for direction in outgoing host; do
				echo "$direction $([ "$family" = IPV4 ] && echo 0x800 || echo 0x86dd), hardware type 772," \
					"address 020000000009, headers $((14 + 8 + ip_header[$family])) intact"
			done
		)" 1 $((1000 + 8 + ip_header[$family])) sockets packet_receive raw "$family" DEVICE
	done
}

mtu
fragments
namespaces
hardware_address
balanced

finish
