#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Traffic to the device's own addresses goes through it, all of it and nothing
# else does, and every packet is counted once.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }

ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" link set rlo0 up
ip -n "$ns" addr add 10.7.0.1/24 dev rlo0
ip -n "$ns" addr add fd00:7::1/64 dev rlo0 nodad
zero="rx_packets=0 rx_bytes=0 tx_packets=0 tx_bytes=0"
is "a fresh device has counted nothing" "$zero" "$(counters "$ns" rlo0)"
lo_before=$(counters "$ns" lo)

# An echo is a request and a reply; the bytes are those of the IP packets:
# header (20 or 40), ICMP header (8) and data.
echoes() { # NAME ADDRESS COUNT SIZE HEADER
	local packets_before bytes_before
	packets_before=$(counter "$ns" rlo0 rx_packets)
	bytes_before=$(counter "$ns" rlo0 rx_bytes)
	is "$1: answers" "$3 received" \
		"$(in_ns ping -q -n -i 0.002 -c "$3" -s "$4" "$2" | grep -oE '[0-9]+ received')"
	is "$1: packets received" $((2 * $3)) $(($(counter "$ns" rlo0 rx_packets) - packets_before))
	is "$1: bytes received" $((2 * $3 * ($4 + 8 + $5))) $(($(counter "$ns" rlo0 rx_bytes) - bytes_before))
}

echoes "ping, IPv4" 10.7.0.1 100 56 20
echoes "ping, IPv4, 65507 bytes" 10.7.0.1 20 65507 20
echoes "ping, IPv4, no data" 10.7.0.1 20 0 20
echoes "ping, IPv4, another address of the prefix" 10.7.0.200 50 56 20
echoes "ping, IPv6" fd00:7::1 100 56 40
echoes "ping, IPv6, 65487 bytes" fd00:7::1 20 65487 40
is "sent is received" "$(counter "$ns" rlo0 rx_packets) $(counter "$ns" rlo0 rx_bytes)" \
	"$(counter "$ns" rlo0 tx_packets) $(counter "$ns" rlo0 tx_bytes)"

# A TCP stream: whatever the stack counted as received came through the device.
size=$(($(repeats 64 8) * 1024 * 1024))
seq 10000000 | head -c $size >/tmp/stream
stream() { # NAME ADDRESS IN-PACKETS IN-BYTES
	local packets_before bytes_before stack_packets stack_bytes
	packets_before=$(counter "$ns" rlo0 rx_packets)
	bytes_before=$(counter "$ns" rlo0 rx_bytes)
	stack_packets=$(ip_counter "$ns" "$3")
	stack_bytes=$(ip_counter "$ns" "$4")
	rm -f /tmp/received
	in_ns socat -u -b 65536 TCP6-LISTEN:5201,reuseaddr OPEN:/tmp/received,creat,trunc &
	slowwait 10 sh -c "ip netns exec $ns ss -lnt | grep -q :5201"
	in_ns socat -u -b 65536 OPEN:/tmp/stream "TCP:$2:5201"
	wait
	is "$1: what was sent arrives" "" "$(cmp /tmp/stream /tmp/received 2>&1)"
	# The connection's last packets.
	slowwait 10 sh -c "! ip netns exec $ns ss -tn state fin-wait-1 state last-ack | grep -q 5201"
	is "$1: every received packet came through the device" \
		$(($(ip_counter "$ns" "$3") - stack_packets)) \
		$(($(counter "$ns" rlo0 rx_packets) - packets_before))
	is "$1: every received byte came through the device" \
		$(($(ip_counter "$ns" "$4") - stack_bytes)) \
		$(($(counter "$ns" rlo0 rx_bytes) - bytes_before))
	is "$1: the stream is in the counters" yes \
		"$([ $(($(counter "$ns" rlo0 rx_bytes) - bytes_before)) -gt $size ] && echo yes)"
}

stream "TCP, IPv4" 10.7.0.1 IpInReceives IpExtInOctets
stream "TCP, IPv6" "[fd00:7::1]" Ip6InReceives Ip6InOctets

is "lo did not move" "$lo_before" "$(counters "$ns" lo)"
lo_packets=$(counter "$ns" lo rx_packets)
for name in rx_dropped tx_dropped rx_errors tx_errors; do
	is "$name" 0 "$(counter "$ns" rlo0 $name)"
done

# localhost is lo's.
before=$(counters "$ns" rlo0)
ok "127.0.0.1 answers" in_ns ping -q -c 3 -i 0.01 127.0.0.1
ok "::1 answers" in_ns ping -q -c 3 -i 0.01 ::1
is "pings of localhost go through lo" 12 \
	$(($(counter "$ns" lo rx_packets) - lo_packets))
is "and not through the device" "$before" "$(counters "$ns" rlo0)"

# Frames that end before the Ethernet header does are dropped and counted. They
# come from a tun device, which has no such header, by a redirection.
modprobe tun
before=$(counters "$ns" rlo0)
trace_drops
in_ns python3 - <<'EOF'
import fcntl, os, struct, subprocess
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
for command in (
    "ip link set tun0 up",
    "tc qdisc add dev tun0 clsact",
    "tc filter add dev tun0 ingress matchall action mirred egress redirect dev rlo0",
):
    subprocess.run(command.split(), check=True)
for length in range(1, 14):
    os.write(tun, b"\x45" + bytes(length - 1))
EOF
traced=$(drops PKT_TOO_SMALL)
is "13 truncated frames: dropped" 13 "$(counter "$ns" rlo0 tx_dropped)"
is "13 truncated frames: the reason is traced" 13 "$traced"
is "13 truncated frames: nothing received" "$before" "$(counters "$ns" rlo0)"

ip -n "$ns" link set lo down
echoes "ping while lo is down" 10.7.0.1 10 56 20
ip -n "$ns" link set rlo0 down
is "the device down: no answer" 1 "$(in_ns ping -q -c 1 -W 1 10.7.0.1 >/dev/null 2>&1; echo $?)"
ip -n "$ns" link set rlo0 up
echoes "ping after down and up" 10.7.0.1 10 56 20

finish
