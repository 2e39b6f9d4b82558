#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sample driver on the abstraction: a sink works like the in-tree dummy.

. ./lib.sh

sink=${module%/*}/rust_sink.ko
modprobe dummy numdummies=0
if [ -e "$sink" ]; then
	ok "the module loads" insmod "$sink"
else
	ok "the module loads" modprobe rust_sink
fi
setup_ns ns
in_ns() { ip netns exec "$ns" "$@"; }

in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip -n "$ns" link add sink0 type rsink
ip -n "$ns" link add dummy0 type dummy
is "it is no loopback and needs no address resolution" NOARP \
	"$(ip -n "$ns" link show sink0 | grep -oE '<[^>]*>' | tr -d '<>')"
is "its address is random, as that of a dummy" "$(in_ns cat /sys/class/net/dummy0/addr_assign_type)" \
	"$(in_ns cat /sys/class/net/sink0/addr_assign_type)"
is "ethtool -i" rust_sink "$(in_ns ethtool -i sink0 | sed -n 's/^driver: //p')"
for device in sink0 dummy0; do
	ip -n "$ns" link set $device up
done
send() { # DEVICE SUBNET
	ip -n "$ns" addr add "192.0.$2.1/24" dev "$1"
	in_ns python3 -c "
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    sock.sendto(bytes(1000), ('192.0.$2.2', 9))"
}
tx_before=$(counter "$ns" sink0 tx_packets)
send sink0 2
is "100 packets are sent" 100 $(($(counter "$ns" sink0 tx_packets) - tx_before))
is "none is received" 0 "$(counter "$ns" sink0 rx_packets)"
is "none is dropped" "0 0" "$(counter "$ns" sink0 tx_dropped) $(counter "$ns" sink0 rx_dropped)"
is "the Ethernet header is counted, as on dummy" \
	"$(tx_before=$(counter "$ns" dummy0 tx_bytes); send dummy0 3; echo $(($(counter "$ns" dummy0 tx_bytes) - tx_before)))" \
	"$((100 * (1000 + 28 + 14)))"
is "traffic to its own address goes over lo, as with any device" lo "$(device_of "$ns" 192.0.2.1)"
is "private flags it has none" "netlink error: Operation not supported (1)" \
	"$(sentence in_ns ethtool --show-priv-flags sink0)"
ok "the module unloads with a device that is up" rmmod rust_sink
is "its devices are gone" "" "$(ip -n "$ns" -o link show | grep sink0)"

finish
