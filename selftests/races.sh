#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything at once: devices, addresses, flags, queues, programs, namespaces and the module
# change under traffic from all CPUs, which go and come; counters are exact when a CPU goes and
# comes and senders stop; and many lives of devices and namespaces leave no memory behind.
#
#   STRESS_SECONDS  how long it may take (60)
#   STRESS_SEED     what chance begins with
#   RACES           what of it (changes exact cycles lives)
#   RACES_CYCLES    how often a device is added and deleted at most (10000)
#   RACES_LIVES     how many namespaces there are at most (2000)

. ./lib.sh

seconds=${STRESS_SECONDS:-60}
seed=${STRESS_SEED:-$RANDOM}
read -ra parts <<<"${RACES:-changes exact cycles lives}"

echo "# STRESS_SEED=$seed STRESS_SECONDS=$seconds RACES=\"${parts[*]}\""
load_module numdevs=0
modprobe veth
pin_programs xdp stress
new_ns ns
ip -n "$ns" link set lo up
# Processes of the test change these.
undo "echo $(cat /proc/sys/kernel/modprobe) >/proc/sys/kernel/modprobe"
undo "echo 1 >/sys/devices/system/cpu/cpu1/online"
undo "sysctl -qw net.core.netdev_max_backlog=$(sysctl -n net.core.netdev_max_backlog)"
# Nothing is to be dropped where packets are counted.
sysctl -qw net.core.netdev_max_backlog=100000
# Of the time
declare -A shares=([changes]=2 [exact]=1 [cycles]=5 [lives]=3)
# A slow machine does not get far with the last two.
! slow || shares=([changes]=5 [exact]=2 [cycles]=2 [lives]=1)

for part in "${parts[@]}"; do
	case $part in
	changes) arguments=("$module" "$pins") ;;
	exact) arguments=("$pins") ;;
	cycles) arguments=("$pins" "${RACES_CYCLES:-10000}") ;;
	lives) arguments=("$pins" "${RACES_LIVES:-2000}") ;;
	esac
	arguments+=("$(share "$part" "${parts[@]}")")
	module_loaded || load_module numdevs=0
	report "$part" ip netns exec "$ns" ./races.py "$part" "${arguments[@]}" "$seed"
	module_loaded || load_module numdevs=0
	is "$part: the module unloads, and nothing refers to a device" 0 \
		"$(timeout 120 rmmod rust_loopback; echo $?)"
done

finish
