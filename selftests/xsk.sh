#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# AF_XDP sockets with zero-copy: each action for packets that they send, millions of packets
# between two processes, processes that are killed, changes of everything under traffic, and
# rings that hold what they should not.
#
#   XSK_PACKETS  how many packets go between two processes (1000000, 100000 on a slow machine)
#   XSK_KILLS    how many processes are killed under traffic (20, 5 on a slow machine)
#   XSK_SEED     what chance begins with
#   XSK_PARTS    the functions to run (all)

. ./lib.sh
. ./xdp_lib.sh

tool=../build/rlo-xsk
packets=${XSK_PACKETS:-$(repeats 1000000 100000)}
kills=${XSK_KILLS:-$(repeats 20)}
seed=${XSK_SEED:-$RANDOM}
parts=${XSK_PARTS:-actions exchange hostile requests beside programs changes killed}

# eventually COMMAND...: waits until it succeeds.
eventually() {
	local end=$((SECONDS + limit))
	while ! "$@"; do
		[ $SECONDS -lt $end ] || return
		sleep 0.02
	done
}

# look: the counters of ethtool -S, in the array seen.
declare -A seen
look() {
	local name value
	while read -r name value; do
		seen[${name%:}]=$value
	done < <(in_ns ethtool -S rlo0 | grep ' *[rt]x_queue')
}

# changed: by how much the counters have changed since look, but for those of time.
changed() {
	local name value line=
	while read -r name value; do
		name=${name%:}
		case $name in
		*_stalls | *_wakeups) ;;
		[rt]x_queue*)
			[ "$value" = "${seen[$name]}" ] ||
				line+="${name/_queue_/}=$((value - seen[$name])) "
			;;
		esac
	done < <(in_ns ethtool -S rlo0)
	echo "${line% }"
}

# stat NAME: of the receiving queue.
stat() {
	local name value
	while read -r name value; do
		[ "$name" != "rx_queue_1_$1:" ] || echo "$value"
	done < <(in_ns ethtool -S rlo0)
}

# The process that has sockets of its own: start, ask COMMAND..., quit.
start() {
	coproc HELPER { exec nsenter --net="/run/netns/$ns" ./xsk.py rlo0 "$pins" 2>&3; }
	helper=$HELPER_PID
}
exec 3>&2
ask() {
	local answer
	echo "$*" >&"${HELPER[1]}"
	read -r -t $((2 * limit)) -u "${HELPER[0]}" answer
	echo "${answer:-no answer}"
}
quit() {
	eval "exec ${HELPER[1]}>&-"
	wait "$helper"
}

# tool COMMAND QUEUE OPTION...: rlo-xsk, in place of the subshell.
xsk() {
	exec nsenter --net="/run/netns/$ns" "$tool" "$1" -i rlo0 -q "$2" --bpffs "$pins" \
		--zero-copy --quiet --json "${@:3}"
}

