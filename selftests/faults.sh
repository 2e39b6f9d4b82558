#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every memory allocation of every operation of a device's life fails once: the operation
# does without or is refused, and succeeds when it is done again. While packets are on their
# way, a poll gets no pages and no slabs, and headers move. For kernels with
# CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC, CONFIG_FAIL_FUNCTION and CONFIG_FAIL_SKB_REALLOC.
#
#   STRESS_SECONDS  how long the operations may take (60); which allocations of one with more
#                   fail is a matter of chance; less than 300: fewer packets
#   STRESS_SEED     what chance begins with
#   FAULTS          the operations, one a line, if not all
#   FAULTS_PARTS    what of it (operations counters pages slabs rings headers)

. ./lib.sh
. ./xdp_lib.sh

seconds=${STRESS_SECONDS:-60}
seed=${STRESS_SEED:-$RANDOM}
read -ra parts <<<"${FAULTS_PARTS:-operations counters pages slabs rings headers}"
injection=/sys/kernel/debug

# What the kernel says itself, with a stack and no warning, when it gets no memory from vmalloc(), as
# for a module's code, or for what each CPU has. It stays in the log, but not on the console.
kernel_log() {
	dmesg | sed -n "/$mark/,\$p" | awk '
		/ (python3|ip|ethtool): vmalloc error: |percpu: allocation failed, .* atomic=0/ { own = 1 }
		own && /Call Trace:/ { own = 0; next }
		{ print }'
}

# faulty DIRECTORY NAME=VALUE...: settings of a kind of faults.
faulty() {
	local setting
	for setting in "${@:2}"; do
		echo "${setting#*=}" >"$injection/$1/${setting%%=*}"
	done
}

# The functions of the kernel in which faults happen, and the settings for each that they happen
# nowhere else.
functions=(__page_pool_alloc_netmems_slow netdev_helper_xdp_from_skb xdp_build_skb_from_frame
	netdev_helper_xsk_alloc_skb netdev_helper_xsk_build_skb xdp_convert_zc_to_xdp_frame
	netdev_helper_ring_init netdev_helper_ring_resize netdev_helper_xsk_pool_map)
