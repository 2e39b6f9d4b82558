#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many devices: 50 are added, carry traffic and are deleted, some times.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
count() { ip -n "$ns" -o link show type rlo | wc -l; }

# An echo over each device, in one process: two packets.
echoes() {
	in_ns python3 - <<-'EOF'
		import socket
		answered = 0
		client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		client.settimeout(5)
		for i in range(1, 51):
		    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    server.settimeout(5)
		    server.bind((f"10.8.{i}.1", 7))
		    client.sendto(b"echo", server.getsockname())
		    server.sendto(*server.recvfrom(9))
		    answered += client.recvfrom(9) == (b"echo", server.getsockname())
		print(answered)
	EOF
}

rounds=$(repeats 3)
for round in $(seq "$rounds"); do
	for i in $(seq 50); do
		printf 'link add r%d type rlo\nlink set r%d up\naddr add 10.8.%d.1/32 dev r%d\n' "$i" "$i" "$i" "$i"
	done | ip -n "$ns" -batch -
	is "round $round: 50 devices" 50 "$(count)"
	is "round $round: every address answers" 50 "$(echoes)"
	is "round $round: every device counted its own two packets" "50 x 2" \
		"$(for i in $(seq 50); do counter "$ns" "r$i" rx_packets; done | sort | uniq -c | awk '{ print $1, "x", $2 }')"
	for i in $(seq 50); do echo "link del r$i"; done | ip -n "$ns" -batch -
	is "round $round: all deleted" 0 "$(count)"
done

finish
