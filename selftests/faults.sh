#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every memory allocation of every operation of a device's life fails once: the operation
# does without or is refused, and succeeds when it is done again. While packets are on their
# way, pages of the queues' pools cannot be had and headers move. For kernels with
# CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAIL_SKB_REALLOC.
#
#   STRESS_SECONDS  how long it may take (60); which allocations of an operation with more
#                   fail is a matter of chance
#   STRESS_SEED     what chance begins with
#   FAULTS          the operations, one a line, if not all

. ./lib.sh

seconds=${STRESS_SECONDS:-60}
seed=${STRESS_SEED:-$RANDOM}
injection=/sys/kernel/debug

# What the kernel says itself, with a stack and no warning, when it gets no memory for a
# module's code. It stays in the log, but not on the console.
kernel_log() {
	dmesg | sed -n "/$mark/,\$p" | awk '
		/ (python3|ip|ethtool): vmalloc error: / { own = 1 }
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

echo "# STRESS_SEED=$seed STRESS_SECONDS=$seconds"
checkers "at first"
load_module numdevs=0
pin_programs xdp
for kind in failslab fail_page_alloc fail_skb_realloc; do
	undo "faulty $kind probability=0"
	# The kernel would write a line and a stack for each.
	faulty $kind verbose=0
done
for kind in failslab fail_page_alloc; do
	# Also of those who may wait, which are nearly all.
	faulty $kind ignore-gfp-wait=N
done
faulty fail_page_alloc min-order=0

mapfile -t operations < <(printf %s "${FAULTS:-}")
undo "dmesg -n $(cut -f 1 /proc/sys/kernel/printk)"
dmesg -n 4
report faults ./faults.py "$module" $pins "$seconds" "$seed" "${operations[@]}"

# Packets, some of which get no pages, or whose headers are copied at every look.
new_ns ns
ip -n "$ns" link add fault0 type rlo
ip -n "$ns" link set fault0 up
ip -n "$ns" addr add 10.7.9.1/32 dev fault0

# within FUNCTION: faults happen in this function of the kernel only, by the settings in the array
# range.
within() {
	mapfile -t range < <(sort /proc/kallsyms | awk -v name="$1" '
		start && $1 != start { print "require-start=0x" start; print "require-end=0x" $1; exit }
		$3 == name { start = $1 }')
	if [ ${#range[@]} -ne 2 ]; then
		echo "# the kernel has no function $1"
		exit 1
	fi
}

# flow COUNT: sends datagrams, some of several pages; says how many arrived.
flow() {
	ip netns exec "$ns" python3 - "$1" <<-'END'
		import socket, sys
		server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
		server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
		server.bind(("10.7.9.1", 0))
		server.settimeout(1)
		arrived = 0
		for number in range(int(sys.argv[1])):
		    data = number.to_bytes(4, "big") * (5 + number % 3 * 3000)
		    client.sendto(data, server.getsockname())
		    last = number + 1 == int(sys.argv[1])
		    server.settimeout(5 if last else 1 if number % 20 == 19 else 0.01)
		    try:
		        while True:
		            got = server.recv(1 << 16)
		            arrived += got == got[:4] * (5 + int.from_bytes(got[:4], "big") % 3 * 3000)
		            if got[:4] == data[:4]:
		                break
		    except OSError:
		        pass
		print(arrived)
	END
}
errors() { ip netns exec "$ns" ethtool -S fault0 | awk '/xdp_errors/ { sum += $2 } END { print sum }'; }

packets=$(repeats 2000)
# Not by fail_function: what it could let fail, page_pool_alloc_netmems(), is inlined.
within __page_pool_alloc_netmems_slow
faulty fail_page_alloc "${range[@]}" probability=100 interval=1 times=-1
# A pool that has no pages yet; later on it has a few.
ip -n "$ns" -force link set fault0 xdpdrv pinned $pins/pass_frags
arrived=$(flow $((packets / 10)))
faulty fail_page_alloc probability=80
arrived=$((arrived + $(flow $((packets - packets / 10)))))
faulty fail_page_alloc probability=0
is "pages that cannot be had: packets are missing" yes "$([ "$(errors)" -gt 0 ] && echo yes)"
is "and counted" "$packets" $((arrived + $(errors)))
echo "# figure pages that could not be had|$(errors)"
is "afterwards all arrive" 100 "$(flow 100)"
ip -n "$ns" link set fault0 xdpdrv off

# without FUNCTION COMMAND...: runs it while nothing that this function asks for can be had. What
# kvmalloc() is asked for is refused only then, for it tries twice. Says what the command says.
without() {
	local kind
	within "$1"
	for kind in failslab fail_page_alloc; do
		faulty $kind "${range[@]}" probability=100 interval=1 times=-1
	done
	ip netns exec "$ns" "${@:2}" 2>&1
	for kind in failslab fail_page_alloc; do
		faulty $kind probability=0
	done
}
# The packets that a ring holds, and the program
rings() {
	ip netns exec "$ns" ethtool -g fault0 | awk '/^RX:/ { size = $2 } END { printf "%s ", size }'
	ip -n "$ns" -d link show fault0 | grep -o "name pass_frags"
}
program=(ip link set fault0 xdpdrv pinned "$pins/pass_frags")
is "rings that cannot be had: the program is refused" "RTNETLINK answers: Cannot allocate memory" \
	"$(without netdev_helper_ring_init "${program[@]}")"
is "it is not there" "1024 " "$(rings)"
ok "afterwards it is attached" ip netns exec "$ns" "${program[@]}"
is "larger rings that cannot be had: they are refused" "netlink error: Cannot allocate memory" \
	"$(without netdev_helper_ring_resize ethtool -G fault0 rx 2048)"
is "they are as they were" "1024 name pass_frags" "$(rings)"
is "and carry packets" 100 "$(flow 100)"
ok "afterwards they are resized" ip netns exec "$ns" ethtool -G fault0 rx 2048
is "as one sees" "2048 name pass_frags" "$(rings)"
is "and carry packets" 100 "$(flow 100)"
ip -n "$ns" link set fault0 xdpdrv off

for program in no pass_frags; do
	[ $program = no ] || ip -n "$ns" -force link set fault0 xdpdrv pinned $pins/$program
	faulty fail_skb_realloc devname=fault0 probability=100 interval=1 times=1000000
	arrived=$(flow 200)
	faulty fail_skb_realloc probability=0
	is "headers that move, program $program: all arrive" 200 "$arrived"
	is "headers have moved" yes "$([ "$(cat $injection/fail_skb_realloc/times)" -lt 1000000 ] && echo yes)"
done

checkers "at last"
finish
