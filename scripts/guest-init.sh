#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The first process of the guest (see guest.sh): prepares the machine, runs the
# command, reports its exit status to the host and switches off.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
command=$(cat /tmp/guest/command)
settings=$(cat /tmp/guest/settings)

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for dir in /tmp /run /root /dev/shm; do mount -t tmpfs tmpfs $dir; done
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
echo guest >/proc/sys/kernel/hostname
ip link set lo up
cd /src || exit 1

eval "$settings"
export COLUMNS LINES TERM
exec </dev/hvc0 >/dev/hvc0 2>&1
if [ -n "$INTERACTIVE" ]; then
	stty cols "$COLUMNS" rows "$LINES"
	setsid --ctty --wait bash -c "$command"
else
	stty -opost -echo
	bash -c "$command"
fi
status=$?

sync
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name" 2>/dev/null)" != status ] || echo $status >"/dev/${port##*/}"
done
# Lets the last output reach the host.
sleep 0.2
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
