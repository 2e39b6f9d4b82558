#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A web server, a database and a key-value store on one machine, each on a
# loopback of its own. See README.rst; 'make lab-services' runs it in a guest.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
loopbacks=(web sql kv)

# What each service is asked, and how many packets went by which device.
ask_web='curl -sS http://10.80.0.1/'
ask_sql='psql -h 10.54.0.1 -U postgres -Atc "select inet_server_addr()"'
ask_kv='redis-cli -h 10.63.0.1 ping'
declare -A moved

# packets DEVICE: how many it has received, which is how many it has sent.
packets() { awk -v device="$1:" '$1 == device { print $3 }' /proc/net/dev; }

# counted COMMAND: shows it, and how many packets each device received meanwhile.
counted() {
	local device line=
	local -A before
	for device in "${loopbacks[@]}" lo; do
		before[$device]=$(packets "$device")
	done
	show "$1"
	for device in "${loopbacks[@]}" lo; do
		moved[$device]=$(($(packets "$device") - before[$device]))
		line+=" $device ${moved[$device]},"
	done
	printf '       packets:%s\n' "${line%,}"
	gap=$'\n'
}

# only DEVICE: the counters of no other device have moved.
only() {
	local device others=() found=()
	for device in "${loopbacks[@]}" lo; do
		[ "$device" != "$1" ] || continue
		others+=("$device") found+=("${moved[$device]}")
	done
	expect "packets on $1" "${moved[$1]}" '>' 0
	expect "packets on ${others[*]}" "${found[*]}" = "$(printf '%.0s0 ' "${others[@]}" | sed 's/ $//')"
}

# fails COMMAND STATUS MEANING: shows a command that must not succeed.
fails() {
	show "$1 || echo exit status \$?"
	expect "$3" "${said##*$'\n'}" = "exit status $2"
}

# wait_for COMMAND: until it succeeds, for at most 60 s.
wait_for() {
	local _
	for _ in {1..600}; do
		! eval "$1" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	die "in 60 s this did not succeed: $1"
}

# Milliseconds that the fastest of several answers takes, in the array latency.
declare -A latency
measure_latency() {
	latency[web]=$(for _ in {1..5}; do curl -so /dev/null -w '%{time_total}\n' http://10.80.0.1/; done |
		sort -n | awk 'NR == 1 { printf "%.2f", $1 * 1000 }')
	rm -f /tmp/lab/pgbench.*
	pgbench -h 10.54.0.1 -U postgres -n -S -t 10 -l --log-prefix=/tmp/lab/pgbench postgres >/dev/null 2>&1
	# The third column has microseconds.
	latency[sql]=$(sort -n -k 3 /tmp/lab/pgbench.* | awk 'NR == 1 { printf "%.2f", $3 / 1000 }')
	latency[kv]=$(redis-benchmark -h 10.63.0.1 -c 1 -n 10 -t get --csv 2>/dev/null |
		tr -d '"' | awk -F, '$1 == "GET" { printf "%.2f", $4 }')
	printf '%-28s%10s%10s%10s\n' "$1" "${latency[web]}" "${latency[sql]}" "${latency[kv]}"
	gap=$'\n'
}

