#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# More than there is room for: every datagram of a flood is received, or dropped and counted
# with a reason, and the machine answers meanwhile. Packets that are redirected in circles, and
# tunnels in tunnels, come to an end.
#
#   STRESS_SECONDS  how long the flood may take (20)
#   STRESS_SEED     what chance begins with
#   OVERLOAD        what of it (flood circles tunnels)

. ./lib.sh

seconds=${STRESS_SECONDS:-20}
seed=${STRESS_SEED:-$RANDOM}
read -ra parts <<<"${OVERLOAD:-flood circles tunnels}"

echo "# STRESS_SEED=$seed STRESS_SECONDS=$seconds OVERLOAD=\"${parts[*]}\""
load_module numdevs=0
pin_programs xdp stress

backlog=$(sysctl -n net.core.netdev_max_backlog)
undo "sysctl -qw net.core.netdev_max_backlog=$backlog"

for part in "${parts[@]}"; do
	new_ns ns
	ip -n "$ns" link set lo up
	case $part in
	flood) arguments=("$pins" "$seconds" "$seed") ;;
	circles) arguments=("$pins") ;;
	*) arguments=() ;;
	esac
	# Of all namespaces
	[ "$part" != flood ] || sysctl -qw net.core.netdev_max_backlog=20
	# With /sys of the namespace, and tracing, which a new one has not got.
	report "$part" ip netns exec "$ns" sh -c \
		"mount -t tracefs tracefs /sys/kernel/tracing && exec ./overload.py $part ${arguments[*]}"
	sysctl -qw net.core.netdev_max_backlog="$backlog"
	cleanup_ns "$ns"
done

finish
