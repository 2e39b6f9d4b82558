#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# XDP programs in native mode: each action for packets of the stack and for
# frames that another device's program redirects here, large packets, what
# programs may change, and changes of everything while packets are under way.

. ./lib.sh
. ./xdp_lib.sh

count=100
size=92 # and a header: the length that the program 'checksum' looks for

# seen FIELD: what the programs have counted (packets, longest, ...).
seen() {
	bpftool -j map dump pinned "$pins/seen" | python3 -c \
		"import json, sys; print(json.load(sys.stdin)[0]['formatted']['value']['$1'])"
}
# shellcheck disable=SC2046 # 32 words
forget() { set_map seen 0 $(printf '0 %.0s' $(seq 32)); }

# stat NAME: of queue 0.
stat() {
	ip netns exec "$ns" ethtool -S rlo0 | awk -v name="rx_queue_0_$1:" '$1 == name { print $2 }'
}

# deliver SOURCE COUNT SIZE: sends datagrams to rlo0, by the stack or by frames
# that veth1 redirects, and says what a socket got of them.
deliver() {
	local -A from=([stack]=$ns [frames]=$far)
	ip netns exec "$ns" ./xdp.py deliver "${from[$1]}" 10.7.0.1 "$2" "$3"
}

all="$count intact, $count of $size"
none="0 intact"

prepare() {
	prepare_namespaces
	ip -n "$ns" link add rlo0 address 02:00:00:00:00:07 type rlo
	ip -n "$ns" link set rlo0 up
	ip -n "$ns" addr add 10.7.0.1/32 dev rlo0
	# veth1's program redirects to rlo0 what far sends to its address.
	ip -n "$far" link add veth0 type veth peer name veth1 netns "$ns"
	ip -n "$far" addr add 10.8.0.1/24 dev veth0
	# veth hands frames on without the checksums that it was to fill in.
	ip netns exec "$far" ethtool -K veth0 tx off >/dev/null
	ip -n "$far" link set veth0 up
	ip -n "$ns" addr add 10.8.0.2/24 dev veth1
	ip -n "$ns" link set veth1 up
	ip -n "$far" neigh add 10.8.0.7 lladdr 02:00:00:00:00:07 dev veth0
	ip -n "$far" route add 10.7.0.1 via 10.8.0.7
}

limits() {
	is "a program without frags is refused at 64 KiB" \
		"Error: The MTU is too large for an XDP program without multi-buffer (xdp.frags). (2)" \
		"$(sentence attach pass)"
	ok "one with frags is not" attach pass_frags
	is "checksums and segmentation are left to the stack" "off off off" "$(offloads)"
	is "an MTU beyond its limit is refused" \
		"Error: mtu greater than device maximum. (2)" \
		"$(sentence ip -n "$ns" link set rlo0 mtu 73135)"
	ok "it is detached" detach
	is "checksums and segmentation are left to the device again" "on on on" "$(offloads)"
	ok "and any MTU is allowed" ip -n "$ns" link set rlo0 mtu 100000
	is "at which a program with frags is refused, too" \
		"Error: The MTU is too large for XDP. (2)" "$(sentence attach pass_frags)"
	ok "the MTU of a page" ip -n "$ns" link set rlo0 mtu 3502
	ok "allows a program without frags" attach pass
	is "then a larger MTU is refused" "Error: mtu greater than device maximum. (2)" \
		"$(sentence ip -n "$ns" link set rlo0 mtu 3503)"
	is "generic XDP beside it is refused" \
		"Error: Native and generic XDP can't be active at the same time. (2)" \
		"$(sentence ip -n "$ns" link set rlo0 xdpgeneric pinned $pins/pass)"
	detach
}

# Of TSO, the checksum, and that of SCTP.
offloads() {
	ip netns exec "$ns" ethtool -k rlo0 |
		awk '/tx-tcp-segmentation|tx-checksum-ip-generic|tx-checksum-sctp/ { printf "%s%s", n++ ? " " : "", $2 }'
}

