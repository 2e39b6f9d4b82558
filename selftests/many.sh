#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many devices: 50 are added, carry traffic and are deleted, three times.

. ./lib.sh

load_module numdevs=0
setup_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
count() { ip -n "$ns" -o link show type rlo | wc -l; }

for round in 1 2 3; do
	for i in $(seq 50); do
		printf 'link add r%d type rlo\nlink set r%d up\naddr add 10.8.%d.1/32 dev r%d\n' $i $i $i $i
	done | ip -n "$ns" -batch -
	is "round $round: 50 devices" 50 "$(count)"
	is "round $round: every address answers" 50 "$(for i in $(seq 50); do
		in_ns ping -q -c 1 -W 5 "10.8.$i.1"
	done | grep -c ' 1 received')"
	is "round $round: every device counted its own two packets" "50 x 2" \
		"$(for i in $(seq 50); do counter "$ns" r$i rx_packets; done | sort | uniq -c | awk '{ print $1, "x", $2 }')"
	for i in $(seq 50); do echo "link del r$i"; done | ip -n "$ns" -batch -
	is "round $round: all deleted" 0 "$(count)"
done

finish
