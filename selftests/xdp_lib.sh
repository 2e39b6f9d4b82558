# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests of XDP: two network namespaces, ns for the device rlo0 and far,
# and the programs and maps of xdp.bpf.c, pinned in a folder.
#
# shellcheck disable=SC2154 # new_ns sets ns and far

# Seconds until a test gives up.
limit=60
! slow || limit=240

# As ip netns exec, without a /sys of its own.
in_ns() { nsenter --net="/run/netns/$ns" "$@"; }

# attach PROGRAM: to rlo0, in place of the one that is there.
attach() { timeout $limit ip -n "$ns" -force link set rlo0 xdpdrv pinned "$pins/$1"; }
detach() { timeout $limit ip -n "$ns" link set rlo0 xdpdrv off; }

# number N: its bytes in the array number, as bpftool wants a value in a map.
number() { number=($(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) 0); }

# set_map MAP KEY VALUE...: in bytes. A device is looked for in the namespace of the process.
set_map() {
	number "$2"
	in_ns bpftool map update pinned "$pins/$1" key "${number[@]}" value "${@:3}"
}

# Makes all but rlo0.
prepare_namespaces() {
	local side
	load_module numdevs=0
	modprobe veth
	new_ns ns far
	# Nothing but the test's packets.
	for side in "$ns" "$far"; do
		ip netns exec "$side" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	done
	pin_programs xdp
	ip -n "$ns" link set lo up
	# Frames have no route: what is from here and to here is looked up on arrival.
	in_ns sysctl -qw net.ipv4.conf.all.accept_local=1
}