# action SOURCE PROGRAM ARRIVED COUNTER: what becomes of datagrams.
action() {
	local before
	forget
	attach "$2"
	before=$(stat "$4")
	is "$1, $2: what arrives" "$3" "$(deliver "$1" $count $size)"
	is "$1, $2: the program has seen each once" $count "$(seen packets)"
	is "$1, $2: they are counted as $4" $count $(($(stat "$4") - before))
}

actions() {
	local source frags variants=("")
	ip -n "$ns" link set veth1 xdpdrv pinned "$pins/forward_to"
	number "$(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)"
	set_map forward 0 "${number[@]}"
	is "frames, no program: what arrives" "$all" "$(deliver frames $count $size)"
	for frags in "" _frags; do
		set_map "cpus$frags" 0 0 2 0 0 0 0 0 0
	done
	# A program on the way for frames to come back over a veth.
	ip -n "$far" link set veth0 xdpdrv pinned "$pins/all_to_socket"
	# A slow machine has large packets to see multi-buffer with.
	slow || variants+=(_frags)
	for frags in "${variants[@]}"; do
		number "$(ip netns exec "$ns" cat /sys/class/net/veth1/ifindex)"
		set_map "devices$frags" 0 "${number[@]}"
		for source in stack frames; do
			action "$source" "pass$frags" "$all" xdp_pass
			action "$source" "drop$frags" "$none" xdp_drop
			action "$source" "tx$frags" "$all" xdp_tx
			action "$source" "to_cpu$frags" "$all" xdp_redirect
			# Then they are dropped, as by 'drop'.
			if [ "$source" = frames ] && slow; then continue; fi
			echo 1 >$tracing/events/xdp/xdp_exception/enable
			: >$tracing/trace
			action "$source" "aborted$frags" "$none" xdp_aborted
			is "$source, aborted$frags: each is traced" $count \
				"$(grep -c 'action=ABORTED' $tracing/trace)"
			echo 0 >$tracing/events/xdp/xdp_exception/enable
			action "$source" "invalid$frags" "$none" xdp_aborted
		done
		# Over veth1 they leave, for nobody's address.
		local before
		before=$(counter "$far" veth0 rx_packets)
		action stack "to_device$frags" "$none" xdp_redirect
		is "stack, to_device$frags: they come out of the other device" $count \
			$(($(counter "$far" veth0 rx_packets) - before))
	done
	is "it was counted as sent and received" "yes" "$(same_both_ways)"
}

same_both_ways() {
	local rx tx
	rx=$(counter "$ns" rlo0 rx_packets) tx=$(counter "$ns" rlo0 tx_packets)
	[ "$rx" = "$tx" ] && echo yes || echo "rx $rx, tx $tx"
}

loops() {
	number "$(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)"
	set_map devices 0 "${number[@]}"
	action stack to_device "$all" xdp_redirect
	action stack tx "$all" xdp_tx
	# lo takes no frames.
	number 1
	set_map devices 0 "${number[@]}"
	action stack to_device "$none" xdp_redirect_err
	action frames to_device "$none" xdp_redirect_err
}

large() {
	local before
	detach
	ip -n "$ns" link set rlo0 mtu 65536
	forget
	attach pass_frags
	is "datagrams of 60000 bytes pass" "20 intact, 20 of 60000" "$(deliver stack 20 60000)"
	is "in one piece" 60042 "$(seen longest)"
	before=$(stat xdp_drop)
	attach drop_frags
	is "or are dropped" "$none" "$(deliver stack 20 60000)"
	is "which is counted" 20 $(($(stat xdp_drop) - before))
	attach to_cpu_frags
	is "or go over another CPU" "20 intact, 20 of 60000" "$(deliver stack 20 60000)"
	attach tail
	is "or get longer and shorter" "20 intact, 20 of 60000" "$(deliver stack 20 60000)"
	detach
	is "TCP without a program: intact" "intact" "$(stream 3000000)"
	attach pass_frags
	is "TCP with a program: intact" "intact" "$(stream 3000000)"
	is "its packets are not longer than the MTU" yes \
		"$(seen longest | awk '{ print $1 <= 65550 ? "yes" : $1 }')"
	detach
	ip -n "$ns" link set rlo0 mtu 3502
}

