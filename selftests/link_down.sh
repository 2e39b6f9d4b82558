#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Links going down: the device, lo, and the physical ones beside them.

. ./lib.sh

load_module numdevs=0
modprobe veth
new_ns ns client
in_ns() { ip netns exec "$ns" "$@"; }
answers() { in_ns ping -q -n -c 1 -i 0.01 -W 1 "$1" >/dev/null 2>&1 && echo yes || echo no; }

ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" link set rlo0 up
ip -n "$ns" addr add 10.7.0.1/24 dev rlo0
ip -n "$ns" addr add fd00:7::1/64 dev rlo0 nodad
is "up: both families answer" "yes yes" "$(answers 10.7.0.1) $(answers fd00:7::1)"

# The device
ip -n "$ns" link set rlo0 down
before=$(counters "$ns" rlo0)
dropped=$(counter "$ns" rlo0 tx_dropped)
is "down: neither answers" "no no" "$(answers 10.7.0.1) $(answers fd00:7::1)"
is "down: another address of the prefix does not answer" no "$(answers 10.7.0.99)"
is "down: the counters stand still" "$before" "$(counters "$ns" rlo0)"
is "down: two IPv4 packets are counted as dropped" 2 $(($(counter "$ns" rlo0 tx_dropped) - dropped))
is "down: a sender to IPv6 gets an error" "Network is unreachable" \
	"$(in_ns ping -c 1 fd00:7::1 2>&1 | sed -n 's/^ping: connect: //p')"
is "down: the IPv4 address survives" "rlo0 inet 10.7.0.1/24" "$(addresses "$ns" dev rlo0)"
is "down: nothing goes to lo instead" 0 "$(moved "$ns" lo ping -q -c 2 -i 0.01 -W 1 10.7.0.1)"
ip -n "$ns" link set rlo0 up
is "up again: IPv4 answers" yes "$(answers 10.7.0.1)"
is "up again: the IPv6 address is gone, as with any device" "rlo0 inet 10.7.0.1/24" "$(addresses "$ns" dev rlo0)"
in_ns sysctl -qw net.ipv6.conf.rlo0.keep_addr_on_down=1
ip -n "$ns" addr add fd00:7::1/64 dev rlo0 nodad
ip -n "$ns" link set rlo0 down
is "keep_addr_on_down: the IPv6 address survives" "rlo0 inet6 fd00:7::1/64" \
	"$(addresses "$ns" dev rlo0 | grep inet6)"
is "keep_addr_on_down: it does not answer" no "$(answers fd00:7::1)"
ip -n "$ns" link set rlo0 up
is "keep_addr_on_down: it answers when up again" "yes yes" "$(answers 10.7.0.1) $(answers fd00:7::1)"

# lo
before=$(counter "$ns" rlo0 rx_packets)
ip -n "$ns" link set lo down
is "lo down: our addresses answer" "yes yes" "$(answers 10.7.0.1) $(answers fd00:7::1)"
is "lo down: through the device" 4 $(($(counter "$ns" rlo0 rx_packets) - before))
is "lo down: our addresses are there" $'rlo0 inet 10.7.0.1/24\nrlo0 inet6 fd00:7::1/64' "$(addresses "$ns" dev rlo0)"
is "lo down: 127.0.0.1 does not answer" no "$(answers 127.0.0.1)"
ip -n "$ns" link set lo up
is "lo up again: all answer" "yes yes yes yes" \
	"$(answers 10.7.0.1) $(answers fd00:7::1) $(answers 127.0.0.1) $(answers ::1)"

# Carrier
is "carrier is on" "1 1" "$(in_ns cat /sys/class/net/rlo0/carrier) $(in_ns cat /sys/class/net/lo/carrier)"
is "carrier cannot be switched off, as on lo" "$(sentence ip -n "$ns" link set lo carrier off)" \
	"$(sentence ip -n "$ns" link set rlo0 carrier off)"
is "by sysfs neither" "1 1" "$(for dev in lo rlo0; do
	in_ns sh -c "echo 0 >/sys/class/net/$dev/carrier" 2>/dev/null
	in_ns cat /sys/class/net/$dev/carrier
