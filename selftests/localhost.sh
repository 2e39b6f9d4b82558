#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Localhost stays with lo, whatever happens to our devices and to lo, until
# somebody gives it to a device.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }

# Which device localhost is on, both families, and where multicast from
# 127.0.0.1 leaves.
where() {
	local line devices=
	while read -r line; do
		[[ ! $line =~ dev\ ([^ ]+) ]] || devices+=" ${BASH_REMATCH[1]}"
	done < <(printf 'route get %s\n' 127.0.0.1 ::1 127.200.0.1 "239.1.1.1 from 127.0.0.1" |
		ip -n "$ns" -force -batch - 2>/dev/null)
	echo "${devices# }"
}

# multicast DEVICE: sends a packet; how many the device has sent meanwhile.
multicast() {
	local before
	before=$(counter "$ns" "$1" tx_packets)
	in_ns python3 -c 'import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.sendto(b"x", ("239.1.1.1", 9))'
	echo $(($(counter "$ns" "$1" tx_packets) - before))
}

lo="lo lo lo lo"
is "without a device" "$lo" "$(where)"
ip -n "$ns" link add rlo0 type rlo
is "a device is added" "$lo" "$(where)"
ip -n "$ns" link set rlo0 up
is "the device goes up" "$lo" "$(where)"
is "it gets no address by itself" "" "$(addresses "$ns" dev rlo0)"
ip -n "$ns" addr add 10.7.0.1/24 dev rlo0
ip -n "$ns" addr add fd00:7::1/64 dev rlo0 nodad
is "the device gets addresses" "$lo" "$(where)"
ip -n "$ns" link set lo down
ip -n "$ns" link set lo up
is "lo flaps" "$lo" "$(where)"
is "lo flaps: its addresses are back" $'lo inet 127.0.0.1/8\nlo inet6 ::1/128' "$(addresses "$ns" dev lo)"
is "lo flaps: the device has its own addresses only" $'rlo0 inet 10.7.0.1/24\nrlo0 inet6 fd00:7::1/64' \
	"$(addresses "$ns" dev rlo0)"
before=$(counters "$ns" rlo0)
is "lo flaps: ping 127.0.0.1 is lo's" 4 "$(moved "$ns" lo ping -q -c 2 -i 0.01 127.0.0.1)"
is "lo flaps: ping ::1 is lo's" 4 "$(moved "$ns" lo ping -q -c 2 -i 0.01 ::1)"
is "multicast from 127.0.0.1 leaves by lo" 1 "$(multicast lo)"
is "nothing of this goes by the device" "$before" "$(counters "$ns" rlo0)"
for _ in 1 2 3; do
	ip -n "$ns" link set rlo0 down
	ip -n "$ns" link set rlo0 up
done
is "the device flaps" "$lo" "$(where)"
ip -n "$ns" link add rlo1 type rlo
ip -n "$ns" link set rlo1 up
ip -n "$ns" link set lo down
is "lo is down: localhost is nowhere else" "" "$(device_of "$ns" ::1)"
ip -n "$ns" link set lo up
ip -n "$ns" link del rlo0
is "one of two devices is deleted" "$lo" "$(where)"
ip -n "$ns" link set lo down
ip -n "$ns" link set lo up
ip -n "$ns" link del rlo1
is "all are deleted" "$lo" "$(where)"
is "ping 127.0.0.1 and ::1 still answer" "4 4" \
	"$(moved "$ns" lo ping -q -c 2 -i 0.01 127.0.0.1) $(moved "$ns" lo ping -q -c 2 -i 0.01 ::1)"

# Explicitly given, localhost is taken.
ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" link set rlo0 up
ok "127.0.0.1/8 can be given to the device" ip -n "$ns" addr add 127.0.0.1/8 dev rlo0
ok "::1/128 can be given to the device" ip -n "$ns" addr add ::1/128 dev rlo0
is "it has them" $'rlo0 inet 127.0.0.1/8\nrlo0 inet6 ::1/128' "$(addresses "$ns" dev rlo0)"
ip -n "$ns" addr del 127.0.0.1/8 dev lo
ip -n "$ns" addr del ::1/128 dev lo
is "deleted from lo, localhost is the device's" "rlo0 rlo0 rlo0 rlo0" "$(where)"
before=$(counters "$ns" lo)
is "ping 127.0.0.1 goes through the device" 4 "$(moved "$ns" rlo0 ping -q -c 2 -i 0.01 127.0.0.1)"
is "ping ::1 goes through the device" 4 "$(moved "$ns" rlo0 ping -q -c 2 -i 0.01 ::1)"
is "multicast from 127.0.0.1 leaves by the device" 1 "$(multicast rlo0)"
is "nothing of this goes by lo" "$before" "$(counters "$ns" lo)"
ip -n "$ns" addr del 127.0.0.1/8 dev rlo0
ip -n "$ns" addr del ::1/128 dev rlo0
ip -n "$ns" link set lo down
ip -n "$ns" link set lo up
is "given back, localhost is lo's" "$lo" "$(where)"

# Pieces of 127/8.
ok "127.1.0.1/16 can be given to the device" ip -n "$ns" addr add 127.1.0.1/16 dev rlo0
is "127.1.2.3 is the device's" rlo0 "$(device_of "$ns" 127.1.2.3)"
is "ping 127.1.2.3 goes through the device" 6 "$(moved "$ns" rlo0 ping -q -c 3 -i 0.01 127.1.2.3)"
is "ping 127.1.2.3 does not touch lo" 0 "$(moved "$ns" lo ping -q -c 3 -i 0.01 127.1.2.3)"
is "the rest of 127/8 is lo's" "$lo" "$(where)"
is "ping 127.2.0.1 is lo's" "6" "$(moved "$ns" lo ping -q -c 3 -i 0.01 127.2.0.1)"

finish