# found OUTPUT NAME...: numbers of what rlo-xsk has printed.
found() {
	local name line=
	for name in "${@:2}"; do
		[[ $(cat "$1") =~ \"$name\":([0-9a-z]+) ]] && line+="$name ${BASH_REMATCH[1]}, " ||
			line+="no $name, "
	done
	echo "${line%, }"
}

# Two processes: receiver and sender hold their ids, out.recv and out.send what they print.
receiver='' sender=''
recv() {
	xsk recv 1 "$@" >$pins.recv 2>$pins.recv-said &
	receiver=$!
}
send() {
	xsk send 0 "$@" >$pins.send 2>$pins.send-said &
	sender=$!
}
# Has its socket, and works in a second thread.
works() {
	local tasks=("/proc/$1/task/"*)
	[ ${#tasks[@]} -gt 1 ]
}
gone() { ! kill -0 "$1" 2>/dev/null; }
runs() { gone "$1" || works "$1"; }
both_run() { ! gone "$receiver" && ! gone "$sender" && echo yes || echo no; }
# ended PID: waits for its end. Its exit status is its own, or that of a process that hangs.
ended() {
	local status=0
	eventually gone "$1" || { kill -KILL "$1"; echo "process $1 hangs"; }
	wait "$1" 2>/dev/null || status=$?
	return $status
}
stop() {
	local pid
	for pid in "$@"; do
		kill -TERM "$pid" 2>/dev/null
		ended "$pid"
	done
}

# moves: the device, whose receiver works, receives packets.
more_than() { statistics "$ns" rlo0 && [ "${statistics[column[rx_packets]]}" -gt "$1" ]; }
moves() {
	eventually works "$receiver"
	statistics "$ns" rlo0
	eventually more_than "${statistics[column[rx_packets]]}" && echo yes || echo no
}

# One pair of queues.
make_device() {
	ip -n "$ns" link add rlo0 address 02:00:00:00:00:07 numrxqueues 2 numtxqueues 2 type rlo
	in_ns ethtool --set-priv-flags rlo0 queue-pairs on
	ip -n "$ns" link set rlo0 mtu 3498 up
	ip -n "$ns" addr add 10.7.0.1/32 dev rlo0
}

# action HEARD RECEIVED COUNTERS: what becomes of 100 packets, of 64 and 1500 bytes by turns.
count=100
bytes=$((count * (64 + 1500 - 2 * 14) / 2))
action() {
	look
	is "$source, $program: where packets arrive" "$count back, $1 to the stack, $2 to the socket" \
		"$(ask send a $count 64,1500 "$1" ${target:+b "$2"})"
	is "$source, $program: counters" "$3" "$(changed)"
}

actions() {
	local target='' source program way common before
	ip -n "$far" link add veth0 type veth peer name veth1 netns "$ns"
	ip -n "$far" link set veth0 up
	ip -n "$ns" link set veth1 up
	# A program on the way for frames to come back over a veth.
	ip -n "$far" link set veth0 xdpdrv pinned $pins/all_to_socket
	number "$(in_ns cat /sys/class/net/veth1/ifindex 2>/dev/null ||
		ip netns exec "$ns" cat /sys/class/net/veth1/ifindex)"
	set_map devices 0 "${number[@]}"
	set_map cpus 0 0 2 0 0 0 0 0 0
	start
	is "a socket is bound for zero-copy" "bound" "$(ask open a 0)"
	common="rx1_packets=$count rx1_bytes=$bytes tx0_packets=$count tx0_bytes=$bytes"
	for source in "frames into packets" "frames into frames"; do
		if [ "$source" = "frames into packets" ]; then
			way="rx1_xsk_no_receiver=$count" target=
		else
			way="rx1_xsk_packets=$count rx1_xsk_bytes=$bytes" target=b
			ask close b >/dev/null
			is "and one on the other queue" "bound" "$(ask open b 1)"
		fi
		detach
		program="no program"
		action $count 0 "$common $way"
		for program in pass drop aborted tx to_cpu invalid to_device to_socket; do
			attach $program
			case $program in
			pass | drop | aborted | tx)
				action "$([[ $program = [pt]* ]] && echo $count || echo 0)" 0 \
					"$common rx1_xdp_$program=$count $way"
				;;
			invalid) action 0 0 "$common rx1_xdp_aborted=$count $way" ;;
			to_cpu) action $count 0 "$common rx1_xdp_redirect=$count $way" ;;
			to_device)
				before=$(counter "$far" veth0 rx_packets)
				action 0 0 "$common rx1_xdp_redirect=$count $way"
				eventually device_got $((before + count))
				is "$source, $program: they come out of the other device" $count \
					$(($(counter "$far" veth0 rx_packets) - before))
				;;
			to_socket)
				[ "$target" ] || is "a socket that copies is bound" "bound" "$(ask open b 1 copy)"
				target=b action 0 $count "$common rx1_xdp_redirect=$count $way"
				;;
			esac
		done
	done
	is "nothing else has come" "0 back, 0 to the stack, 0 to the socket" "$(ask send a 0 64)"
	quit
	ip -n "$far" link del veth0
	detach
}
device_got() { [ "$(counter "$far" veth0 rx_packets)" -ge "$1" ]; }

