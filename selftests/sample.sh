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
new_ns ns
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
send dummy0 3
is "the Ethernet header is counted" $((100 * (1000 + 28 + 14))) "$(counter "$ns" sink0 tx_bytes)"
is "the counters are those of a dummy" "$(counters "$ns" dummy0)" "$(counters "$ns" sink0)"
is "a multicast address is refused, as by dummy" \
	"2 Error: The hardware address cannot be a multicast address. (2)" \
	"$(ip -n "$ns" link add dummy1 address 01:00:00:00:00:01 type dummy 2>/dev/null; echo "$?" \
		"$(sentence ip -n "$ns" link add sink1 address 01:00:00:00:00:01 type rsink)")"
is "ethtool -S: what each queue has carried, and nothing of XDP" \
	"rx_queue_0_packets rx_queue_0_bytes tx_queue_0_packets tx_queue_0_bytes" \
	"$(in_ns ethtool -S sink0 | awk '/queue/ { sub(":", "", $1); print $1 }' | xargs)"
is "the names of private flags, which it has not" "Operation not supported" "$(in_ns python3 -c '
import array, fcntl, os, socket, struct
SIOCETHTOOL, ETHTOOL_GSTRINGS, ETH_SS_PRIV_FLAGS = 0x8946, 0x1B, 2
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
value = array.array("B", struct.pack("III", ETHTOOL_GSTRINGS, ETH_SS_PRIV_FLAGS, 0) + bytes(1024))
try:
    fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP8x", b"sink0", value.buffer_info()[0]))
except OSError as error:
    print(os.strerror(error.errno))')"
is "traffic to its own address goes over lo, as with any device" lo "$(device_of "$ns" 192.0.2.1)"
is "private flags it has none" "netlink error: Operation not supported (1)" \
	"$(sentence in_ns ethtool --show-priv-flags sink0)"
ok "the module unloads with a device that is up" rmmod rust_sink
is "its devices are gone" "" "$(ip -n "$ns" -o link show | grep sink0)"

finish
