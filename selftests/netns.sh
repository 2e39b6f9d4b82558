#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Devices in several network namespaces, removed with their namespace or with
# the module while traffic is running.

. ./lib.sh

load_module numdevs=0

# device_in NAMESPACE: a loopback with an address of both families.
device_in() {
	ip link add rlo0 netns "$1" type rlo
	ip -n "$1" link set rlo0 up
	ip -n "$1" addr add 10.9.0.1/32 dev rlo0
	ip -n "$1" addr add fd00:9::1/128 dev rlo0 nodad
}

# flood NAMESPACE: packets without pause, until the namespace's device is gone.
flood() {
	local address
	for address in 10.9.0.1 fd00:9::1; do
		ip netns exec "$1" ping -q -f -w 60 $address >/dev/null 2>&1 &
		disown
	done
	slowwait 10 sh -c "[ \$(ip netns exec $1 cat /sys/class/net/rlo0/statistics/rx_packets) -gt 100 ]"
}

new_ns ns
device_in "$ns"
is "ip link add netns: the device is there" rlo0 \
	"$(ip -n "$ns" -o link show type rlo | awk -F': ' '{ print $2 }')"
is "and not here" "" "$(ip -o link show type rlo)"
is "it cannot be moved" 2 "$(ip -n "$ns" link set rlo0 netns 1 2>/dev/null; echo $?)"
ok "it can be deleted from there" ip -n "$ns" link del rlo0
cleanup_ns "$ns"

lives=$(repeats 20 2)
gone=0
for _ in $(seq "$lives"); do
	ip netns add life
	ip -n life link set lo up
	device_in life
	flood life
	ip netns pids life | xargs -r kill -9
	ip netns del life
	[ ! -e /run/netns/life ] && gone=$((gone + 1))
done
is "namespaces with a busy device were deleted" "$lives" $gone
# rtnl_link_unregister() waits for the dismantling of namespaces under way.
ok "the module unloads behind them" timeout 60 rmmod rust_loopback

load_module numdevs=2
ip link set rlo0 up
ip addr add 10.9.1.1/32 dev rlo0
new_ns ns1 ns2 ns3
# shellcheck disable=SC2154 # new_ns has set them
for ns in "$ns1" "$ns2" "$ns3"; do
	device_in "$ns"
	flood "$ns"
done
ping -q -f -w 60 10.9.1.1 >/dev/null 2>&1 &
disown
ok "unloads with traffic in four namespaces" unload_module
is "no device is left" 0 "$(for ns in "$ns1" "$ns2" "$ns3"; do ip -n "$ns" -o link show; done | grep -c rlo)"
pkill -9 ping
for ns in "$ns1" "$ns2" "$ns3"; do
	ok "lo of a namespace still works" ip netns exec "$ns" ping -q -c 1 127.0.0.1
done

finish