# defer TIMES NANOSECONDS: leaves the polling to processes that do it themselves.
defer() {
	ip netns exec "$ns" sh -c "cd /sys/class/net/rlo0 && echo $1 >napi_defer_hard_irqs &&
		echo $2 >gro_flush_timeout"
}

# two_frames WHY COUNTER: a packet of two frames is dropped and counted, and the next one arrives.
two_frames() {
	local before
	before=$(stat "$2")
	is "a packet of two frames, $1: the next one arrives" "19 back, 0 invalid: next" \
		"$(ask fragments a b 18)"
	is "it is counted as $2" 1 $(($(stat "$2") - before))
	ask close a b >/dev/null
}

# Two processes, and every packet.
exchange() {
	local before slow
	slow=$(repeats 1000)
	recv --verify full
	eventually works "$receiver"
	before=$(stat xsk_packets)
	send --verify full --count "$packets"
	limit=$((limit + packets / 1000)) ended "$sender"
	is "two processes: the sender ends well" 0 $?
	ended "$receiver"
	is "two processes: the receiver ends well" 0 $?
	is "$packets packets were sent" "sent $packets, pending 0, ok true" \
		"$(found $pins.send sent pending ok)"
	is "and arrived, in order and intact" \
		"received $packets, first 0, lost 0, duplicated 0, reordered 0, corrupt 0, ok true" \
		"$(found $pins.recv received first lost duplicated reordered corrupt ok)"
	# And one that says that it was the last.
	is "the device counts as many" $((packets + 1)) $(($(stat xsk_packets) - before))

	defer 2 200000
	recv --verify full --busy-poll
	eventually works "$receiver"
	send --verify full --busy-poll --count $((packets / 10))
	ended "$sender"
	ended "$receiver"
	is "both poll in their system calls: all arrive, in order and intact" \
		"received $((packets / 10)), lost 0, duplicated 0, reordered 0, corrupt 0, ok true" \
		"$(found $pins.recv received lost duplicated reordered corrupt ok)"
	defer 0 0

	attach all_to_socket
	start
	ask open a 0 >/dev/null
	ask open b 1 aligned 16 >/dev/null
	before=$(stat xsk_stalls)
	is "a slow receiver: all arrive, in order and intact" \
		"$slow sent, $slow back, $slow arrived, 0 wrong" "$(ask slow a b "$slow" "$seed")"
	is "a slow receiver: the sender was held back" yes \
		"$([ "$(stat xsk_stalls)" -gt "$before" ] && echo yes)"
	ask close b >/dev/null
	ask open b 1 aligned,no-wakeup 16 >/dev/null
	is "one that does not say when it has frames again: all arrive" \
		"$slow sent, $slow back, $slow arrived, 0 wrong" "$(ask slow a b "$slow" "$seed")"
	ask close b >/dev/null
	ask open b 1 aligned 16 >/dev/null
	is "a receiver that pauses and then takes a little gets all" "32 back, 32 arrived" \
		"$(ask pause a b 4)"
	ask close b >/dev/null
	ask open b 1 aligned 16 >/dev/null
	before=$(stat xsk_dropped)
	is "one that takes nothing any more does not hold the sender" "32 back, 16 arrived" \
		"$(ask pause a b 0)"
	is "what it did not take is counted" 16 $(($(stat xsk_dropped) - before))
	quit
	detach
}