# Frames in several pieces, no longer than the MTU, which another device's program redirects.
pieces() {
	local program counter before
	number "$(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)"
	set_map forward_frags 0 "${number[@]}"
	ip -n "$ns" -force link set veth1 xdpdrv pinned $pins/forward_rest
	ip -n "$ns" link set veth1 mtu 9000
	ip -n "$far" link set veth0 mtu 9000
	for program in "pass xdp_errors" "pass_frags xdp_pass"; do
		read -r program counter <<<"$program"
		attach "$program"
		before=$(stat "$counter")
		ip netns exec "$far" ./xdp.py send 10.7.0.1 $count 5000
		slowwait 10 until_counter_is ">= $((before + count))" stat "$counter" >/dev/null
		is "frames in several pieces, $program: they are counted as $counter" $count \
			$(($(stat "$counter") - before))
	done
	detach
	ip -n "$far" link set veth0 mtu 1500
	ip -n "$ns" link set veth1 mtu 1500
	ip -n "$ns" -force link set veth1 xdpdrv pinned $pins/forward_to
}

# stream BYTES: over TCP to rlo0, whose content is compared.
stream() {
	head -c "$1" /dev/urandom >/tmp/xdp-sent
	ip netns exec "$ns" socat -u TCP-LISTEN:9999,reuseaddr CREATE:/tmp/xdp-received &
	until [ -n "$(ip netns exec "$ns" ss -Hlnt sport = 9999)" ]; do sleep 0.1; done
	ip netns exec "$ns" socat -u OPEN:/tmp/xdp-sent TCP:10.7.0.1:9999
	wait $!
	cmp -s /tmp/xdp-sent /tmp/xdp-received && echo intact || echo changed
	rm -f /tmp/xdp-sent /tmp/xdp-received
}

changes() {
	forget
	attach checksum
	is "checksums: what arrives" "$all" "$(deliver stack $count $size)"
	is "checksums: each was right" "$count 0" "$(seen packets) $(seen bad_checksums)"
	attach head
	is "head moved and moved back: what arrives" "$all" "$(deliver stack $count $size)"
	attach tail
	is "tail moved and moved back: what arrives" "$all" "$(deliver stack $count $size)"
	attach meta
	in_ns bpftool net attach tcx_ingress pinned $pins/mark dev rlo0
	ip netns exec "$ns" nft -f - <<-END
		table ip xdp {
			chain in {
				type filter hook input priority 0
				meta mark 0x1234 counter
			}
		}
	END
	is "metadata: what arrives" "$all" "$(deliver stack $count $size)"
	is "metadata: tc has read it of each" $count \
		"$(ip netns exec "$ns" nft list table ip xdp | sed -n 's/.*packets \([0-9]*\) .*/\1/p')"
	ip netns exec "$ns" nft delete table ip xdp
	in_ns bpftool net detach tcx_ingress dev rlo0
	detach
}

under_way() {
	local i before dropped
	before=$(stat xdp_pass) dropped=$(counter "$ns" rlo0 rx_dropped)
	stream "$(repeats 30000000)" >/tmp/xdp-verdict &
	for ((i = 0; i < $(repeats 20); i++)); do
		attach pass
		attach pass_frags
		detach
	done
	wait $!
	is "attached, replaced, detached under TCP: intact" intact "$(cat /tmp/xdp-verdict)"
	rm /tmp/xdp-verdict
	is "programs have seen some of it" yes "$([ "$(stat xdp_pass)" -gt "$before" ] && echo yes)"
	is "and nothing was dropped" 0 $(($(counter "$ns" rlo0 rx_dropped) - dropped))
}

