#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every memory allocation of every operation of a device's life fails once: the operation
# does without or is refused, and succeeds when it is done again. For kernels with
# CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC.
#
#   FAULTS_SECONDS  how long an operation may be tried (8); which allocations of one with
#                   more fail is a matter of chance
#   FAULTS_SEED     what chance begins with

. ./lib.sh

seconds=${FAULTS_SECONDS:-8}
seed=${FAULTS_SEED:-$RANDOM}
# Not in /sys, which ip(8) mounts anew for another namespace.
pins=/tmp/faults-test
injection=/sys/kernel/debug

echo "# FAULTS_SEED=$seed FAULTS_SECONDS=$seconds"
load_module numdevs=0
mkdir $pins
mount -t bpf bpf $pins
bpftool prog loadall ../build/selftests/xdp.bpf.o $pins pinmaps $pins
for kind in failslab fail_page_alloc fail_skb_realloc; do
	# The kernel would write a line and a stack for each.
	echo 0 >$injection/$kind/verbose
done
for kind in failslab fail_page_alloc; do
	# Also of those who may wait, which are nearly all, and of single pages.
	echo N >$injection/$kind/ignore-gfp-wait
done
echo 0 >$injection/fail_page_alloc/min-order

operations=0
while read -r line; do
	case $line in
	'#'*) echo "$line" ;;
	*)
		((operations++))
		is "${line%, *}" "0 wrong" "${line##*, }"
		;;
	esac
done < <(python3 ./faults.py "$module" $pins "$seconds" "$seed" 2>&1)
is "operations" 17 $operations

unload_module
umount $pins
rmdir $pins
finish
