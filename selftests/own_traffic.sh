#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The private flag own-traffic: on, a device carries the traffic of its own
# addresses; off, it only holds them, lo carries the traffic, and the device can
# be the port of a VRF and a default source.

. ./lib.sh

load_module numdevs=0
modprobe vrf
modprobe veth
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
flag() { in_ns ethtool --show-priv-flags rlo0 | sed -n 's/^own-traffic *: //p'; }
set_flag() { in_ns ethtool --set-priv-flags rlo0 own-traffic "$1"; }
last_line() { kernel_log | sed -n 's/^\[[^]]*\] rlo0: //p' | tail -n 1; }
# Packets on the device and on lo for two echoes to ADDRESS.
echoes() {
	local lo
	lo=$(counter "$ns" lo rx_packets)
	echo "$(moved "$ns" rlo0 ping -q -c 2 -i 0.01 -W 2 "$1") $(($(counter "$ns" lo rx_packets) - lo))"
}
# bind_to ADDRESS [freebind|device]: what bind() answers a socket, one with the
# option IPV6_FREEBIND, or one that is bound to the device.
bind_to() {
	in_ns python3 - "$@" <<-'EOF'
		import socket, sys
		IPV6_FREEBIND = 78
		family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
		sock = socket.socket(family, socket.SOCK_STREAM)
		if "freebind" in sys.argv:
		    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
		if "device" in sys.argv:
		    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"rlo0")
		try:
		    sock.bind((sys.argv[1], 0))
		    print("bound")
		except OSError as error:
		    print(error.strerror)
	EOF
}

ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" addr add 10.7.0.1/24 dev rlo0
ip -n "$ns" link set rlo0 up
ip -n "$ns" addr add fd00:7::1/64 dev rlo0 nodad
is "it is on for a new device" on "$(flag)"
is "on: IPv4 goes through the device" "4 0" "$(echoes 10.7.0.1)"
is "on: IPv6 goes through the device" "4 0" "$(echoes fd00:7::1)"

is "it cannot be changed while the device is up" \
	"netlink error: Device or resource busy (1)" "$(sentence set_flag off)"
is "the log says why" \
	"own-traffic cannot be changed while the device is up: bring it down first" "$(last_line)"
is "it is still on" on "$(flag)"
ok "setting it to what it is is no change" set_flag on

# The kernel looks for an IPv6 address to bind to outside of L3 domains.
warning="Warning: IPv6 bind() needs net.ipv6.ip_nonlocal_bind or IPV6_FREEBIND with own-traffic. (0)"
is "on: an IPv6 address comes with a warning about bind()" "$warning" \
	"$(sentence ip -n "$ns" addr add fd00:7::2/128 dev rlo0 nodad)"
is "on: an IPv4 address does not" " (0)" "$(sentence ip -n "$ns" addr add 10.7.1.1/32 dev rlo0)"
is "on: nor does a link-local address" " (0)" "$(sentence ip -n "$ns" addr add fe80::7/64 dev rlo0 nodad)"
is "on: bind() to the IPv4 address" bound "$(bind_to 10.7.0.1)"
is "on: bind() to the IPv6 address" "Cannot assign requested address" "$(bind_to fd00:7::1)"
is "on: bind() to the IPv6 address with IPV6_FREEBIND" bound "$(bind_to fd00:7::1 freebind)"
is "on: bind() to the IPv6 address on the device" bound "$(bind_to fd00:7::1 device)"
in_ns sysctl -qw net.ipv6.ip_nonlocal_bind=1
is "on: bind() to the IPv6 address with ip_nonlocal_bind" bound "$(bind_to fd00:7::1)"
is "on: with ip_nonlocal_bind there is no warning" " (0)" \
	"$(sentence ip -n "$ns" addr add fd00:7::3/128 dev rlo0 nodad)"
in_ns sysctl -qw net.ipv6.ip_nonlocal_bind=0

rm -f /tmp/sent-first /tmp/sent-second /tmp/go

# A connected socket keeps its route; the flag makes it look again.
before="$(counter "$ns" rlo0 rx_packets) $(counter "$ns" lo rx_packets)"
in_ns python3 - <<'EOF' &
import os, pathlib, socket, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("10.7.0.1", 7))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("10.7.0.1", 7))
for step in ("first", "second"):
    client.send(step.encode())
    pathlib.Path("/tmp/sent-" + step).touch()
    while step == "first" and not os.path.exists("/tmp/go"):
        time.sleep(0.05)
EOF
slowwait 30 test -e /tmp/sent-first
is "a connected socket sends through the device" \
	"$((${before% *} + 1)) ${before#* }" "$(counter "$ns" rlo0 rx_packets) $(counter "$ns" lo rx_packets)"