# More than a ring holds.
rings() {
	local before full xmit
	attach drop
	ok "a ring of 64" ip netns exec "$ns" ethtool -G rlo0 rx 64
	before=$(counter "$ns" rlo0 rx_dropped) full=$(stat xdp_ring_full)
	forget
	# They are all there before the poll begins.
	ip netns exec "$ns" ./xdp.py burst 10.7.0.1 100 $size
	is "100 packets at once: the program has seen" 64 "$(seen packets)"
	is "100 packets at once: the ring was full for" 36 $(($(stat xdp_ring_full) - full))
	is "100 packets at once: they are dropped" 36 $(($(counter "$ns" rlo0 rx_dropped) - before))
	number "$(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)"
	set_map forward 0 "${number[@]}"
	full=$(stat xdp_ring_full) xmit=$(stat xdp_xmit)
	forget
	ok "frames are redirected" in_ns ./xdp.py frames "$pins/forward_to" 256
	is "256 frames at once: taken" 64 $(($(stat xdp_xmit) - xmit))
	is "256 frames at once: the program has seen" 64 "$(seen packets)"
	is "256 frames at once: the ring was full for" 192 $(($(stat xdp_ring_full) - full))
	detach
}

# What the device tells about itself with netdev-genl.
features() {
	netdev_genl "$ns" --do dev-get \
		--json "{\"ifindex\": $(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)}" |
		python3 -c "import json, sys; print(*sorted(json.load(sys.stdin)['$1']))"
}

# asked FIELD: what the device has told the program about the last packet.
asked() {
	bpftool -j map dump pinned $pins/answers | python3 -c \
		"import json, sys; print(json.load(sys.stdin)[0]['formatted']['value']['$1'])"
}

# What programs can ask the device.
hints() {
	local before hash
	is "hints that there are" "hash timestamp" "$(features xdp-rx-metadata-features)"
	is "requests that AF_XDP sockets may make" "tx-checksum tx-timestamp" "$(features xsk-features)"
	# A program that asks is loaded by a kernel that describes its functions (BTF), which
	# the debug kernel does not.
	[[ $(uname -r) != *-rlo-debug ]] || return 0
	in_ns bpftool prog load ../build/selftests/xdp_hints.bpf.o $pins/hints \
		xdpmeta_dev rlo0 pinmaps $pins
	ok "a program that asks is attached" attach hints
	before=$(date +%s%N)
	is "hints, stack: what arrives" "$all" "$(deliver stack $count $size)"
	is "hints, stack: there is a time" 0 "$(asked timestamp_result)"
	is "hints, stack: it is that of arrival" yes \
		"$(between "$before" "$(asked timestamp)" "$(date +%s%N)")"
	is "hints, stack: there is a hash, of ports, too" "0 8" \
		"$(asked hash_result) $(asked hash_type)"
	hash=$(asked hash)
	is "hints, stack: what arrives of another flow" "$all" "$(deliver stack $count $size)"
	is "hints, stack: it has another hash" yes "$([ "$(asked hash)" != "$hash" ] && echo yes)"
	is "hints, frames: what arrives" "$all" "$(deliver frames $count $size)"
	is "hints, frames: there is a time, and no hash" "0 -61" \
		"$(asked timestamp_result) $(asked hash_result)"
	detach
	rm $pins/hints $pins/answers
}

# between A B C: whether they are in order.
between() { [ "$1" -le "$2" ] && [ "$2" -le "$3" ] && echo yes; }

