#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Loading, unloading, and the devices that the module makes by itself.

. ./lib.sh

rlo_links() { ip -o link show type rlo | awk -F': ' '{ print $2 }' | xargs; }

ok "the module loads" load_module
is "one device is made" "rlo0" "$(rlo_links)"
is "it is down" "down" "$(sed 's/0x8$/down/' /sys/class/net/rlo0/flags)"
ok "the module unloads" unload_module
is "its device is gone" "" "$(ip -o link show | grep -w rlo0)"
is "the kind is unknown without the module" 2 \
	"$(ip link add rlo0 type rlo 2>/dev/null; echo $?)"

ok "numdevs=3 loads" load_module numdevs=3
is "numdevs=3 makes three devices" "rlo0 rlo1 rlo2" "$(rlo_links)"
ok "a device that the module made can be deleted" ip link del rlo1
is "the others stay" "rlo0 rlo2" "$(rlo_links)"
ok "a device without a name gets the first free one" ip link add type rlo
is "which is rlo1" "rlo0 rlo1 rlo2" "$(rlo_links | tr ' ' '\n' | sort | xargs)"
ok "unloads with devices" unload_module

ok "numdevs=0 loads" load_module numdevs=0
is "numdevs=0 makes no device" "" "$(rlo_links)"
ok "unloads without devices" unload_module

is "numdevs=-1 is refused" 1 "$(load_module numdevs=-1 2>/dev/null; echo $?)"
is "nothing of a refused load stays" "" "$(grep rust_loopback /proc/modules)"

# A taken name: the first free number is used, as for every kind.
ip link add rlo0 type dummy
ok "loads while a foreign device is called rlo0" load_module
is "and names its device rlo1" "rlo1" "$(rlo_links)"
unload_module
is "the foreign device is untouched" "rlo0" "$(ip -o link show rlo0 | awk -F': ' '{ print $2 }')"
ip link del rlo0

is "the module is found by its kind" "rtnl-link-rlo" \
	"$(modinfo -F alias "$module")"

more=$(repeats 20 4)
times=0
for _ in $(seq "$more"); do
	load_module numdevs=2 && ip link set rlo0 up && ip link set rlo1 up && unload_module &&
		times=$((times + 1))
done
is "$more more times" "$more" $times

finish