# killed: one of the two, or both, at any time.
killed() {
	local i victim pause bad='' hung='' unclear=''
	echo "# XSK_SEED=$seed"
	RANDOM=$seed
	recv --keep
	send
	for ((i = 0; i < kills; i++)); do
		# Sometimes before anything moves.
		if ((RANDOM % 4)); then
			[ "$(moves)" = yes ] || bad+="$i "
		fi
		printf -v pause '0.%03d' $((RANDOM % 300))
		sleep "$pause"
		victim=$((RANDOM % 5))
		# The receiver, the sender, or both.
		case $victim in
		0 | 1) kill -KILL "$receiver" ;;
		2 | 3) kill -KILL "$sender" ;;
		4) kill -KILL "$receiver" "$sender" ;;
		esac 2>/dev/null
		if ((victim != 2 && victim != 3)); then
			ended "$receiver" >/dev/null
			renew recv --keep || hung+="$i "
		fi
		if ((victim > 1)); then
			ended "$sender" >/dev/null
			renew send || hung+="$i "
		fi
		# The other one goes on, or says why not.
		! gone "$receiver" || grep -q '^error: ' $pins.recv-said || unclear+="$i "
		! gone "$sender" || grep -q '^error: ' $pins.send-said || unclear+="$i "
	done
	is "after $kills kills: packets always moved again" "" "$bad"
	is "after $kills kills: new processes could always bind" "" "$hung"
	is "after $kills kills: the other side went on" "" "$unclear"
	is "they still move" yes "$(moves)"
	stop "$sender" "$receiver"
	is "nothing that arrived was wrong" "duplicated 0, reordered 0, corrupt 0" \
		"$(found $pins.recv duplicated reordered corrupt)"
	fresh_pair "after the kills"
	send
	recv --keep
	moves >/dev/null
	kill -KILL "$receiver" "$sender"
	ok "the device is deleted right after a kill" timeout $limit ip -n "$ns" link del rlo0
	{ ended "$sender"; ended "$receiver"; } 2>/dev/null
	make_device
}

# renew recv|send OPTION...: starts one, again while the queue is taken by what was killed.
renew() {
	local end=$((SECONDS + limit)) pid
	while :; do
		"$@"
		[ "$1" = recv ] && pid=$receiver || pid=$sender
		eventually runs "$pid"
		! gone "$pid" || ! grep -q 'is taken by another' "$pins.$1-said" || {
			[ $SECONDS -lt $end ] || return
			sleep 0.05
			continue
		}
		! gone "$pid"
		return
	done
}

# fresh_pair WHEN: a new pair of processes.
fresh_pair() {
	renew recv
	renew send --count 20000
	ended "$sender" && ended "$receiver"
	is "$1: a new pair of processes" \
		"20000 sent, received 20000, lost 0, duplicated 0, reordered 0, corrupt 0, ok true" \
		"$(found $pins.send sent | sed 's/\(.*\) \(.*\)/\2 \1/'), $(found $pins.recv received lost \
			duplicated reordered corrupt ok)"
}

# both_end WHEN: with an error, and a sentence that says why.
both_end() {
	local status=0
	ended "$sender" || status=$?
	ended "$receiver" || status+=" $?"
	is "$1: both end with an error" "1 1" "$status"
	is "$1: both say why" "2" "$(cat $pins.send-said $pins.recv-said |
		grep -cE '^error: .*(rlo0 is down or gone|no longer bound)')"
}

