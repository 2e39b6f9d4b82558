#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Input that nobody sends in good faith: frames of any length and content, with headers for
# segmentation that are nonsense; packets that programs cut and lengthen before they are
# redirected; mutated requests of rtnetlink, ethtool and netdev; and everything by users who
# may not.
#
#   STRESS_SECONDS    how long it may take (60)
#   STRESS_SEED       what chance begins with
#   HOSTILE           what of it (frames redirects netlink ethtool privilege)
#   HOSTILE_MESSAGES  how many requests about links there are at most (1000000), and half as
#                     many of ethtool and netdev

. ./lib.sh

seconds=${STRESS_SECONDS:-60}
seed=${STRESS_SEED:-$RANDOM}
read -ra parts <<<"${HOSTILE:-frames redirects netlink ethtool privilege}"
messages=${HOSTILE_MESSAGES:-1000000}
# Of the time
declare -A shares=([frames]=2 [redirects]=2 [netlink]=8 [ethtool]=2 [privilege]=1)

echo "# STRESS_SEED=$seed STRESS_SECONDS=$seconds HOSTILE=\"${parts[*]}\""
load_module numdevs=0
modprobe -a tun sch_ingress cls_matchall
pin_programs xdp stress
# Nobody is to look for a module each time that a request has a name that there is not.
undo "echo $(cat /proc/sys/kernel/modprobe) >/proc/sys/kernel/modprobe"
echo >/proc/sys/kernel/modprobe
# The backlog has room for all.
undo "sysctl -qw net.core.netdev_max_backlog=$(sysctl -n net.core.netdev_max_backlog)"
sysctl -qw net.core.netdev_max_backlog=100000
# Nor is there to be a tunnel, which cannot be deleted, in each new namespace.
undo "sysctl -qw net.core.fb_tunnels_only_for_init_net=$(sysctl -n net.core.fb_tunnels_only_for_init_net)"
sysctl -qw net.core.fb_tunnels_only_for_init_net=2

for part in "${parts[@]}"; do
	new_ns ns
	ip -n "$ns" link set lo up
	case $part in
	netlink) arguments=("$messages") ;;
	ethtool) arguments=("$((messages / 2))") ;;
	privilege) arguments=("$module" "$pins") ;;
	*) arguments=("$pins") ;;
	esac
	[ "$part" = privilege ] || arguments+=("$(share "$part" "${parts[@]}")" "$seed")
	report "$part" ip netns exec "$ns" ./hostile.py "$part" "${arguments[@]}"
	cleanup_ns "$ns"
done

finish
