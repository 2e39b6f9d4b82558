#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Statistics are exact: while all CPUs send, across a CPU that goes offline,
# beyond 32 bits, for each queue, and when packets are dropped.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
cpus=$(nproc)

ip -n "$ns" link add rlo0 type rlo
ip -n "$ns" link set rlo0 up
ip -n "$ns" addr add 10.7.0.1/32 dev rlo0

# flood DEVICE-ADDRESS COUNT SIZE: every CPU sends COUNT datagrams of SIZE bytes
# to a socket that takes what it can; whether it does is not counted here.
flood() {
	in_ns python3 - "$@" "$cpus" <<'EOF'
import os, socket, sys
address, count, size, cpus = sys.argv[1], *map(int, sys.argv[2:5])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 0))
children = []
for cpu in range(cpus):
    pid = os.fork()
    if pid == 0:
        if cpu in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {cpu})
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(count):
            sock.sendto(bytes(size), server.getsockname())
        os._exit(0)
    children.append(pid)
for pid in children:
    if os.waitpid(pid, 0)[1]:
        sys.exit("a sender failed")
EOF
}

rm -f /tmp/flood-done /tmp/reader /tmp/reading /tmp/queues-done

# All CPUs, with readers beside them that must never see a counter go back.
in_ns python3 - <<'EOF' &
import os, pathlib
base = "/sys/class/net/rlo0/statistics/"
last, back, reads = [0, 0], 0, 0
while not os.path.exists("/tmp/flood-done"):
    now = [int(pathlib.Path(base + name).read_text()) for name in ("rx_packets", "rx_bytes")]
    back += any(a < b for a, b in zip(now, last))
    last, reads = now, reads + 1
    pathlib.Path("/tmp/reading").touch()
pathlib.Path("/tmp/reader").write_text("%d backwards of %s" % (back, "many" if reads > 10 else reads))
EOF
until [ -e /tmp/reading ]; do sleep 0.05; done
count=$(repeats 5000)
ok "all CPUs send $count datagrams of 100 bytes" flood 10.7.0.1 "$count" 100
touch /tmp/flood-done
wait
is "packets: as many as were sent" $((count * cpus)) "$(counter "$ns" rlo0 rx_packets)"
is "bytes: as many as were sent" $((count * cpus * 128)) "$(counter "$ns" rlo0 rx_bytes)"
is "sent is received" "$(counter "$ns" rlo0 rx_packets) $(counter "$ns" rlo0 rx_bytes)" \
	"$(counter "$ns" rlo0 tx_packets) $(counter "$ns" rlo0 tx_bytes)"
is "a reader meanwhile never saw them go back" "0 backwards of many" "$(cat /tmp/reader)"

# A CPU goes offline: what it counted stays.
if [ -e /sys/devices/system/cpu/cpu1/online ]; then
	all=$(counters "$ns" rlo0)
	before=$(counter "$ns" rlo0 rx_packets)
	echo 0 >/sys/devices/system/cpu/cpu1/online
	is "a CPU is offline: its packets are still counted" "$all" "$(counters "$ns" rlo0)"
	cpus=1 flood 10.7.0.1 1000 100
	is "a CPU is offline: the others count" 1000 $(($(counter "$ns" rlo0 rx_packets) - before))
	echo 1 >/sys/devices/system/cpu/cpu1/online
	before=$(counter "$ns" rlo0 rx_packets)
	flood 10.7.0.1 1000 100
	is "the CPU is back: all count" $((1000 * cpus)) $(($(counter "$ns" rlo0 rx_packets) - before))
else
	ktap_test_fail "CPU 1 can be switched off (CONFIG_HOTPLUG_CPU, two CPUs)"
fi

# 64 bits: 67,000 packets of 65,000 bytes are more than 2^32. They are made by pktgen, and dropped by
# the IP layer (their source is not valid).
large=$(repeats 67000 3000)
modprobe pktgen
pktgen() { echo "$2" >"/proc/net/pktgen/$1"; }
ip link add rlo0 type rlo
ip link set rlo0 up
pktgen kpktgend_0 rem_device_all
pktgen kpktgend_0 "add_device rlo0"
for line in "count $large" "pkt_size 65014" "frags 16" "dst 192.0.2.1" "src_min 0.0.0.1" \
	"src_max 0.0.0.1" "dst_mac 00:00:00:00:00:00" "delay 0"; do
	pktgen rlo0 "$line"
done
pktgen pgctrl start
is "$large packets of 65,000 bytes: packets" "$large" "$(cat /sys/class/net/rlo0/statistics/rx_packets)"
is "$large packets of 65,000 bytes: bytes" $((large * 65000)) "$(cat /sys/class/net/rlo0/statistics/rx_bytes)"
pktgen kpktgend_0 rem_device_all
ip link del rlo0
rmmod pktgen

# Drops: the backlog of another CPU takes one packet at a time.
ip -n "$ns" link add drop0 type rlo
ip -n "$ns" link set drop0 up
ip -n "$ns" addr add 10.7.1.1/32 dev drop0
in_ns sh -c "echo 2 >/sys/class/net/drop0/queues/rx-0/rps_cpus"
backlog=$(sysctl -n net.core.netdev_max_backlog)
sysctl -qw net.core.netdev_max_backlog=1
trace_drops
count=$(repeats 20000)
cpus=1 flood 10.7.1.1 "$count" 100
traced=$(drops CPU_BACKLOG)
sysctl -qw net.core.netdev_max_backlog="$backlog"
dropped=$(counter "$ns" drop0 rx_dropped)
is "a full backlog: packets are dropped" yes "$([ "$dropped" -gt 0 ] && echo yes)"
is "a full backlog: received and dropped are what was sent" "$count" \
	$(($(counter "$ns" drop0 rx_packets) + dropped))