changes() {
	local i size
	renew recv --keep
	renew send
	is "packets move" yes "$(moves)"
	is "another program is refused" "Error: Can't replace active BPF XDP link. (2)" \
		"$(sentence attach pass)"
	is "and so is its removal" "Error: Can't replace active BPF XDP link. (2)" \
		"$(sentence detach)"
	is "an MTU beyond the frames is refused" "RTNETLINK answers: Invalid argument (2)" \
		"$(sentence timeout $limit ip -n "$ns" link set rlo0 mtu 3815)"
	is "the log says why" 1 "$(kernel_log |
		grep -c 'rlo0: the MTU is too large for the frames of an AF_XDP socket')"
	ok "the largest MTU is accepted" timeout $limit ip -n "$ns" link set rlo0 mtu 3814
	ip -n "$ns" link set rlo0 mtu 3498
	is "fewer queues are refused" \
		"netlink error: Device queue in use by AF_XDP netlink error: Invalid argument (1)" \
		"$(sentence in_ns timeout $limit ethtool -L rlo0 rx 1 tx 1)"
	for size in "rx 64 tx 18" "rx 4096 tx 64" "rx 1024 tx 20"; do
		# shellcheck disable=SC2086 # several words
		ok "rings of another size: $size" in_ns timeout $limit ethtool -G rlo0 $size
	done
	is "packets still move" yes "$(moves)"
	is "both run" yes "$(both_run)"
	stop "$sender" "$receiver"
	is "nothing was lost meanwhile" "lost 0, duplicated 0, reordered 0, corrupt 0" \
		"$(found $pins.recv lost duplicated reordered corrupt)"

	renew recv --keep
	renew send
	for ((i = 0; i < $(repeats 8); i++)); do
		in_ns timeout $limit ethtool --set-priv-flags rlo0 queue-pairs off
		in_ns timeout $limit ethtool --set-priv-flags rlo0 queue-pairs on
	done
	is "pairs switched off and on: packets move" yes "$(moves)"
	is "pairs switched off and on: both run" yes "$(both_run)"
	stop "$sender" "$receiver"
	fresh_pair "pairs switched off and on"

	renew recv --keep
	renew send
	moves >/dev/null
	ok "the device is brought down" timeout $limit ip -n "$ns" link set rlo0 down
	both_end "down"
	ok "the device is brought up" timeout $limit ip -n "$ns" link set rlo0 up
	fresh_pair "up again"

	renew recv --keep
	renew send
	moves >/dev/null
	ok "the device is deleted" timeout $limit ip -n "$ns" link del rlo0
	both_end "deleted"
	make_device
	fresh_pair "a new device"

	renew recv --keep
	renew send
	moves >/dev/null
	ok "the module is removed" timeout $limit rmmod rust_loopback
	both_end "removed"
	load_module numdevs=0
	make_device
	fresh_pair "loaded again"
}

# Programs come and go while sockets send and receive.
programs() {
	local i program
	attach all_to_socket
	start
	ask open a 0 >/dev/null
	ask open b 1 >/dev/null
	ask flood a b >/dev/null
	for ((i = 0; i < $(repeats 8); i++)); do
		for program in pass to_socket all_to_socket; do attach $program; done
		detach
	done
	attach all_to_socket
	is "programs attached, replaced, detached: packets move" yes "$(arrive)"
	is "programs attached, replaced, detached: every frame comes back" "0 missing" "$(ask end)"
	quit
	detach
}
got_more_than() { [ "$(ask received)" -gt "$1" ]; }
arrive() { eventually got_more_than "$(ask received)" && echo yes || echo no; }

# pair [MODE]: two sockets, and a program that gives each its packets.
pair() {
	is "sockets are bound${1:+ ($1)}" "bound bound" \
		"$(ask open a 0 "${1:-}") $(ask open b 1 "${2:-${1:-}}")"
}
works_still() {
	is "$1: new sockets work" "32 back, 0 to the stack, 32 to the socket" \
		"$(ask send a 32 64,1500 0 b 32)"
	ask close a b >/dev/null
}