setup() {
	title "Three loopbacks, a service on each"
	local device
	for device in "${loopbacks[@]}"; do
		show "ip link add $device type rlo"
		show "ip link set $device up"
	done
	note "A server binds to the IPv6 address of such a loopback with IPV6_FREEBIND, or with this:"
	show "sysctl -w net.ipv6.ip_nonlocal_bind=1"
	show "ip addr add 10.80.0.1/32 dev web"
	show "ip addr add 127.80.0.1/16 dev web    # a piece of 127/8"
	show "ip addr add fd00:80::1/128 dev web"
	show "ip addr add 10.54.0.1/32 dev sql"
	show "ip addr add fd00:54::1/128 dev sql"
	show "ip addr add 10.63.0.1/32 dev kv"
	show "ip addr add fd00:63::1/128 dev kv"

	# shellcheck disable=SC2016 # shown as it is
	show 'nginx -e /tmp/lab/nginx-error.log -c "$PWD/nginx.conf"'
	show "runuser -u redis -- redis-server --bind 10.63.0.1 fd00:63::1 --protected-mode no \\
    --save '' --dir /tmp/lab --logfile /tmp/lab/redis.log --daemonize yes"
	note "The database takes a minute to make where the CPU is emulated."
	show "runuser -u postgres -- initdb --no-sync -A trust -E UTF8 --no-instructions \\
    -D /tmp/lab/sql >/tmp/lab/initdb.log"
	show "echo 'host all all samehost trust' >>/tmp/lab/sql/pg_hba.conf"
	show "runuser -u postgres -- pg_ctl -s -w -D /tmp/lab/sql -l /tmp/lab/sql.log -o \\
    '-c listen_addresses=10.54.0.1,fd00:54::1 -c unix_socket_directories=/tmp/lab' start"
	show "pgbench -h 10.54.0.1 -U postgres -i -I dtGp -q postgres 2>&1 | tail -n 1"
	wait_for "redis-cli -h 10.63.0.1 ping"

	show "ss -Hltn | awk '{ print \$4 }' | sort"
	expect "sockets that listen" "$(paste -sd ' ' <<<"$said")" = \
		"10.54.0.1:5432 10.63.0.1:6379 10.80.0.1:80 127.80.0.1:80 [fd00:54::1]:5432 [fd00:63::1]:6379 [fd00:80::1]:80"
}

