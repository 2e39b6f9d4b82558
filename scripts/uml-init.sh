#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The first process of User-mode Linux (see uml.sh): runs the command in the
# file, says what its exit status was, and powers off.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
cd /src || exit 1
bash -c "$(cat "$1")"
echo "uml: exit status $?"
# reboot(LINUX_REBOOT_CMD_POWER_OFF): the first process must not end.
python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'
