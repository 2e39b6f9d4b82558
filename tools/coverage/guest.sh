#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh COMMAND...: runs it in a guest, and prints the counters of all modules that were
# loaded and unloaded meanwhile, a line each, for report.py.

modules=/src/build/coverage/module
insmod $modules/tools/coverage/rlo_coverage.ko || exit
"$@"
status=$?
for counters in /sys/kernel/debug/rlo_coverage/*; do
	module=${counters##*/}
	[ ! -d "/sys/module/$module" ] || rmmod "$module" || status=1
	# shellcheck disable=SC2002 # gzip(1) complains about a file that has no size
	printf '@coverage %s %s %s\n' "$module" \
		"$(sha256sum <"$modules/$module.ko" | cut -d ' ' -f 1)" \
		"$(cat "$counters" | gzip | base64 -w 0)"
done
exit $status