counters() {
	local address
	title "Each loopback counts its own service"
	for address in 10.80.0.1 127.80.0.1 '[fd00:80::1]'; do
		counted "curl -sS 'http://$address/'"
		address=${address//[][]/}
		expect "the answer" "$said" = "$address answers $address"
		only web
	done
	counted "pgbench -h 10.54.0.1 -U postgres -n -c 2 -t 50 postgres | grep -E '^(latency|tps|number of (transactions a|failed))'"
	expect "pgbench, transactions" "$(grep -oE '[0-9]+/[0-9]+$|failed transactions: [0-9]+' <<<"$said" | xargs)" = "100/100 failed transactions: 0"
	only sql
	counted "pgbench -h fd00:54::1 -U postgres -n -c 2 -t 50 postgres | grep -E '^(latency|tps|number of (transactions a|failed))'"
	expect "pgbench, transactions" "$(grep -oE '[0-9]+/[0-9]+$|failed transactions: [0-9]+' <<<"$said" | xargs)" = "100/100 failed transactions: 0"
	only sql
	for address in 10.63.0.1 fd00:63::1; do
		counted "redis-benchmark -h $address -c 10 -n 1000 -t set,get --csv | cut -d , -f 1-5"
		expect "redis-benchmark, tests with a result" "$(grep -cE '^"(SET|GET)","[0-9]' <<<"$said")" = 2
		only kv
	done
	show "ip -s link show kv"
}

# mss ADDRESS PORT: that a client offers to the service.
mss() {
	show "{ ss -Htin state established dport = :$2 | grep -o 'advmss:[0-9]*'; } 3<>/dev/tcp/$1/$2"
	mss=${said#advmss:}
}

mtu() {
	local mss longest device
	title "Each loopback has its own MTU"
	show "ip link set kv mtu 1500"
	show "ip link set sql mtu 9000"
	note "What TCP offers to take in a segment (advmss) is the MTU without 20 bytes of IPv4 header (40 of IPv6), 20 of TCP and 12 of time stamps:"
	mss 10.63.0.1 6379
	expect "kv, IPv4" "$mss" = $((1500 - 52))
	mss fd00:63::1 6379
	expect "kv, IPv6" "$mss" = $((1500 - 72))
	mss 10.54.0.1 5432
	expect "sql, IPv4" "$mss" = $((9000 - 52))
	mss 10.80.0.1 80
	# TCP's largest MSS is 65495.
	expect "web, IPv4, whose MTU is still 65536" "$mss" = $((65495 - 12))

	note "Without segmentation offload the packets themselves are as short as the MTU. 500 kB from the key-value store:"
	show "head -c 500000 /dev/zero | redis-cli -h 10.63.0.1 -x set blob"
	show "ethtool -K kv tso off gso off gro off"
	capture kv "redis-cli -h 10.63.0.1 get blob | wc -c"
	expect "bytes received" "$said" '>=' 500000
	longest=$(longest)
	expect "kv, longest packet" "$longest" = 1500
	capture web "curl -sS http://10.80.0.1/blob | wc -c"
	expect "bytes received" "$said" = 500000
	longest=$(longest)
	expect "web, longest packet" "$longest" '>' 9000
	for device in kv sql; do
		show "ip link set $device mtu 65536"
	done
	show "ethtool -K kv tso on gso on gro on"
}

# capture DEVICE COMMAND: what tcpdump saw on the device while the command ran
# is in /tmp/lab/pcap.
capture() {
	local filter=/tmp/lab/pcap last
	printf '%s# tcpdump -n -i %s -w %s &\n' "$gap" "$1" $filter
	gap=''
	rm -f $filter
	tcpdump -n -U --immediate-mode -i "$1" -w $filter 2>/tmp/lab/tcpdump.log &
	local pid=$!
	wait_for "grep -q 'listening on' /tmp/lab/tcpdump.log"
	show "$2"
	# All of it has arrived; now for tcpdump to have written it.
	last=-1
	until [ "$(stat -c %s $filter)" = "$last" ]; do
		last=$(stat -c %s $filter)
		sleep 0.5
	done
	kill -INT $pid
	wait $pid
}
# Of the IP packets in the capture, with their headers.
longest() {
	tcpdump -n -v -r /tmp/lab/pcap 2>/dev/null | grep -oE '^[^ ].*, length [0-9]+\)' |
		grep -oE '[0-9]+\)$' | tr -d ')' | sort -n | tail -n 1
}
# captured [FILTER]: how many packets.
captured() { tcpdump -n -r /tmp/lab/pcap "$@" 2>/dev/null | wc -l; }

delay() {
	local -A before
	local service
	title "A slow key-value store: netem on one of them only"
	note "Milliseconds for an answer, the fastest of curl, pgbench and redis-benchmark:"
	printf '%-28s%10s%10s%10s\n' "" "${loopbacks[@]}"
	measure_latency "no delay"
	for service in "${loopbacks[@]}"; do
		before[$service]=${latency[$service]}
	done
	show "tc qdisc add dev kv root netem delay 100ms"
	measure_latency "100 ms on kv, each way"
	note "A request passes the loopback once, and so does the answer: twice 100 ms."
	# redis-benchmark rounds to three figures, downwards.
	expect "kv, ms" "${latency[kv]}" '>=' 199
	expect "kv, ms more than before" "$(calculate "${latency[kv]} - ${before[kv]}" %.1f)" '<' 300
	for service in web sql; do
		expect "$service, ms more than before" "$(calculate "${latency[$service]} - ${before[$service]}" %.2f)" '<' 5
	done
	show "tc qdisc del dev kv root"
	measure_latency "no delay again"
	expect "kv, ms more than before" "$(calculate "${latency[kv]} - ${before[kv]}" %.2f)" '<' 5
}

watch() {
	title "tcpdump of one service"
	note "All three are asked, one is watched:"
	capture sql "$ask_web; $ask_sql; $ask_kv"
	expect "the answers" "$(paste -sd ' ' <<<"$said")" = "10.80.0.1 answers 10.80.0.1 10.54.0.1 PONG"
	show "tcpdump -n -q -r /tmp/lab/pcap 2>/dev/null | head -n 4"
	expect "packets of sql in the capture" "$(captured)" '>' 0
	expect "packets of something else in it" "$(captured 'not (host 10.54.0.1 and tcp port 5432)')" = 0
}

# answers: which of the three services answer within 15 s.
answers() {
	local service ask answer=
	for service in "${loopbacks[@]}"; do
		ask=ask_$service
		! eval "timeout 15 ${!ask}" 2>/dev/null |
			grep -qxE ' *(10\.80\.0\.1 answers 10\.80\.0\.1|10\.54\.0\.1|PONG)' || answer+=" $service"
	done
	echo "${answer# }"
}

firewall() {
	local address
	title "A firewall that closes one of them"
	show "nft add table inet fence"
	show "nft add chain inet fence input '{ type filter hook input priority 0; }'"
	expect "who answers" "$(answers)" = "web sql kv"
	show "nft add rule inet fence input iifname kv tcp dport 6379 counter reject with tcp reset"
	for address in 10.63.0.1 fd00:63::1; do
		fails "redis-cli -h $address ping" 1 "redis-cli cannot connect"
		expect "why" "$(grep -o 'Connection refused' <<<"$said")" = "Connection refused"
	done
	expect "who answers" "$(answers)" = "web sql"
	show "nft flush chain inet fence input"
	show "nft add rule inet fence input iifname kv tcp dport 6379 counter drop"
	fails "timeout 3 redis-cli -h 10.63.0.1 ping" 124 "redis-cli waits in vain"
	expect "who answers" "$(answers)" = "web sql"
	show "nft list chain inet fence input"
	expect "packets that the rule dropped" "$(grep -oE 'packets [0-9]+' <<<"$said" | cut -d ' ' -f 2)" '>' 0
	show "nft delete table inet fence"
	expect "who answers" "$(answers)" = "web sql kv"
}

neighbour() {
	title "A neighbour gets there by a route, and not without"
	note "The network namespace near is a neighbour on a wire (veth)."
	show "ip netns add near"
	show "ip link add near type veth peer name wire netns near"
	show "ip addr add 192.0.2.1/30 dev near && ip link set near up"
	show "ip -n near addr add 192.0.2.2/30 dev wire && ip -n near link set wire up"
	show "ip netns exec near ping -q -c 1 -W 5 192.0.2.1 | grep transmitted"
	fails "ip netns exec near curl -sS -m 5 http://10.80.0.1/" 7 "curl cannot connect"
	show "ip -n near route add 10.80.0.1 via 192.0.2.1"
	counted "ip netns exec near curl -sS -m 10 http://10.80.0.1/"
	expect "the answer" "$said" = "10.80.0.1 answers 192.0.2.2"
	note "What comes by the wire is counted on the wire. A loopback carries what is local:"
	expect "packets on web sql kv lo" "${moved[web]} ${moved[sql]} ${moved[kv]} ${moved[lo]}" = "0 0 0 0"
	note "To the other services there is no route, still:"
	fails "ip netns exec near redis-cli -h 10.63.0.1 ping" 1 "redis-cli cannot connect"
	expect "why" "$(grep -o 'Network is unreachable' <<<"$said")" = "Network is unreachable"

	note "Hence a rule that names the loopback closes a service to local programs, one that names the address closes it to all:"
	show "nft add table inet fence"
	show "nft add chain inet fence input '{ type filter hook input priority 0; }'"
	show "nft add rule inet fence input iifname web tcp dport 80 reject with tcp reset"
	fails "curl -sS -m 10 http://10.80.0.1/" 7 "curl cannot connect"
	show "ip netns exec near curl -sS -m 10 http://10.80.0.1/"
	expect "the answer" "$said" = "10.80.0.1 answers 192.0.2.2"
	show "nft add rule inet fence input ip daddr 10.80.0.1 tcp dport 80 reject with tcp reset"
	fails "ip netns exec near curl -sS -m 10 http://10.80.0.1/" 7 "curl cannot connect"
	show "nft delete table inet fence"

	note "An address of 127/8 is not reached at all. Even where the neighbour sends them, the packets are refused on arrival:"
	show "ip netns exec near sysctl -w net.ipv4.conf.all.route_localnet=1"
	show "ip -n near route add 127.80.0.1 via 192.0.2.1"
	show "nft add table ip seen"
	show "nft add chain ip seen arrived '{ type filter hook prerouting priority -300; }'"
	show "nft add rule ip seen arrived iifname near ip daddr 127.80.0.1 counter"
	show "nft add chain ip seen taken '{ type filter hook input priority 300; }'"
	show "nft add rule ip seen taken ip daddr 127.80.0.1 counter"
	fails "ip netns exec near curl -sS -m 3 http://127.80.0.1/" 28 "curl waits in vain"
	show "nft list chain ip seen arrived | grep counter"
	expect "packets that arrived" "$(grep -oE 'packets [0-9]+' <<<"$said" | cut -d ' ' -f 2)" '>' 0
	show "nft list chain ip seen taken | grep counter"
	expect "packets that were taken in" "$(grep -oE 'packets [0-9]+' <<<"$said")" = "packets 0"
	show "nft delete table ip seen"
	show "curl -sS http://127.80.0.1/"
	expect "the answer on this side" "$said" = "127.80.0.1 answers 127.80.0.1"
}

proxy() {
	local origin='curl -sS -m 10 http://198.51.100.7/'
	title "A transparent proxy on a loopback"
	note "In the namespace far there is a web server at 198.51.100.7, on a loopback of its own there."
	show "ip netns add far"
	show "ip link add far type veth peer name wire netns far"
	show "ip addr add 203.0.113.1/30 dev far && ip link set far up"
	show "ip -n far addr add 203.0.113.2/30 dev wire && ip -n far link set wire up"
	show "ip -n far link add site type rlo"
	show "ip -n far addr add 198.51.100.7/32 dev site && ip -n far link set site up"
	show "ip -n far route add default via 203.0.113.1"
	show "ip route add 198.51.100.0/24 via 203.0.113.2"
	show "sysctl -w net.ipv4.ip_forward=1"
	show "ip -n near route add default via 192.0.2.1"
	# shellcheck disable=SC2016 # shown as it is
	show 'ip netns exec far nginx -e /tmp/lab/origin-error.log -c "$PWD/origin.conf"'
	show "$origin"
	expect "the answer, without the proxy" "$said" = "198.51.100.7 answers 203.0.113.1 via ''"

	note "HAProxy takes the connections that TPROXY gives it. What is to be given has the mark 1, whose routing table has all addresses on the loopback tproxy:"
	show "haproxy -f haproxy.cfg"
	show "ip link add tproxy type rlo && ip link set tproxy up"
	show "ip rule add fwmark 1 lookup 100"
	show "ip route add local default dev tproxy table 100"
	show "nft -f divert.nft"
	loopbacks+=(tproxy)
	counted "$origin"
	expect "the answer, through the proxy" "$said" = "198.51.100.7 answers 203.0.113.1 via 'tproxy'"
	expect "packets on tproxy, the requests" "${moved[tproxy]}" '>' 0
	expect "packets on lo, the answers" "${moved[lo]}" '>' 0
	expect "packets on web sql kv" "${moved[web]} ${moved[sql]} ${moved[kv]}" = "0 0 0"
	note "The neighbour's requests go through the proxy too, and the server sees the neighbour's address:"
	counted "ip netns exec near $origin"
	expect "the answer, through the proxy" "$said" = "198.51.100.7 answers 192.0.2.2 via 'tproxy'"
	expect "packets on tproxy, for they come from the wire" "${moved[tproxy]}" = 0
	note "Connections are closed on both sides, too:"
	show "sleep 1; ss -Htn state last-ack state fin-wait-1 | wc -l"
	expect "connections that wait for a last packet" "$said" = 0
	counted "$ask_web"
	expect "the answer of another service, past the proxy" "$said" = "10.80.0.1 answers 10.80.0.1"
	only web
	show "nft delete table inet divert"
	show "$origin"
	expect "the answer, without the rules" "$said" = "198.51.100.7 answers 203.0.113.1 via ''"
	unset 'loopbacks[-1]'
}

# The rows of the table: what is measured, its unit, and of two figures the better one.
rows=(
	"web: 32 MiB of nginx to curl|MB/s|>"
	"web: an answer of nginx to curl|ms|<"
	"sql: SELECTs of 4 clients of pgbench|1/s|>"
	"sql: a SELECT of a single one|ms|<"
	"kv: GETs of 10 clients of redis-benchmark|1/s|>"
	"kv: a GET of a single one|ms|<"
)

# measure_services: a figure for each row, in their order; none where something was missing.
measure_services() {
	local pgbench="pgbench -h 10.54.0.1 -U postgres -n -S postgres"
	local redis="redis-benchmark -h 10.63.0.1 -t get --csv"
	curl -so /dev/null -w '%{http_code} %{size_download} %{speed_download}\n' http://10.80.0.1/big |
		awk '$1 == 200 && $2 == 32 * 1048576 { print $3 / 1e6 }'
	curl -so /dev/null -w '%{http_code} %{time_total}\n' 'http://10.80.0.1/?[1-200]' |
		awk '$1 == 200 { sum += $2; good++ } END { if (good == 200) print sum / good * 1000 }'
	$pgbench -c 4 -t 100 2>/dev/null | awk '/ 400\/400$/ { all = 1 } /^tps/ && all { print $3 }'
	$pgbench -c 1 -t 200 2>/dev/null | awk '/ 200\/200$/ { all = 1 } /^tps/ && all { print 1000 / $3 }'
	$redis -c 10 -n 4000 2>/dev/null | tr -d '"' | awk -F, '$1 == "GET" { print $2 }'
	$redis -c 1 -n 1000 2>/dev/null | tr -d '"' | awk -F, '$1 == "GET" { print $3 }'
}

# keep WAY: measures, and keeps the better figures, in the array result, by "row,way"; in
# carried are the packets that lo carried meanwhile, by way.
declare -A result carried
keep() {
	local figures row better old before
	before=$(packets lo)
	mapfile -t figures < <(measure_services)
	carried[$1]=$((${carried[$1]:-0} + $(packets lo) - before))
	[ ${#figures[@]} -eq ${#rows[@]} ] || die "a figure is missing: ${figures[*]}"
	for row in "${!rows[@]}"; do
		better=${rows[row]##*|} old=${result[$row,$1]:-}
		if [ -z "$old" ] || awk "BEGIN { exit !(${figures[row]} $better $old) }"; then
			result[$row,$1]=${figures[row]}
		fi
	done
}

# figure NUMBER: four digits of it.
figure() { awk -v number="$1" 'BEGIN { printf(number >= 1000 ? "%.0f" : "%.4g", number) }'; }

# own_traffic on|off: on every loopback; only a device that is down takes it.
own_traffic() {
	local device
	for device in "${loopbacks[@]}"; do
		ip link set "$device" down
		ethtool --set-priv-flags "$device" own-traffic "$1"
		ip link set "$device" up
	done
}

beside_lo() {
	local row name unit ratio ratios=()
	title "What it costs, beside lo"
	note "With the private flag own-traffic off a loopback only holds its addresses, and lo carries the traffic: the same servers, sockets and addresses, once by each way."
	show "ip link set web down"
	show "ethtool --set-priv-flags web own-traffic off    # and so on for sql and kv"
	show "ip link set web up"
	own_traffic off
	counted "$ask_web; $ask_sql; $ask_kv"
	expect "packets on lo" "${moved[lo]}" '>' 0
	expect "packets on web sql kv" "${moved[web]} ${moved[sql]} ${moved[kv]}" = "0 0 0"
	note "The best of two rounds. In the guest of 'make lab-services' the clock advances by a nanosecond an instruction: the figures compare the two ways, whatever else the machine does, and are not those of a real CPU."
	for _ in 1 2; do
		own_traffic off
		keep lo
		own_traffic on
		keep own
	done
	printf '%-46s%14s%10s%10s\n' "" "own loopback" lo "own / lo"
	for row in "${!rows[@]}"; do
		IFS='|' read -r name unit _ <<<"${rows[row]}"
		ratio=$(calculate "${result[$row,own]} / ${result[$row,lo]}" %.3f)
		ratios+=("$ratio")
		printf '%-46s%14s%10s%10s\n' "$name [$unit]" "$(figure "${result[$row,own]}")" \
			"$(figure "${result[$row,lo]}")" "$ratio"
	done
	expect "packets on lo, in the rounds over lo" "${carried[lo]}" '>' 0
	expect "packets on lo, in the others" "${carried[own]}" = 0
	mapfile -t ratios < <(printf '%s\n' "${ratios[@]}" | sort -n)
	expect "smallest own / lo" "${ratios[0]}" '>' 0.9
	expect "largest own / lo" "${ratios[-1]}" '<' 1.1
}

files() {
	mkdir /tmp/lab/web
	head -c 500000 /dev/zero >/tmp/lab/web/blob
	head -c 32M /dev/zero >/tmp/lab/web/big
}

files
setup
counters
mtu
delay
watch
firewall
neighbour
proxy
beside_lo
finish
