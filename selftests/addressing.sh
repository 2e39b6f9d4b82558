#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Addresses: every form of them draws its own traffic to the device, and nothing
# draws in the traffic of others.

. ./lib.sh

load_module numdevs=0
modprobe veth
new_ns ns peer
in_ns() { ip netns exec "$ns" "$@"; }
# echoes NAME ADDRESS: two pings are four packets on the device and none on lo.
echoes() {
	local lo
	lo=$(counter "$ns" lo rx_packets)
	is "$1" "4 0" "$(moved "$ns" rlo0 ping -q -n -c 2 -i 0.01 -W 2 "$2") $(($(counter "$ns" lo rx_packets) - lo))"
}
add() { ip -n "$ns" addr add "$@" dev rlo0; }

ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" link set rlo0 up
# shellcheck disable=SC2154 # new_ns has set peer
ip link add veth0 netns "$ns" type veth peer name veth0 netns "$peer"
ip -n "$ns" link set veth0 up
ip -n "$peer" link set veth0 up
ip -n "$ns" addr add 192.0.2.1/24 dev veth0
ip -n "$peer" addr add 192.0.2.2/24 dev veth0
ip -n "$ns" addr add 2001:db8::1/64 dev veth0 nodad
ip -n "$peer" addr add 2001:db8::2/64 dev veth0 nodad

# IPv4
add 10.1.0.1/32
echoes "IPv4 /32" 10.1.0.1
is "IPv4 /32: the neighbouring address is not local" "" "$(device_of "$ns" 10.1.0.2)"
add 10.2.0.1/24
echoes "IPv4 /24: the address" 10.2.0.1
echoes "IPv4 /24: another address of the prefix" 10.2.0.200
echoes "IPv4 /24: the last address of the prefix" 10.2.0.254
add 10.3.0.1/16
echoes "IPv4 /16: an address of the prefix" 10.3.77.88
add 10.1.0.5/32
echoes "several addresses: the first" 10.1.0.1
echoes "several addresses: the second" 10.1.0.5
ok "an alias with a label" add 10.4.0.1/32 label rlo0:web
is "the label is shown" "10.4.0.1/32 scope global rlo0:web" \
	"$(ip -n "$ns" -o addr show label rlo0:web | grep -oE '10.4.0.1/32 scope global rlo0:web')"
echoes "an alias with a label answers" 10.4.0.1
ok "an address with a peer" add 10.5.0.1 peer 10.5.0.2/32
echoes "an address with a peer answers" 10.5.0.1

# Secondary addresses, with and without promotion.
add 10.6.0.1/24
add 10.6.0.2/24
is "the second address of a prefix is secondary" 1 \
	"$(ip -n "$ns" -o addr show dev rlo0 secondary | grep -c 10.6.0.2)"
in_ns sysctl -qw net.ipv4.conf.rlo0.promote_secondaries=1
ip -n "$ns" addr del 10.6.0.1/24 dev rlo0
is "promotion: the second one is the first now" "10.6.0.2/24" \
	"$(ip -n "$ns" -o -4 addr show dev rlo0 primary | awk '{ print $4 }' | grep 10.6)"
echoes "promotion: it answers" 10.6.0.2
add 10.6.0.3/24
in_ns sysctl -qw net.ipv4.conf.rlo0.promote_secondaries=0 net.ipv4.conf.all.promote_secondaries=0
ip -n "$ns" addr del 10.6.0.2/24 dev rlo0
is "no promotion: the second one is gone with the first" "" "$(ip -n "$ns" -o addr show dev rlo0 | grep 10.6)"
is "no promotion: the prefix is not local any more" "" "$(device_of "$ns" 10.6.0.3)"

# IPv6
add fd00:1::1/128 nodad
echoes "IPv6 /128" fd00:1::1
is "IPv6 /128: the neighbouring address is not local" "" "$(device_of "$ns" fd00:1::2)"
add fd00:2::1/64
is "IPv6 without nodad: never tentative" "" "$(ip -n "$ns" addr show dev rlo0 tentative)"
echoes "IPv6 /64: the address, at once" fd00:2::1
add fd00:2::2/64 nodad
echoes "IPv6, a second address of the prefix" fd00:2::2
ip -n "$ns" -6 route add local fd00:3::/64 dev rlo0
echoes "IPv6, a whole prefix by a local route (AnyIP)" fd00:3::abcd

# Deletion
ip -n "$ns" addr del 10.1.0.5/32 dev rlo0
is "a deleted IPv4 address is not local" "" "$(device_of "$ns" 10.1.0.5)"
echoes "its neighbour stays" 10.1.0.1
ip -n "$ns" addr del fd00:1::1/128 dev rlo0
is "a deleted IPv6 address is not local" "" "$(device_of "$ns" fd00:1::1)"
ip -n "$ns" addr flush dev rlo0
is "flush leaves none" "" "$(addresses "$ns" dev rlo0)"
is "flush: nothing is local" "" "$(device_of "$ns" 10.2.0.1)"

