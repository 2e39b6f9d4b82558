#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Three routers in a row, with two parallel links between neighbours and three loopbacks each.
# The routers are the network namespaces r1, r2 and r3; a link is a pair of veth devices.
#
#   labs/router/topology.sh up      makes them; the module has to be loaded
#   labs/router/topology.sh down    ends all processes in them and removes them
#
#            192.168.121.0/24              192.168.231.0/24
#         right-a -- a -- left-a        right-a -- a -- left-a
#       r1                          r2                        r3
#         right-b -- b -- left-b        right-b -- b -- left-b
#            192.168.122.0/24              192.168.232.0/24
#
#   rlo1      10.255.0.N/32    the router itself: router-id, end of its BGP sessions
#   service1  10.1.N.1/32      a service at an address
#   service2  10.2.N.1/24      a service at a prefix, each address of which answers
#
# N is the number of the router, and the last byte of its addresses on the links.
set -euo pipefail

# loopback ROUTER NAME ADDRESS
loopback() {
	ip link add "$2" netns "$1" type rlo
	ip -n "$1" link set "$2" up
	ip -n "$1" addr add "$3" dev "$2"
}

# link LEFT RIGHT LETTER NUMBER: between the routers LEFT and RIGHT.
link() {
	ip link add "right-$3" netns "r$1" type veth peer "left-$3" netns "r$2"
	ip -n "r$1" addr add "192.168.$1$2$4.$1/24" dev "right-$3"
	ip -n "r$2" addr add "192.168.$1$2$4.$2/24" dev "left-$3"
	ip -n "r$1" link set "right-$3" up
	ip -n "r$2" link set "left-$3" up
}

up() {
	local n
	for n in 1 2 3; do
		ip netns add r$n
		ip -n r$n link set lo up
		ip netns exec r$n sysctl -qw net.ipv4.ip_forward=1
		loopback r$n rlo1 10.255.0.$n/32
		loopback r$n service1 10.1.$n.1/32
		loopback r$n service2 10.2.$n.1/24
	done
	for n in 1 2; do
		link $n $((n + 1)) a 1
		link $n $((n + 1)) b 2
	done
}

down() {
	local n
	for n in 1 2 3; do
		[ -e /run/netns/r$n ] || continue
		ip netns pids r$n | xargs -r kill -9
		ip netns del r$n
	done
}

case ${1:-} in
up | down) "$1" ;;
*)
	echo "usage: labs/router/topology.sh up|down" >&2
	exit 1
	;;
esac