ip -n "$ns" link set rlo0 down
ok "it can be switched off while the device is down" set_flag off
is "it is off" off "$(flag)"
before="$(counter "$ns" rlo0 rx_packets) $(counter "$ns" lo rx_packets)"
touch /tmp/go
slowwait 30 test -e /tmp/sent-second
is "off: the connected socket sends through lo" \
	"${before% *} $((${before#* } + 1))" "$(counter "$ns" rlo0 rx_packets) $(counter "$ns" lo rx_packets)"
wait

ip -n "$ns" link set rlo0 up
ip -n "$ns" addr replace fd00:7::1/64 dev rlo0 nodad
is "off: IPv4 goes through lo" "0 4" "$(echoes 10.7.0.1)"
is "off: the whole prefix goes through lo" "0 4" "$(echoes 10.7.0.77)"
is "off: IPv6 goes through lo" "0 4" "$(echoes fd00:7::1)"
is "off: bind() to the IPv6 address" bound "$(bind_to fd00:7::1)"
is "off: an IPv6 address comes without a warning" " (0)" \
	"$(sentence ip -n "$ns" addr add fd00:7::4/128 dev rlo0 nodad)"
is "off: it is a loopback still" "LOOPBACK,UP,LOWER_UP" \
	"$(ip -n "$ns" link show rlo0 | grep -oE '<[^>]*>' | tr -d '<>')"

# A default source for an interface without addresses, as an address of lo is.
# Only off: inet_select_addr() does not look at L3 masters' addresses.
new_ns ref
# shellcheck disable=SC2154 # new_ns has set it
ip -n "$ref" addr add 10.7.0.1/32 dev lo
for n in "$ns" "$ref"; do
	ip -n "$n" link add veth0 type veth peer name veth1
	ip -n "$n" link set veth0 up
	ip -n "$n" link set veth1 up
	ip -n "$n" route add 192.0.2.0/24 dev veth0
done
source_of() { ip -n "$1" route get 192.0.2.1 | grep -oE 'src [^ ]+'; }
is "off: its address is a default source as lo's is" "$(source_of "$ref")" "$(source_of "$ns")"
is "off: which is the address" "src 10.7.0.1" "$(source_of "$ns")"

preferred() { sentence ip -n "$ns" -6 route add "$1" dev veth0 src fd00:7::1 | sed 's/RTNETLINK answers: [^(]* (/(/'; }
is "off: its IPv6 address can be the preferred source of a route" " (0)" "$(preferred fd00:8::/64)"

ip -n "$ns" link set rlo0 down
is "off: while it is down its address answers over lo, as that of any device" "0 4" "$(echoes 10.7.0.1)"
ip -n "$ns" link set rlo0 up

# VRF
ip -n "$ns" link add blue type vrf table 100
ip -n "$ns" link set blue up
ok "off: the device can be put into a VRF" ip -n "$ns" link set rlo0 master blue
is "off: in the VRF, its address is in the VRF's table" "local 10.7.0.1 dev rlo0" \
	"$(ip -n "$ns" route show table 100 type local 10.7.0.1 | grep -oE 'local [^ ]+ dev [^ ]+')"
ok "off: in the VRF, its address answers" in_ns ping -q -c 2 -i 0.01 -I blue 10.7.0.1
is "off: in the VRF, its address answers in the VRF only" 1 \
	"$(in_ns ping -q -c 1 -W 1 10.7.0.1 >/dev/null 2>&1 || echo 1)"
ip -n "$ns" link set rlo0 down
is "it cannot be switched on in a VRF" \
	"netlink error: Device or resource busy (1)" "$(sentence set_flag on)"
is "the log says why, again" \
	"own-traffic cannot be on for a port of a VRF: release it from the VRF first" "$(last_line)"
ok "released from the VRF" ip -n "$ns" link set rlo0 nomaster
ok "it can be switched on again" set_flag on
is "on: the device cannot be put into a VRF" \
	"Error: Can not enslave an L3 master device to a VRF. (2)" \
	"$(sentence ip -n "$ns" link set rlo0 master blue | sed 's/RTNETLINK answers: [^(]* (/(/')"
ip -n "$ns" link set rlo0 up
is "on: IPv4 goes through the device again" "4 0" "$(echoes 10.7.0.1)"
is "on: its address is no default source" "" "$(source_of "$ns" | grep 10.7.0.1)"
ip -n "$ns" addr replace fd00:7::1/64 dev rlo0 nodad 2>/dev/null
is "on: its IPv6 address cannot be the preferred source of a route" \
	"Error: Invalid source address. (2)" "$(preferred fd00:9::/64)"

