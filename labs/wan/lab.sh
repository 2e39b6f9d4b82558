#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A wide area network between two programs on one machine: netem on a loopback of
# their own, and what they measure beside what was asked for. See README.rst;
# 'make lab-wan' runs it in a guest.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

rows=()

# counter NAME: one of the namespace's statistics, as nstat calls it.
counter() { nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'; }

# iperf "OPTIONS": a UDP test, and what iperf3 said of it: the kbit/s that were
# sent, seconds, packets, and how many of them
#   lost      went into the line and did not come out of it,
#   refused   did not go in, as its queue was full.
# For want of CPU time a program can send too much at once, or let its socket
# become full; neither is the line's loss. The line can lose the datagram by which
# iperf3 begins, too, and the answer to it: then it is started again.
iperf() {
	local first last in_full out_full number='([0-9.]+)'
	local lost_its_first="unable to read from stream socket"
	out_full=$(counter UdpSndbufErrors)
	in_full=$(counter UdpRcvbufErrors)
	for _ in 1 2 3 4; do
		! show "iperf3 $1 | grep -E 'sender|receiver'" "$lost_its_first" || break
		note "That was the first datagram. Once more:"
	done
	refused=$(($(counter UdpSndbufErrors) - out_full))
	in_full=$(($(counter UdpRcvbufErrors) - in_full))
	first=${said%%$'\n'*} last=${said##*$'\n'}
	[[ $first =~ \ $number\ Kbits/sec ]] && offered=${BASH_REMATCH[1]}
	[[ $last =~ -$number\ +sec ]] && seconds=${BASH_REMATCH[1]}
	[[ $last =~ \ ([0-9]+)/([0-9]+)\ \( ]] && packets=${BASH_REMATCH[2]} &&
		lost=$((BASH_REMATCH[1] - refused - in_full))
}

# rtt: min, average and max of what ping said last, in the array rtt.
rtt() { IFS=/ read -r -a rtt < <(sed -n 's/^rtt [^=]*= \([^ ]*\) ms/\1/p' <<<"$said"); }

# measure_delay FROM TO LEAST MOST: pings, and compares the shortest time with the
# milliseconds that it has to be within, and 5 for the machine.
measure_delay() {
	show "ping -q -n -i 0.2 -c 20 -I $1 $2 | tail -n 2"
	rtt
	expect "shortest time there and back, ms" "${rtt[0]:-}" '>=' "$3"
	expect "shortest time there and back, ms" "${rtt[0]:-}" '<' "$(calculate "$4 + 5")"
}

# measure_loss PERCENT DELAY: of small packets, 12 seconds of them, and as many a second as keep the
# queue from being full: 140 of them are on the way for DELAY ms. The number lost is binomial; 4.5
# standard deviations leave one run in 100,000 outside.
measure_loss() {
	local deviation kbit=$((140 * 800 / $2))
	[ $kbit -le 2000 ] || kbit=2000
	iperf "-c 10.99.0.2 -B 10.99.0.1 -u -l 100 -b ${kbit}k -k $((kbit * 15)) -f k"
	packets=$((packets - refused))
	expect "packets that went into the line" "$packets" '>=' $((kbit * 10))
	deviation=$(calculate "4.5 * sqrt($packets * $1 / 100 * (1 - $1 / 100))" %.1f)
	expect "lost of them" "$lost" '>=' "$(calculate "$packets * $1 / 100 - $deviation" %.1f)"
	expect "lost of them" "$lost" '<=' "$(calculate "$packets * $1 / 100 + $deviation" %.1f)"
	loss=$(calculate "100 * $lost / $packets" %.2f)
}

# measure_rate MBIT TO FROM [OPTION]: half as much again is sent as the line can take.
# A packet of 1400 bytes takes 1442 of the line: UDP, IPv4 and Ethernet headers.
measure_rate() {
	local possible
	iperf "-c $2 -B $3 -u -l 1400 -b $(calculate "$1 * 1.5" %.1f)M -t 8 -f k${4:+ $4}"
	rate=$(calculate "($packets - $refused - $lost) * 1442 * 8 / $seconds / 1e6" %.2f)
	expect "arrived, with headers, Mbit/s" "$rate" '<=' "$(calculate "$1 * 1.03" %.2f)"
	# Where the CPU is too slow to send what was asked of it, not more can arrive.
	possible=$(awk "BEGIN { sent = $offered * 1442 / 1400 / 1000; print (sent < $1) ? sent : $1 }")
	expect "arrived, with headers, Mbit/s" "$rate" '>=' "$(calculate "$possible * 0.8" %.2f)"
}

# profile NAME DELAY JITTER LOSS RATE: ms, ms, percent, Mbit/s.
profile() {
	local name=$1 delay=$2 jitter=$3 loss_asked=$4 mbit=$5 tcp
	local packets lost refused loss rate offered seconds
	title "$name: $delay ms$([ "$jitter" = 0 ] || echo " ± $jitter ms"), $loss_asked % loss, $mbit Mbit/s"
	show "tc qdisc replace dev wan root netem delay ${delay}ms$([ "$jitter" = 0 ] || echo " ${jitter}ms") loss $loss_asked% rate ${mbit}mbit limit 200"
	measure_delay 10.99.0.1 10.99.0.2 $((2 * (delay - jitter))) $((2 * (delay + jitter)))
	[ "$jitter" = 0 ] || expect "longest time less the shortest, ms" \
		"$(calculate "${rtt[2]} - ${rtt[0]}" %.1f)" '>=' "$jitter"
	measure_loss "$loss_asked" $((delay + jitter))
	measure_rate "$mbit" 10.99.0.2 10.99.0.1
	note "What TCP makes of it, for information:"
	show "iperf3 -c 10.99.0.2 -B 10.99.0.1 -t 6 -f k | grep receiver"
	tcp=$(awk '{ print $(NF - 2) / 1000 }' <<<"$said")
	note "The packets that netem dropped, by chance and for want of room:"
	show "tc -s qdisc show dev wan | head -n 2"
	rows+=("$(printf '%-10s %4s ± %-2s %5s %7s | %8s %7s %8s %6s %6s %6s' "$name" "$delay" "$jitter" \
		"$loss_asked" "$mbit" "${rtt[0]}" "${rtt[1]}" "${rtt[2]}" "$loss" "$rate" "$(calculate "$tcp" %.2f)")")
}

symmetric() {
	title "One loopback, both ends of the line"
	note "Every packet between the two addresses passes the queueing discipline of the loopback once: a delay of 15 ms on it makes 30 ms there and back, and both directions share its rate."
	show "ip link add wan type rlo"
	show "ip link set wan mtu 1500 up"
	show "ip addr add 10.99.0.1/32 dev wan"
	show "ip addr add 10.99.0.2/32 dev wan"
	note "Packets as on a wire, not up to 64 KiB at once, so that loss is loss of a packet:"
	show "ethtool -K wan tso off gso off gro off"
	show "iperf3 -s -B 10.99.0.2 -D"
	show "ping -q -n -i 0.2 -c 5 -I 10.99.0.1 10.99.0.2 | tail -n 2"
	rtt
	expect "shortest time there and back without netem, ms" "${rtt[0]:-}" '<' 5

	profile DSL 15 0 0.5 10
	profile 4G 30 10 1 12
	profile satellite 280 0 2 4

	title "The rest of the machine"
	note "lo is as fast as ever, while satellite is on the other loopback:"
	show "ping -q -n -i 0.2 -c 5 127.0.0.1 | tail -n 2"
	rtt
	expect "shortest time there and back over lo, ms" "${rtt[0]:-}" '<' 5
	show "tc qdisc del dev wan root"
	show "ping -q -n -i 0.2 -c 5 -I 10.99.0.1 10.99.0.2 | tail -n 2"
	rtt
	expect "shortest time there and back without netem, ms" "${rtt[0]:-}" '<' 5
}

asymmetric() {
	local device up down packets lost refused rate offered seconds shortest
	title "Two loopbacks, a direction on each"
	note "What a program sends goes by the loopback that has its destination. With an end of the line on each, the directions have rates of their own, as with ADSL: what is sent to the subscriber 10.98.0.1 goes by downlink, what the subscriber sends to 10.98.0.2 by uplink."
	for device in downlink uplink; do
		show "ip link add $device type rlo"
		show "ip link set $device mtu 1500 up"
		show "ethtool -K $device tso off gso off gro off"
	done
	show "ip addr add 10.98.0.1/32 dev downlink"
	show "ip addr add 10.98.0.2/32 dev uplink"
	show "tc qdisc add dev downlink root netem delay 10ms rate 8mbit limit 200"
	show "tc qdisc add dev uplink root netem delay 30ms rate 1mbit limit 50"
	show "iperf3 -s -B 10.98.0.2 -D"
	note "The shortest time there and back that TCP has seen: 30 ms by uplink, and 10 ms by downlink. ping sees twice the 30, for the kernel's own replies to IPv4 go back by the loopback of the request."
	show "iperf3 -c 10.98.0.2 -B 10.98.0.1 -l 100 -b 8k -t 2 >/dev/null & sleep 1; ss -Htin dport = :5201 | grep -om 1 'minrtt:[0-9.]*'; wait \$!"
	shortest=${said#minrtt:}
	expect "shortest time there and back, ms" "$shortest" '>=' 40
	expect "shortest time there and back, ms" "$shortest" '<' 45
	show "ping -q -n -i 0.2 -c 5 -I 10.98.0.1 10.98.0.2 | tail -n 2"
	rtt
	expect "of ping, ms" "${rtt[0]:-}" '>=' 60
	expect "of ping, ms" "${rtt[0]:-}" '<' 65
	measure_rate 1 10.98.0.2 10.98.0.1
	up=$rate
	measure_rate 8 10.98.0.2 10.98.0.1 --reverse
	down=$rate
	expect "down as many times as fast as up" "$(calculate "$down / $up" %.1f)" '>=' 4
}

symmetric
asymmetric

title "Asked for and measured"
printf '%-10s %-23s | %-25s %6s %6s %6s\n' "" "asked" "there and back, ms" loss rate TCP
printf '%-10s %4s %3s  %5s %7s | %8s %7s %8s %6s %6s %6s\n' "" ms "" % Mbit/s shortest mean longest % Mbit/s Mbit/s
printf '%s\n' "${rows[@]}"
finish