hostile() {
	local mode ring before
	attach all_to_socket
	start
	for mode in aligned small unaligned unaligned,small; do
		# A packet has to fit into a chunk.
		ip -n "$ns" link set rlo0 mtu "$([[ $mode = *small ]] && echo 1500 || echo 3498)"
		pair $mode
		is "$mode: descriptors that are none" \
			"0 not back, 0 not intact, 0 too many, 0 not counted" "$(ask descriptors a b)"
		works_still "$mode"
	done
	ip -n "$ns" link set rlo0 mtu 3498
	for mode in aligned,empty unaligned,empty; do
		pair aligned $mode
		is "$mode: empty frames that are none" "4 arrived, 4 right" \
			"$(ask fill a b)"
		ask close a b >/dev/null
	done
	pair aligned aligned,empty
	is "one empty frame many times" \
		"16 arrived in 1 frame, lengths right, the last is in it, 16 back" \
		"$(ask same_frame a b 16)"
	ask close a b >/dev/null

	pair sg
	is "17 frames are a packet" "18 back, 0 invalid: whole next" "$(ask fragments a b 17)"
	is "18 frames, too" "19 back, 0 invalid: whole next" "$(ask fragments a b 18)"
	is "19 are none" "20 back, 0 invalid: next" "$(ask fragments a b 19)"
	is "30 are none" "31 back, 0 invalid: next" "$(ask fragments a b 30)"
	is "nor are those of which one is invalid" "6 back, 1 invalid: next" "$(ask fragments a b 5 2)"
	is "the end of a packet comes late" "0 back, 0 arrived; 4 back, whole" "$(ask endless a b)"
	works_still sg
	pair sg sg,empty
	ask offer b 4096 4096 4096 8192 12288 >/dev/null
	is "a packet of two frames, of which one is offered twice" "19 back, 0 invalid: whole next" \
		"$(ask fragments a b 18)"
	ask close a b >/dev/null
	pair sg sg,empty
	ask offer b 4096 >/dev/null
	two_frames "of which there is one" xsk_dropped
	attach to_socket
	pair sg
	two_frames "and a program without xdp.frags" xdp_errors
	attach all_to_socket
	pair aligned
	look
	is "a packet of several frames fits into one" "5 back, 0 invalid: whole next" \
		"$(ask fragments a b 4)"
	is "too much for one frame: nothing of it" "21 back, 0 invalid: next" "$(ask fragments a b 20)"
	works_still "without sg"
	pair aligned
	ask open c 0 a >/dev/null
	before=$(stat xsk_too_long)
	is "two sockets share rings: a packet without an end" "1 back" "$(ask unfinished c)"
	is "it is counted" 1 $(($(stat xsk_too_long) - before))
	ask close c >/dev/null
	works_still "a packet without an end"
	# Beside a socket that copies there are no frames.
	pair aligned aligned,copy
	ask open c 0 a >/dev/null
	before=$(stat xdp_errors)
	is "a packet without an end for a queue without frames" "1 back" "$(ask unfinished c)"
	is "it is counted as an error" 1 $(($(stat xdp_errors) - before))
	ask close c a b >/dev/null

	for ring in tx completion fill rx; do
		pair aligned
		is "an index of the ring $ring that jumps far" bounded "$(ask jump a b $ring 2147483648)"
		ask close a b >/dev/null
		pair aligned
		is "and back" bounded "$(ask jump a b $ring -7)"
		ask close a b >/dev/null
	done
	pair aligned
	works_still "after jumps"

	pair aligned
	is "frames that are written to during the copy" "0 not back, 0 lost, 0 wrong" \
		"$(ask rewrite a b "$(repeats 100)")"
	is "nothing around a packet is written to" "0 wrong, 0 touched" \
		"$(ask leaves_alone a b "$(repeats 320)")"
	ask close a b >/dev/null
	quit
	detach
}

