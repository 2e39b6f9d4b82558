#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device looks like lo, field by field, in everything that a user sees.

. ./lib.sh

load_module numdevs=0
new_ns ns
ip -n "$ns" link set lo down
ip -n "$ns" link add rlo0 type rlo

link_json() { ip -n "$ns" -j -d link show "$1"; }
fields() {
	link_json "$1" | python3 -c '
import json, sys
link = json.load(sys.stdin)[0]
for name in ("ifindex", "ifname", "linkinfo"):
    link.pop(name, None)
print("\n".join(f"{key}={link[key]}" for key in sorted(link)))'
}

# Both have been up once: the queueing discipline is there from then on.
for device in lo rlo0; do
	ip -n "$ns" link set $device up
done
for state in down up; do
	ip -n "$ns" link set lo $state
	ip -n "$ns" link set rlo0 $state
	lo=$(fields lo)
	is "$state: ip -d link: there are fields" yes "$([ "$(wc -l <<<"$lo")" -gt 20 ] && echo yes)"
	declare -A rlo=()
	while read -r line; do
		rlo[${line%%=*}]=$line
	done < <(fields rlo0)
	while read -r line; do
		is "$state: ip -d link: $line" "$line" "${rlo[${line%%=*}]}"
	done <<<"$lo"
	is "$state: ip -d link: no other field" "$(wc -l <<<"$lo")" "${#rlo[@]}"
done
is "ip -d link: kind" "rlo" \
	"$(link_json rlo0 | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["linkinfo"]["info_kind"])')"

in_ns() { ip netns exec "$ns" "$@"; }
same() { # NAME COMMAND, with DEVICE for the device
	local lo rlo
	lo=$(in_ns sh -c "${2//DEVICE/lo}" 2>&1)
	ok "$1: succeeds" in_ns sh -c "${2//DEVICE/rlo0}"
	rlo=$said
	# shellcheck disable=SC2001 # only words
	is "$1" "$(sed 's/\blo\b/DEVICE/g' <<<"$lo")" "${rlo//rlo0/DEVICE}"
}

same "ethtool -T" "ethtool -T DEVICE"
same "ethtool: link detected" "ethtool DEVICE"
same "ip -s link" "ip -s link show DEVICE | tail -n +2"
is "ethtool -i: driver" "rust_loopback" "$(in_ns ethtool -i rlo0 | sed -n 's/^driver: //p')"
is "ethtool -i: version" "$(uname -r)" "$(in_ns ethtool -i rlo0 | sed -n 's/^version: //p')"

for attribute in type flags mtu tx_queue_len address broadcast addr_len carrier operstate dormant link_mode; do
	same "sysfs: $attribute" "cat /sys/class/net/DEVICE/$attribute"
done
for family in ipv4 ipv6; do
	same "sysctl: net.$family.conf" \
		"cd /proc/sys/net/$family/conf/DEVICE && grep -s -v '^\$' * || [ \$? -eq 2 ]"
done
same "no IPv6 link-local address, no neighbour" "ip neigh show dev DEVICE; ip -6 addr show dev DEVICE scope link"
same "queueing discipline" "tc qdisc show dev DEVICE"

finish