# ifalias
ip -n "$ns" link set rlo0 alias "customer 17, uplink"
is "ifalias (description)" "customer 17, uplink" "$(in_ns cat /sys/class/net/rlo0/ifalias)"

# Other devices' addresses are none of ours.
add 10.7.0.1/32
add fd00:7::1/128 nodad
before=$(counters "$ns" rlo0)
in_ns ping -q -c 2 -i 0.01 192.0.2.1 >/dev/null
in_ns ping -q -c 2 -i 0.01 2001:db8::1 >/dev/null
in_ns ping -q -c 2 -i 0.01 192.0.2.2 >/dev/null
in_ns ping -q -c 2 -i 0.01 2001:db8::2 >/dev/null
ip netns exec "$peer" ping -q -c 2 -i 0.01 192.0.2.1 >/dev/null
is "addresses of a veth are not drawn in" "$before" "$(counters "$ns" rlo0)"
is "and are still lo's when local" 4 "$(moved "$ns" lo ping -q -c 2 -i 0.01 192.0.2.1)"
ip -n "$peer" route add 10.7.0.1/32 via 192.0.2.1
ip -n "$peer" -6 route add fd00:7::1/128 via 2001:db8::1
ok "a neighbour reaches the address by a route (IPv4)" ip netns exec "$peer" ping -q -c 2 -i 0.01 10.7.0.1
ok "a neighbour reaches the address by a route (IPv6)" ip netns exec "$peer" ping -q -c 2 -i 0.01 fd00:7::1
is "what comes from and goes to a neighbour does not use the device" "$before" "$(counters "$ns" rlo0)"

# No ARP, no neighbour discovery.
in_ns ping -q -c 2 -i 0.01 10.7.0.1 >/dev/null
in_ns ping -q -c 2 -i 0.01 fd00:7::1 >/dev/null
in_ns timeout 60 tcpdump -n -c 8 -i rlo0 >/tmp/packets 2>/tmp/tcpdump &
slowwait 20 grep -q listening /tmp/tcpdump
add 10.8.0.1/24
add fd00:8::1/64
in_ns ping -q -c 2 -i 0.01 10.8.0.9 >/dev/null
in_ns ping -q -c 2 -i 0.01 fd00:8::1 >/dev/null
wait
is "no ARP and no neighbour discovery: 8 echoes and nothing else" "8 0" \
	"$(grep -c 'echo re' /tmp/packets) $(grep -vc 'echo re' /tmp/packets)"
is "no neighbour but noarp ones" "" "$(ip -n "$ns" neigh show dev rlo0 nud all | grep -v NOARP)"

# 127/8 neither arrives from a real interface nor leaves by one.
add 127.1.0.1/16
in_ns python3 -c '
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 7000))
sock.settimeout(60)
got = []
try:
    while True:
        got.append(sock.recvfrom(64)[0].decode())
        if got[-1] == "end":
            break
except TimeoutError:
    pass
print(" ".join(got))' >/tmp/received &
slowwait 10 sh -c "ip netns exec $ns ss -lnu | grep -q :7000"
ip netns exec "$peer" env MAC="$(in_ns cat /sys/class/net/veth0/address)" python3 - <<'EOF'
import os, socket, struct
mac = bytes.fromhex(os.environ["MAC"].replace(":", ""))
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("veth0", 0x0800))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(source, destination, text):
    source, destination = (socket.inet_aton(a) for a in (source, destination))
    udp = struct.pack("!HHHH", 7001, 7000, 8 + len(text), 0) + text
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, source, destination)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    sock.send(mac + bytes(6) + b"\x08\x00" + header + udp)


send("192.0.2.2", "192.0.2.1", b"good")
send("127.1.0.9", "192.0.2.1", b"from-127")
send("192.0.2.2", "127.1.0.1", b"to-127")
send("192.0.2.2", "127.0.0.1", b"to-localhost")
send("192.0.2.2", "10.7.0.1", b"routed")
send("192.0.2.2", "192.0.2.1", b"end")
EOF
wait
is "127/8 from a real interface is a martian" "good routed end" "$(cat /tmp/received)"
before=$(ip_counter "$peer" IpInReceives)
is "a source in 127/8 does not leave by a real interface" "Invalid argument" \
	"$(in_ns python3 -c '
import os, socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.1.0.1", 0))
try:
    sock.sendto(b"x", ("192.0.2.2", 9))
except OSError as error:
    print(os.strerror(error.errno))')"
is "and nothing was sent" "$before" "$(ip_counter "$peer" IpInReceives)"

finish