# What a sender asks for in front of its packets: the UDP checksum, and the time.
requests() {
	local before
	attach all_to_socket
	start
	pair metadata
	is "requests: a checksum of an even length" "checksum right, time right, 0 to the stack" \
		"$(ask request a b 100)"
	is "requests: of an odd one" "checksum right, time right, 0 to the stack" \
		"$(ask request a b 1237)"
	is "requests: a checksum that begins behind the packet" \
		"checksum as it was, time right, 0 to the stack" "$(ask request a b 100 1 95)"
	is "requests: one that ends behind it" \
		"checksum as it was, time right, 0 to the stack" "$(ask request a b 100 1 93)"
	ask close b >/dev/null
	is "requests: to the stack" "checksum elsewhere, time right, 1 to the stack" \
		"$(ask request a none 100 1 34 1)"
	ask close a >/dev/null
	pair metadata,sg
	is "requests: a packet of several frames" "checksum right, time right, 0 to the stack" \
		"$(ask request a b 1237 4)"
	ip -n "$ns" link set rlo0 mtu 9000
	is "requests: into several frames" "checksum right, time right, 0 to the stack" \
		"$(ask request a b 8001 3)"
	attach pass_frags
	is "requests: into several frames, and to the stack" \
		"checksum elsewhere, time right, 1 to the stack" "$(ask request a none 8001 3 34 1)"
	# A map takes one frame.
	number "$(ip netns exec "$ns" cat /sys/class/net/rlo0/ifindex)"
	set_map devices_frags 0 "${number[@]}"
	attach to_device_frags
	look
	is "requests: into several frames, and to a device" \
		"checksum elsewhere, time right, 0 to the stack" "$(ask request a none 8001 3)"
	is "it is counted" 1 "$(changed | grep -c rx1_xdp_redirect_err=1)"
	ask close b >/dev/null
	ask open b 1 metadata,sg,empty >/dev/null
	ask offer b 4096 >/dev/null
	before=$(stat xsk_dropped)
	ask request a none 8001 3 >/dev/null
	is "requests: into several frames, of which there is one: dropped and counted" 1 \
		$(($(stat xsk_dropped) - before))
	ip -n "$ns" link set rlo0 mtu 3498
	ask close a b >/dev/null
	quit
	detach
}

# Generic XDP beside a pool, and copies beside zero-copy.
beside() {
	start
	pair
	ok "generic XDP beside sockets with zero-copy" \
		ip -n "$ns" link set rlo0 xdpgeneric pinned $pins/to_socket
	look
	is "generic XDP: packets arrive" "100 back, 0 to the stack, 100 to the socket" \
		"$(ask send a 100 64,1500 0 b 100)"
	is "generic XDP: counters" "rx1_packets=100 rx1_bytes=$bytes tx0_packets=100 tx0_bytes=$bytes \
rx1_xsk_packets=100 rx1_xsk_bytes=$bytes" "$(changed)"
	ip -n "$ns" link set rlo0 xdpgeneric off
	attach meta
	is "metadata: packets go to the stack" "100 back, 100 to the stack, 0 to the socket" \
		"$(ask send a 100 64,1500 100)"
	# lo takes no frames.
	number 1
	set_map devices 0 "${number[@]}"
	attach to_device
	look
	is "to a device that takes none" "100 back, 0 to the stack, 0 to the socket" \
		"$(ask send a 100 64,1500)"
	is "it is counted" 1 "$(changed | grep -c rx1_xdp_redirect_err=100)"
	ask close a b >/dev/null
	detach
	ok "a queue that only sends" eventually in_ns ethtool -L rlo0 rx 1 tx 2
	is "has no frames" "error: Invalid argument" "$(ask open b 1)"
	ok "a queue that receives, too" in_ns ethtool -L rlo0 rx 2 tx 2
	is "a socket is bound" "bound" "$(ask open a 0)"

	attach to_socket
	is "a socket that copies beside one that does not" "bound" "$(ask open b 1 copy)"
	is "from zero-copy to copies" "100 back, 0 to the stack, 100 to the socket" \
		"$(ask send a 100 64,1500 0 b 100)"
	is "from copies to zero-copy" "100 back, 0 to the stack, 100 to the socket" \
		"$(ask send b 100 64,1500 0 a 100)"
	quit
	detach
}

# part FUNCTION: and how long it takes.
part() {
	local start=$SECONDS
	"$@"
	echo "# $1: $((SECONDS - start)) s"
}

prepare_namespaces
make_device
for name in $parts; do
	# The shell tells of each process that is killed.
	part "$name" 2> >(grep -v Killed >&2)
done
ok "the device is deleted" timeout $limit ip -n "$ns" link del rlo0
rm -f $pins.*
finish
