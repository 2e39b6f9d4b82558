#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The commands in the documentation do what the documentation says: each is run, and what it
# prints is what the page says.
#
#   PAGES  the pages (all that have commands)

. ./lib.sh

pages=${PAGES:-$(./transcript.py --list)}
ok "there are pages with commands" [ -n "$pages" ]

for page in $pages; do
	load_module numdevs=1
	while IFS= read -r line; do
		case $line in
		ok\ *) ktap_test_pass "$page: ${line#ok }" ;;
		not\ ok\ *) ktap_test_fail "$page: ${line#not ok }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done < <(cd .. && exec selftests/transcript.py "Documentation/$page.rst" 2>&1)
	wait $!
	is "$page: ran to its end" 0 $?
	! module_loaded || unload_module
done

finish
