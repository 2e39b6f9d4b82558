#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every refusal has an errno and a sentence, through extack where there is one,
# in the log where there is none.

. ./lib.sh

load_module numdevs=0
new_ns ns
in_ns() { ip netns exec "$ns" "$@"; }
add() { ip -n "$ns" link add "$@"; }

is "a multicast address" \
	"Error: The hardware address cannot be a multicast address. (2)" \
	"$(sentence add rlo0 address 01:00:5e:00:00:01 type rlo)"
is "the broadcast address" \
	"Error: The hardware address cannot be a multicast address. (2)" \
	"$(sentence add rlo0 address ff:ff:ff:ff:ff:ff type rlo)"
is "an address of 4 bytes" "Error: The hardware address has to have 6 bytes. (2)" \
	"$(sentence add rlo0 address 02:00:00:00 type rlo)"
is "an address of 8 bytes" "Error: The hardware address has to have 6 bytes. (2)" \
	"$(sentence add rlo0 address 02:00:00:00:00:00:00:01 type rlo)"
is "no device came of it" "" "$(ip -n "$ns" -o link show type rlo)"
ok "the zero address" add rlo0 address 00:00:00:00:00:00 type rlo
ip -n "$ns" link del rlo0
ok "a unicast address" add rlo0 address 02:00:00:00:00:01 type rlo
is "which the device has" 02:00:00:00:00:01 "$(in_ns cat /sys/class/net/rlo0/address)"

is "a name that is taken" "RTNETLINK answers: File exists (2)" "$(sentence add rlo0 type rlo)"
is "no transmit queue" "Error: Invalid number of transmit queues. (2)" \
	"$(sentence add rlo1 numtxqueues 0 type rlo)"
is "too many transmit queues" "Error: Invalid number of transmit queues. (2)" \
	"$(sentence add rlo1 numtxqueues 4097 type rlo)"
is "too many receive queues" "Error: Invalid number of receive queues. (2)" \
	"$(sentence add rlo1 numrxqueues 4097 type rlo)"

ok "a device with 3 receive and 5 transmit queues" add rlo1 numrxqueues 3 numtxqueues 5 type rlo
is "more receive queues than it has" 1 "$(in_ns ethtool -L rlo1 rx 4 >/dev/null 2>&1; echo $?)"
is "more transmit queues than it has" 1 "$(in_ns ethtool -L rlo1 tx 6 >/dev/null 2>&1; echo $?)"
is "no receive queue" 1 "$(in_ns ethtool -L rlo1 rx 0 >/dev/null 2>&1; echo $?)"
is "combined queues, of which it has none" 1 "$(in_ns ethtool -L rlo1 combined 1 >/dev/null 2>&1; echo $?)"
is "the numbers are what they were" "3 5" \
	"$(in_ns ls /sys/class/net/rlo1/queues | grep -c rx) $(in_ns ls /sys/class/net/rlo1/queues | grep -c tx)"

new_ns other
# What lo refuses in the same way.
same() { # NAME COMMAND with DEVICE
	local lo
	lo=$(sentence sh -c "${2//DEVICE/lo}" | sed 's/\blo\b/DEVICE/g')
	is "$1, as on lo" "$lo" "$(sentence sh -c "${2//DEVICE/rlo0}" | sed 's/\brlo0\b/DEVICE/g')"
	is "$1 is an error" "" "$(grep '(0)$' <<<"$lo")"
}
ip -n "$ns" link set rlo0 up
# shellcheck disable=SC2154 # new_ns has set other
same "moving it to another namespace" "ip -n $ns link set DEVICE netns $other"
same "carrier off" "ip -n $ns link set DEVICE carrier off"
same "protodown" "ip -n $ns link set DEVICE protodown on"
same "a multicast address on a device that is there" "ip -n $ns link set DEVICE address 01:00:00:00:00:01"
same "a negative MTU" "ip -n $ns link set DEVICE mtu -1"
same "an MTU beyond 32 bits" "ip -n $ns link set DEVICE mtu 4294967296"
same "a TSO limit beyond the device's" "ip -n $ns link set DEVICE gso_max_size 524281"
same "VLAN on it" "ip -n $ns link add link DEVICE name v0 type vlan id 1"
same "a bridge's port" "ip -n $ns link add br0 type bridge; ip -n $ns link set DEVICE master br0; s=\$?; ip -n $ns link del br0; exit \$s"
same "a team's port" "ip -n $ns link add t0 type team; ip -n $ns link set DEVICE master t0; s=\$?; ip -n $ns link del t0; exit \$s"
same "a hardware address of zeros on a device that is there" "ip -n $ns link set DEVICE address 02:00:00:00:00:02 && ip -n $ns link set DEVICE address 00:00:00:00:00:00"
[ -d /sys/module/netconsole ] || {
	modprobe netconsole
	undo "modprobe -r netconsole"
}
is "netconsole" "netconsole: rlo0 doesn't support polling, aborting" "$(in_ns sh -c '
	mount -t configfs configfs /sys/kernel/config && cd /sys/kernel/config/netconsole && mkdir t &&
	echo rlo0 >t/dev_name && echo 192.0.2.1 >t/local_ip && echo 192.0.2.1 >t/remote_ip &&
	! echo 1 2>/dev/null >t/enabled
	rmdir t'; kernel_log | sed -n 's/.*\(netconsole: rlo0.*\)/\1/p')"
is "an unknown private flag" 1 "$(in_ns ethtool --set-priv-flags rlo0 nonsense on >/dev/null 2>&1; echo $?)"
is "own-traffic while up is in the log, with the device's name" 1 \
	"$(in_ns ethtool --set-priv-flags rlo0 own-traffic off >/dev/null 2>&1
	kernel_log | grep -c 'rlo0: own-traffic cannot be changed while the device is up')"
ok "5000 times, it is an error" in_ns python3 - <<'EOF'
import array, fcntl, socket, struct
SIOCETHTOOL, ETHTOOL_SPFLAGS = 0x8946, 0x28
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
value = array.array("B", struct.pack("II", ETHTOOL_SPFLAGS, 0))
request = struct.pack("16sP8x", b"rlo0", value.buffer_info()[0])
for _ in range(5000):
    try:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    except OSError as error:
        assert error.errno == 16, error
    else:
        raise SystemExit("it succeeded")
EOF
is "and rate-limited in the log" yes \
	"$(lines=$(kernel_log | grep -c 'rlo0: own-traffic cannot'); [ "$lines" -gt 0 ] && [ "$lines" -lt 500 ] && echo yes)"
is "after all this it works" 4 \
	"$(ip -n "$ns" addr add 10.7.0.1/32 dev rlo0; moved "$ns" rlo0 ping -q -c 2 -i 0.01 10.7.0.1)"

finish
