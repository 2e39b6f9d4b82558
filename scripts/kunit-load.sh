#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kunit-load.sh MODULE: in a guest with KUNIT, loads the module, removes it, and
# prints the kernel's log with the results of its suites.

[ -e /proc/kmsg ] || mount -t proc proc /proc
[ -e /sys/module ] || mount -t sysfs sysfs /sys
# KUnit reports at boot, too: that nothing was to be run.
dmesg --clear
insmod "$1" numdevs=0 && rmmod "$(basename "$1" .ko)"
status=$?
dmesg --color=never
exit $status