# With policy rules, an L3 master does not bind the lookup to itself.
new_ns rules
# shellcheck disable=SC2154 # new_ns has set it
ip -n "$rules" link add rlo0 type rlo
ip -n "$rules" addr add 10.7.0.1/24 dev rlo0
ip -n "$rules" link set rlo0 up
ip -n "$rules" link add veth0 type veth peer name veth1
ip -n "$rules" link set veth0 up
ip -n "$rules" link set veth1 up
ip -n "$rules" route add 192.0.2.0/24 dev veth0
foreign() { device_of "$rules" 192.0.2.1 oif rlo0; }
is "on: bound to the device, other addresses are reached through it" rlo0 "$(foreign)"
ip -n "$rules" rule add pref 100 from 203.0.113.9 lookup main
is "on: with a policy rule, they are not" veth0 "$(foreign)"
switch_rules() {
	ip -n "$rules" link set rlo0 down
	ip netns exec "$rules" ethtool --set-priv-flags rlo0 own-traffic "$1"
	ip -n "$rules" link set rlo0 up
	ip -n "$rules" route replace default via 198.51.100.1 dev rlo0 onlink table 200
}
switch_rules off
is "off: with a policy rule, they are" rlo0 "$(foreign)"
switch_rules on
# A rule knows from the moment it is added whether its device is an L3 master.
named() { ip -n "$rules" rule "$1" pref 200 oif rlo0 lookup 200; }
hits() { ip -n "$rules" route get 192.0.2.1 oif rlo0 | grep -q "table 200" && echo yes || echo no; }
named add
is "on: a rule that names the device" yes "$(hits)"
switch_rules off
is "off: the same rule" no "$(hits)"
named del
named add
is "off: the rule added anew" yes "$(hits)"
named del

# Between two devices a packet goes by the device of its destination. What the kernel itself answers
# to IPv4 goes back by the device of the request, as within an L3 domain; to IPv6 it does not.
new_ns two
# shellcheck disable=SC2154 # new_ns has set it
ip netns exec "$two" sysctl -qw net.ipv6.ip_nonlocal_bind=1
for i in 0 1; do
	ip -n "$two" link add rlo$i type rlo
	ip -n "$two" link set rlo$i up
	ip -n "$two" addr add 10.7.$i.1/32 dev rlo$i
	ip -n "$two" addr add fd00:7:$i::1/128 dev rlo$i nodad
done
# by_each COMMAND...: how many packets went by rlo0, rlo1 and lo while it ran.
by_each() {
	local device
	local -A before
	for device in rlo0 rlo1 lo; do before[$device]=$(counter "$two" $device rx_packets); done
	ip netns exec "$two" "$@" >/dev/null 2>&1
	for device in rlo0 rlo1 lo; do
		echo $(($(counter "$two" $device rx_packets) - before[$device]))
	done | xargs
}
# between WHAT FROM TO: a datagram each way, or a datagram or a connection that is refused.
between() {
	by_each python3 - "$@" <<-'EOF'
		import socket, sys
		what, *ends = sys.argv[1:]
		family = socket.AF_INET6 if ":" in ends[0] else socket.AF_INET
		kind = socket.SOCK_STREAM if what == "connection" else socket.SOCK_DGRAM
		first, second = (socket.socket(family, kind) for _ in ends)
		first.bind((ends[0], 7))
		if what == "datagrams":
		    second.bind((ends[1], 7))
		    first.sendto(b"there", (ends[1], 7))
		    second.sendto(b"back", (ends[0], 7))
		elif what == "datagram":
		    first.sendto(b"there", (ends[1], 7))
		else:
		    first.connect_ex((ends[1], 7))
	EOF
}
is "between two devices: a datagram each way" "1 1 0" "$(between datagrams 10.7.0.1 10.7.1.1)"
is "between two devices: a datagram each way, IPv6" "1 1 0" \
	"$(between datagrams fd00:7:0::1 fd00:7:1::1)"
is "between two devices: echoes and their replies" "0 4 0" \
	"$(by_each ping -q -c 2 -i 0.01 -W 2 -I 10.7.0.1 10.7.1.1)"
is "between two devices: echoes and their replies, IPv6" "2 2 0" \
	"$(by_each ping -q -c 2 -i 0.01 -W 2 -I fd00:7:0::1 fd00:7:1::1)"
for what in connection datagram; do
	is "between two devices: a $what that is refused" "0 2 0" "$(between $what 10.7.0.1 10.7.1.1)"
	is "between two devices: a $what that is refused, IPv6" "1 1 0" \
		"$(between $what fd00:7:0::1 fd00:7:1::1)"
done

for i in $(seq "$(repeats 24)"); do
	ip -n "$ns" link set rlo0 down
	set_flag "$([ $((i % 2)) -eq 0 ] && echo on || echo off)"
	ip -n "$ns" link set rlo0 up
done
is "switched to and fro, it is on" on "$(flag)"
is "switched to and fro, traffic is where it should be" "4 0" "$(echoes 10.7.0.1)"

finish