declare -A within
find_functions() {
	local name settings
	while read -r name settings; do
		within[$name]=$settings
	done < <(sort /proc/kallsyms | awk -v functions="${functions[*]}" '
		BEGIN { split(functions, list); for (i in list) wanted[list[i]] }
		start && $1 != start { print name, "require-start=0x" start, "require-end=0x" $1; start = "" }
		$3 in wanted { start = $1; name = $3 }')
	for name in "${functions[@]}"; do
		[ -n "${within[$name]:-}" ] || { echo "# the kernel has no function $name"; exit 1; }
	done
}

# Two devices in ns, of which the second has two queues and room for AF_XDP sockets.
prepare() {
	local index
	find_functions
	new_ns ns
	# Nothing but the test's packets.
	in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	# Frames have no route: what is from here and to here is looked up on arrival.
	in_ns sysctl -qw net.ipv4.conf.all.accept_local=1
	ip -n "$ns" link add fault0 address 02:00:00:00:00:07 type rlo
	ip -n "$ns" link add fault1 address 02:00:00:00:00:07 mtu 3498 numtxqueues 2 numrxqueues 2 \
		type rlo
	for index in 0 1; do
		ip -n "$ns" link set fault$index up
	done
	ip -n "$ns" addr add 10.7.9.1/32 dev fault0
	ip -n "$ns" addr add 10.7.0.1/32 dev fault1
	in_ns ethtool --set-priv-flags fault1 queue-pairs on
}

# send SOURCE DEVICE COUNT [KIND]: sends packets, and says how many arrived; and of 100 more, after
# the end of that kind of faults.
send() { in_ns ./faults.py send "$1" "$2" "$3" $pins ${4:+"$injection/$4"}; }

# program DEVICE [NAME]: attaches one in place of that which is there, or detaches it. Then no pool
# of pages waits for some that nobody has given back.
program() {
	if [ $# -eq 2 ]; then
		ip -n "$ns" -force link set "$1" xdpdrv pinned "$pins/$2"
	else
		ip -n "$ns" link set "$1" xdpdrv off
		is "$what: pools of pages that are left" 0 "$(in_ns ./faults.py pools)"
	fi
}

# redirect MAP DEVICE: where the programs with this map redirect to.
redirect() {
	number "$(ip netns exec "$ns" cat "/sys/class/net/$2/ifindex")"
	set_map "$1" 0 "${number[@]}"
}

# lost DEVICE COUNTER: what the device has counted, on all queues, or what the kernel could not send
# (devmap).
lost() {
	if [ "$2" = devmap ]; then
		sed -n 's/.* xdp_devmap_xmit: .* drops=\([0-9]*\) .*/\1/p' $tracing/trace
	else
		in_ns ethtool -S "$1" | awk -v name="_$2:" '$1 ~ name { print $2 }'
	fi | awk '{ sum += $1 } END { print 0 + sum }'
}

# missing KIND FUNCTION PERCENT COUNTER SOURCE DEVICE: sends packets while FUNCTION is refused so
# much of the memory that it asks for, the first times or always, each time or one in interval. Each
# arrives, or is counted. What it is about is in what.
missing() {
	local arrived afterwards before absent
	before=$(lost "$6" "$4")
	# shellcheck disable=SC2086 # several settings
	faulty "$1" ${within[$2]:?} probability="$3" interval="${interval:-1}" times="${times:--1}"
	read -r arrived afterwards < <(send "$5" "$6" "$packets" "$1")
	faulty "$1" probability=0
	absent=$(($(lost "$6" "$4") - before))
	is "$what: packets are missing" yes "$([ $absent -gt 0 ] && echo yes)"
	is "$what: each that is missing is counted" "$packets" $((arrived + absent))
	echo "# figure missing, $what|$absent of $packets"
	is "$what: all arrive afterwards" 100 "$afterwards"
}

operations() {
	local names
	mapfile -t names < <(printf %s "${FAULTS:-}")
	report faults ./faults.py operations "$module" $pins "$seconds" "$seed" "${names[@]}"
}

# Those of each queue are in memory of each CPU. For what is there already, without more pages, the
# kernel has faults of a function only.
counters() {
	local add=(ip -n "$ns" link add fault2 numrxqueues 2 numtxqueues 3 type rlo)
	local number said refused=0 counters=5
	echo netdev_helper_pcpu_lstats_alloc >$injection/fail_function/inject
	undo "echo >$injection/fail_function/inject"
	for number in $(seq $counters); do
		what="counters of queue $number of $counters that cannot be had"
		faulty fail_function probability=100 interval=1 times=1 space="$number"
		said=$(sentence "${add[@]}")
		faulty fail_function probability=0
		is "$what: the device is refused" "RTNETLINK answers: Cannot allocate memory (2)" "$said"
		[ "$said" = " (0)" ] || refused=$((refused + 1))
		is "$what: it is not there" "" "$(ip -n "$ns" -br link show fault2 2>/dev/null)"
		ok "$what: afterwards it is added" "${add[@]}"
		ip -n "$ns" link del fault2
	done
	faulty fail_function probability=100 interval=1 times=1 space=$((counters + 1))
	ok "there are no more" "${add[@]}"
	faulty fail_function probability=0
	ip -n "$ns" link del fault2
	echo "# figure counters of a queue that could not be had|$refused of $counters"
}

# Not by fail_function: what it could let fail, page_pool_alloc_netmems(), is inlined.
pages() {
	what="packets without any page"
	program fault0 pass_frags
	packets=50 missing fail_page_alloc __page_pool_alloc_netmems_slow 100 xdp_errors stack fault0
	program fault0
	# A new pool has none. With the first ones come those of many packets more.
	what="packets without the first pages"
	program fault0 pass_frags
	times=40 missing fail_page_alloc __page_pool_alloc_netmems_slow 100 xdp_errors stack fault0
	program fault0
	# 64 are asked for at a time. Packets take one, two and three in turn, so that not all of a
	# packet's are among the same 64.
	what="packets without further pages"
	program fault0 pass_frags
	interval=2 missing fail_page_alloc __page_pool_alloc_netmems_slow 100 xdp_errors stack fault0
	program fault0
}

# Those that a poll asks for, and the frames of other devices.
slabs() {
	what="packets of the stack, for a program"
	program fault0 pass_frags
	missing failslab netdev_helper_xdp_from_skb 95 xdp_errors stack fault0
	program fault0
	what="frames, which the program passes"
	program fault1 pass
	redirect forward fault1
	missing failslab xdp_build_skb_from_frame 50 xdp_errors frames fault1
	program fault1
	what="frames, for a device without a program"
	redirect forward fault0
	: >$tracing/trace
	echo 1 >$tracing/events/xdp/xdp_devmap_xmit/enable
	missing failslab xdp_build_skb_from_frame 20 devmap frames fault0
	echo 0 >$tracing/events/xdp/xdp_devmap_xmit/enable
	what="AF_XDP, for a queue without frames"
	missing failslab netdev_helper_xsk_alloc_skb 50 xdp_errors socket fault1
	what="AF_XDP, which the receiver passes"
	missing failslab netdev_helper_xsk_build_skb 50 xdp_errors sockets fault1
	what="AF_XDP, which a program redirects to another device"
	redirect devices fault0
	program fault1 to_device
	missing fail_page_alloc xdp_convert_zc_to_xdp_frame 50 xdp_redirect_err sockets fault1
	program fault1
}

# without FUNCTION COMMAND...: runs it while nothing that this function asks for can be had. What
# kvmalloc() is asked for is refused only then, for it tries twice when it is more than a page. Says
# what the command says.
without() {
	local kind
	for kind in failslab fail_page_alloc; do
		# shellcheck disable=SC2086 # several settings
		faulty $kind ${within[$1]:?} probability=100 interval=1 times=-1
	done
	in_ns "${@:2}" 2>&1
	for kind in failslab fail_page_alloc; do
		faulty $kind probability=0
	done
}

# The packets that a ring holds, and the program
ring() {
	in_ns ethtool -g fault0 | awk '/^RX:/ { size = $2 } END { printf "%s ", size }'
	ip -n "$ns" -d link show fault0 | grep -o "name pass_frags"
}

# What comes from kvmalloc(), all of it.
rings() {
	local command=(ip link set fault0 xdpdrv pinned "$pins/pass_frags")
	is "rings that cannot be had: the program is refused" \
		"RTNETLINK answers: Cannot allocate memory" \
		"$(without netdev_helper_ring_init "${command[@]}")"
	is "it is not there" "1024 " "$(ring)"
	ok "afterwards it is attached" in_ns "${command[@]}"
	is "larger rings that cannot be had: they are refused" "netlink error: Cannot allocate memory" \
		"$(without netdev_helper_ring_resize ethtool -G fault0 rx 2048)"
	is "they are as they were" "1024 name pass_frags" "$(ring)"
	is "and carry packets" 100 "$(send stack fault0 100)"
	ok "afterwards they are resized" in_ns ethtool -G fault0 rx 2048
	is "as one sees" "2048 name pass_frags" "$(ring)"
	is "and carry packets" 100 "$(send stack fault0 100)"
	what=rings
	program fault0
	is "a map of its pages that cannot be had: the AF_XDP socket is refused" \
		"error: Cannot allocate memory" \
		"$(without netdev_helper_xsk_pool_map ./xsk.py fault1 $pins <<<"open a 0")"
	is "its queues are gone" 0 "$(in_ns ./faults.py pools)"
	is "afterwards one carries packets" 100 "$(send sockets fault1 100)"
}

headers() {
	local arrived left name
	for name in "" pass_frags; do
		what="headers that move, program ${name:-no}"
		[ -z "$name" ] || program fault0 $name
		faulty fail_skb_realloc devname=fault0 probability=100 interval=1 times=1000000
		arrived=$(send stack fault0 200)
		faulty fail_skb_realloc probability=0
		is "$what: all arrive" 200 "$arrived"
		left=$(cat $injection/fail_skb_realloc/times)
		is "$what: they have" yes "$([ "$left" -lt 1000000 ] && echo yes)"
		echo "# figure $what|$((1000000 - left))"
	done
	program fault0
}

# Programs and maps that the kernel has
loaded() { for kind in prog map; do bpftool $kind show; done | grep -c '^[0-9]'; }
loaded_are() { [ "$(loaded)" = "$1" ]; }

echo "# STRESS_SEED=$seed STRESS_SECONDS=$seconds FAULTS_PARTS=\"${parts[*]}\""
at_first=$(loaded)
load_module numdevs=0
pin_programs xdp
for kind in failslab fail_page_alloc fail_function fail_skb_realloc; do
	undo "faulty $kind probability=0"
	# The kernel would write a line and a stack for each.
	faulty $kind verbose=0
done
for kind in failslab fail_page_alloc; do
	# Also of those who may wait, which are nearly all.
	faulty $kind ignore-gfp-wait=N
done
# Of vmalloc() and of what each CPU has, too.
faulty fail_page_alloc min-order=0 ignore-gfp-highmem=N
undo "dmesg -n $(cut -f 1 /proc/sys/kernel/printk)"
dmesg -n 4
packets=$(repeats $((seconds < 300 ? 400 : 2000)))

for part in "${parts[@]}"; do
	[ "$part" = operations ] || [ -n "${ns:-}" ] || prepare
	$part
done

# A program or map that somebody still refers to would be left.
[ -z "${ns:-}" ] || for device in fault0 fault1; do ip -n "$ns" link del $device; done
umount $pins
rmdir $pins
slowwait 60 loaded_are "$at_first"
is "programs and maps that are left" "$at_first" "$(loaded)"
finish