is "a full backlog: a dropped packet is not counted as sent" "$(counter "$ns" drop0 rx_packets)" \
	"$(counter "$ns" drop0 tx_packets)"
is "a full backlog: ip -s link shows the drops" "$dropped" \
	"$(ip -n "$ns" -j -s link show drop0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["stats64"]["rx"]["dropped"])')"
is "a full backlog: the reason is traced for each" "$dropped" "$traced"
ip -n "$ns" link del drop0

# Queues
qstats() { # DEVICE [QUEUES]: netdev-genl's statistics, sorted lines
	netdev_genl "$ns" --dump qstats-get \
		--json "{\"ifindex\": $(in_ns cat "/sys/class/net/$1/ifindex")${2:+, \"scope\": [\"queue\"]}}" |
		python3 -c '
import json, sys
for entry in json.load(sys.stdin):
    queue = "%s_queue_%s_" % (entry["queue-type"], entry["queue-id"]) if "queue-id" in entry else ""
    for name in ("rx-packets", "rx-bytes", "tx-packets", "tx-bytes"):
        if name in entry:
            print((queue + name[3:] if queue else name) + ":", entry[name])' | sort
}
ethtool_stats() { # packets and bytes
	in_ns ethtool -S "$1" | sed -nE 's/^ *([rt]x_queue_[0-9]+_(packets|bytes): .*)/\1/p' | sort
}
link_stats() { # in the form of qstats
	for name in rx_bytes rx_packets tx_bytes tx_packets; do
		echo "${name/_/-}: $(counter "$ns" "$1" $name)"
	done
}
sum() { # NAME: of all queues in ethtool -S
	in_ns ethtool -S q0 | awk -v name="$1" '$1 ~ "^" substr(name, 1, 2) "_queue_.*_" substr(name, 4) ":$" { sum += $2 } END { print sum }'
}

is "one queue: netdev-genl reports what ip -s link does" "$(link_stats rlo0)" "$(qstats rlo0)"
is "one queue: so does its queue" "$(qstats rlo0 queues)" "$(ethtool_stats rlo0)"
is "one queue: the queue has all packets" "$(counter "$ns" rlo0 rx_packets)" \
	"$(in_ns ethtool -S rlo0 | sed -n 's/^ *rx_queue_0_packets: //p')"

ip -n "$ns" link add q0 numtxqueues 4 numrxqueues 4 type rlo
ip -n "$ns" link set q0 up
ip -n "$ns" addr add 10.7.2.1/32 dev q0
is "four queues: ethtool -l" "4 4 4 4" \
	"$(in_ns ethtool -l q0 | sed -n 's/^[RT]X:[ \t]*//p' | xargs)"
# What is sent on a queue is received on the queue with the same number.
for queue in 0 1 2 3; do
	in_ns tc qdisc replace dev q0 clsact
	in_ns tc filter add dev q0 egress prio 1 protocol ip u32 match ip dport $((8000 + queue)) 0xffff \
		action skbedit queue_mapping $queue
done
in_ns python3 -c '
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
for queue, sink in enumerate(sinks):
    sink.bind(("10.7.2.1", 8000 + queue))
    for _ in range(10 * (queue + 1)):
        sock.sendto(bytes(100), ("10.7.2.1", 8000 + queue))'
expected=$(for queue in 0 1 2 3; do
	for direction in rx tx; do
		echo "${direction}_queue_${queue}_packets: $((10 * (queue + 1)))"
		echo "${direction}_queue_${queue}_bytes: $((10 * (queue + 1) * 128))"
	done
done | sort)
is "four queues: ethtool -S counts each" "$expected" "$(ethtool_stats q0)"
is "four queues: netdev-genl counts each" "$expected" "$(qstats q0 queues)"
is "four queues: netdev-genl's device has the sum" "$(link_stats q0)" "$(qstats q0)"
ok "four queues: ethtool -L rx 2 tx 3" in_ns ethtool -L q0 rx 2 tx 3
is "fewer queues: ethtool -l" "4 4 2 3" "$(in_ns ethtool -l q0 | sed -n 's/^[RT]X:[ \t]*//p' | xargs)"
is "fewer queues: ethtool -S shows those in use" "$(grep -E 'rx_queue_[01]|tx_queue_[012]' <<<"$expected")" \
	"$(ethtool_stats q0)"
is "fewer queues: netdev-genl's device still has all" "$(link_stats q0)" "$(qstats q0)"
flood 10.7.2.1 500 100
is "fewer queues: netdev-genl's device has the new ones too" "$(link_stats q0)" "$(qstats q0)"
ok "all queues again" in_ns ethtool -L q0 rx 4 tx 4
for name in rx_packets rx_bytes tx_packets tx_bytes; do
	is "all queues again: the sum of $name is the device's" "$(counter "$ns" q0 $name)" "$(sum $name)"
done
(while [ ! -e /tmp/queues-done ]; do flood 10.7.2.1 200 100; done) &
before=$(counter "$ns" q0 rx_packets)
changed=0
changes=$(repeats 40)
for i in $(seq "$changes"); do
	in_ns ethtool -L q0 rx $((i % 4 + 1)) tx $((i % 3 + 1)) && changed=$((changed + 1))
done
touch /tmp/queues-done
wait
is "the numbers were changed as often as asked" "$changes" $changed
is "under traffic" yes "$([ $(($(counter "$ns" q0 rx_packets) - before)) -ge 200 ] && echo yes)"
in_ns ethtool -L q0 rx 4 tx 4
is "and no packet is missing in the sums" \
	"$(counter "$ns" q0 rx_packets) $(counter "$ns" q0 tx_packets)" "$(sum rx_packets) $(sum tx_packets)"

finish
