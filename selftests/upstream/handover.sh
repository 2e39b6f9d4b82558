#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Puts a device into the role of lo in a network namespace that was just made: the in-tree lo
# is called lo0, is up, since it carries the traffic of other devices' addresses, and has no
# address; ours is called lo, is down as every new lo, and gets 127.0.0.1 and ::1 when it goes
# up for the first time.
set -e

# Without this nobody can bind to ::1, see Documentation/guide.rst.
echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
exec ip -batch - <<END
link set lo name lo0
link set lo0 up
addr flush dev lo0
link add lo type rlo
addr add 127.0.0.1/8 dev lo scope host
addr add ::1/128 dev lo
END
