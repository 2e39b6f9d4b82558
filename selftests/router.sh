#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Routers, whose sessions and services are at loopbacks: OSPF and BGP of FRR, with links that
# are cut and restored. The checks are those of the lab, labs/router/lab.py.

. ./lib.sh

load_module numdevs=0
modprobe veth
transcript=$(mktemp)
ended=
while IFS= read -r line; do
	case $line in
	"[ ok ] "*) ktap_test_pass "${line#\[ ok \] }" ;;
	"[FAIL] "*) ktap_test_fail "${line#\[FAIL\] }" ;;
	"       expected: "* | "       found:    "*) echo "# $line" ;;
	"exit status "*) ended=$line ;;
	esac
done < <(
	python3 -B ../labs/router/lab.py frr 2>&1 | tee "$transcript"
	echo "exit status ${PIPESTATUS[0]}"
)
is "the lab came to its end" "exit status 0" "$ended"
# With what the daemons logged.
[ "$ended" = "exit status 0" ] || tail -n 150 "$transcript" | sed 's/^/# /'
rm "$transcript"

finish
