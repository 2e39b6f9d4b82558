#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What 'make run' shows, run in the guest: the module's life from insmod to
# rmmod, with a verdict for every step. Exit status 0 if all are good.

failed=0
ipv4=10.7.0.1 ipv6=fd00:7::1

verdict() { # NAME CONDITION-COMMAND...
	local name=$1
	shift
	if "$@" >/tmp/step 2>&1; then
		printf '[ ok ] %s\n' "$name"
	else
		printf '[FAIL] %s\n' "$name"
		sed 's/^/       /' /tmp/step
		failed=1
	fi
}
packets() { cat "/sys/class/net/$1/statistics/rx_packets"; }
bytes() { cat "/sys/class/net/$1/statistics/rx_bytes"; }
show() { printf '\n       %s\n' "ip -s link, $1:"; for dev in lo rlo0; do ip -s link show $dev; done | sed 's/^/       /'; echo; }

# echoes ADDRESS: five pings; each is two packets on rlo0 and none on lo.
echoes() {
	local rlo0 lo
	rlo0=$(packets rlo0) lo=$(packets lo)
	verdict "ping $1: 5 of 5 answered" sh -c "ping -q -n -i 0.01 -c 5 $1 | tee /dev/stderr | grep -q ' 5 received'"
	verdict "counters: 10 packets on rlo0, 0 on lo" test "$(($(packets rlo0) - rlo0)) $(($(packets lo) - lo))" = "10 0"
}

# stream ADDRESS DEVICE OTHER: a TCP stream that moves DEVICE's counters only.
stream() {
	local size=$((64 * 1024 * 1024)) device other received
	device=$(bytes "$2") other=$(bytes "$3")
	received=$(socat -u -b 65536 "TCP-LISTEN:5201,bind=$1,reuseaddr" - | wc -c &
		for _ in $(seq 100); do ss -lnt | grep -q :5201 && break; sleep 0.1; done
		head -c $size /dev/zero | socat -u -b 65536 - "TCP:$1:5201"
		wait)
	verdict "TCP stream over $2 ($1): 64 MiB received" test "$received" = $size
	device=$(($(bytes "$2") - device)) other=$(($(bytes "$3") - other))
	verdict "counters: $device bytes on $2, $other on $3" test "$device" -ge $size -a "$other" -eq 0
}

printf '       %s, %s\n' "$(uname -srv)" "$(nproc) CPUs"
verdict "insmod rust_loopback.ko" insmod build/module/rust_loopback.ko
verdict "rlo0 is a loopback" sh -c "ip link show rlo0 | grep '<LOOPBACK>.*mtu 65536'"
verdict "ip link set rlo0 up" ip link set rlo0 up
verdict "ip addr add $ipv4/32 dev rlo0" ip addr add $ipv4/32 dev rlo0
verdict "ip addr add $ipv6/128 dev rlo0" ip addr add $ipv6/128 dev rlo0
show "before"
echoes $ipv4
echoes $ipv6
stream $ipv4 rlo0 lo
stream 127.0.0.1 lo rlo0
show "after"
verdict "rmmod rust_loopback" rmmod rust_loopback
verdict "the module is gone, and rlo0 with it" sh -c \
	'! grep rust_loopback /proc/modules && ! ip -o link show | grep rlo0'
verdict "the kernel's log has nothing bad" sh -c '! dmesg | grep -E -f selftests/bad-log'
exit $failed