done | xargs)"
ip -n "$ns" link set rlo0 down
ip -n "$ns" link set lo down
is "ethtool: the link of a device that is down, as on lo" \
	"$(in_ns ethtool lo | grep 'Link detected')" "$(in_ns ethtool rlo0 | grep 'Link detected')"
ip -n "$ns" link set lo up
ip -n "$ns" link set rlo0 up

# Two links to a client, a service on our address. What is cut is a link.
for i in 1 2; do
	# shellcheck disable=SC2154 # new_ns has set client
	ip link add link$i netns "$ns" type veth peer name link$i netns "$client"
	ip -n "$ns" addr add 192.0.2.$((i * 16 + 1))/28 dev link$i
	ip -n "$client" addr add 192.0.2.$((i * 16 + 2))/28 dev link$i
	ip -n "$ns" link set link$i up
	ip -n "$client" link set link$i up
	ip -n "$client" route add 10.7.0.1/32 via 192.0.2.$((i * 16 + 1)) metric $i
	ip -n "$ns" route add 10.8.0.1/32 via 192.0.2.$((i * 16 + 2)) metric $i
done
ip link add rlo0 netns "$client" type rlo
ip -n "$client" link set rlo0 up
ip -n "$client" addr add 10.8.0.1/32 dev rlo0
for n in "$ns" "$client"; do
	ip netns exec "$n" sysctl -qw net.ipv4.conf.all.ignore_routes_with_linkdown=1 \
		net.ipv4.conf.link1.ignore_routes_with_linkdown=1 \
		net.ipv4.conf.link2.ignore_routes_with_linkdown=1
done
from_client() { ip netns exec "$client" ping -q -n -c 2 -i 0.01 -W 2 -I 10.8.0.1 10.7.0.1 >/dev/null 2>&1 && echo yes || echo no; }

cat >/tmp/session.py <<'EOF'
# A TCP session between the two loopback addresses: one echo for each file
# /tmp/session-N that appears.
import os, socket, sys, time
if sys.argv[1] == "server":
    listener = socket.socket()
    listener.bind(("10.7.0.1", 7))
    listener.listen()
    connection = listener.accept()[0]
    while data := connection.recv(64):
        connection.send(data)
else:
    sock = socket.create_connection(("10.7.0.1", 7), source_address=("10.8.0.1", 0))
    sock.settimeout(60)
    for i in range(3):
        while not os.path.exists("/tmp/session-%d" % i):
            time.sleep(0.05)
        sock.send(b"echo %d" % i)
        open("/tmp/answer-%d" % i, "wb").write(sock.recv(64))
EOF
rm -f /tmp/session-? /tmp/answer-?
in_ns python3 /tmp/session.py server &
slowwait 10 sh -c "ip netns exec $ns ss -lnt | grep -q :7"
ip netns exec "$client" python3 /tmp/session.py client &
session() {
	touch "/tmp/session-$1"
	slowwait 60 test -s "/tmp/answer-$1"
	cat "/tmp/answer-$1"
}

is "both links up: the service is reached" yes "$(from_client)"
is "both links up: the TCP session between loopback addresses" "echo 0" "$(session 0)"
ip -n "$ns" link set link1 down
is "a link is cut: the service answers locally" "yes 4" \
	"$(answers 10.7.0.1) $(moved "$ns" rlo0 ping -q -c 2 -i 0.01 10.7.0.1)"
is "a link is cut: the service is reached over the other link" yes "$(from_client)"
is "a link is cut: the TCP session survives" "echo 1" "$(session 1)"
ip -n "$ns" link set link2 down
is "both links are cut: the service answers locally" yes "$(answers 10.7.0.1)"
is "both links are cut: the client does not reach it" no "$(from_client)"
ip -n "$ns" link set link1 up
ip -n "$ns" route add 10.8.0.1/32 via 192.0.2.18 metric 1
is "a link is back: the service is reached" yes "$(slowwait 20 sh -c "ip netns exec $client ping -q -c 1 -W 1 -I 10.8.0.1 10.7.0.1" >/dev/null && from_client)"
is "a link is back: the TCP session survives" "echo 2" "$(session 2)"
wait

finish