life() {
	attach pass
	ip -n "$ns" link set rlo0 down
	is "down and up: the program is still there" pass \
		"$(ip -n "$ns" -d -j link show rlo0 | python3 -c \
			'import json, sys; print(json.load(sys.stdin)[0]["xdp"]["prog"]["name"])')"
	ip -n "$ns" link set rlo0 up
	forget
	is "down and up: what arrives" "$all" "$(deliver stack $count $size)"
	is "down and up: the program has seen it" $count "$(seen packets)"
	ip netns exec "$ns" sh -c 'echo 1 >/sys/class/net/rlo0/threaded'
	ok "threaded NAPI: a thread polls" pgrep -f 'napi/rlo0'
	is "threaded NAPI: what arrives" "$all" "$(deliver stack $count $size)"
	ip netns exec "$ns" sh -c 'echo 0 >/sys/class/net/rlo0/threaded'
	ok "the ring has another size" ip netns exec "$ns" ethtool -G rlo0 rx 64 tx 20
	is "as is shown" "64 20" "$(ip netns exec "$ns" ethtool -g rlo0 |
		awk '/Current/ { now = 1 } now && /^(RX|TX):/ { printf "%s%s", n++ ? " " : "", $2 }')"
	is "the ring cannot be too small" \
		"netlink error: The least sizes are 64 for rx and 18 for tx netlink error: Invalid argument (81)" \
		"$(sentence ip netns exec "$ns" ethtool -G rlo0 rx 63)"
	is "what arrives" "$all" "$(deliver stack $count $size)"
	ip -n "$ns" link del rlo0
	is "a device with a program is deleted" "" "$(ip -n "$ns" -o link show type rlo)"
}

# instances: NAPI instances of queues, and pools of pages, of all devices. A pool whose queue is gone
# can wait for packets that a CPU is to free when it receives the next one (skb_defer_free_flush()).
instances() {
	local dump
	for dump in queue-get page-pool-get; do
		netdev_genl "$ns" --dump $dump | python3 -c 'import json, sys
print(sum("napi-id" in entry or "inflight" in entry and "detach-time" not in entry
          for entry in json.load(sys.stdin)))'
	done | xargs
}

# More than one queue: the program sees the queue, packets find their way.
queues() {
	ip -n "$ns" link add rlo0 address 02:00:00:00:00:07 numtxqueues 4 numrxqueues 4 type rlo
	ip -n "$ns" link set rlo0 mtu 3502 up
	ip -n "$ns" addr add 10.7.0.1/32 dev rlo0
	forget
	is "without a program: NAPI instances, pools of pages" "0 0" "$(instances)"
	attach pass
	is "four queues: NAPI instances, pools of pages" "8 4" "$(instances)"
	is "four queues: what arrives" "$all" "$(deliver stack $count $size)"
	ok "fewer queues" ip netns exec "$ns" ethtool -L rlo0 rx 2 tx 2
	is "two queues: what arrives" "$all" "$(deliver stack $count $size)"
	ok "more queues" ip netns exec "$ns" ethtool -L rlo0 rx 4 tx 4
	ok "pairs of queues" ip netns exec "$ns" ethtool --set-priv-flags rlo0 queue-pairs on
	is "as is shown" "on" "$(ip netns exec "$ns" ethtool --show-priv-flags rlo0 |
		awk '/queue-pairs/ { print $NF }')"
	attach tx
	is "pairs of queues, XDP_TX: what arrives" "$all" "$(deliver stack $count $size)"
	is "the program has seen it" $((3 * count)) "$(seen packets)"
	is "it was counted as sent and received" yes "$(same_both_ways)"
	detach
	is "without the program again: NAPI instances, pools of pages" "0 0" "$(instances)"
	ok "generic XDP" ip -n "$ns" link set rlo0 xdpgeneric pinned $pins/pass
	is "fewer queues are refused meanwhile" "netlink error: Device or resource busy (1)" \
		"$(sentence ip netns exec "$ns" ethtool -L rlo0 rx 2 tx 2)"
}

prepare
limits
actions
loops
large
pieces
changes
under_way
rings
hints
life
queues
finish
