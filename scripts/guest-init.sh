#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The first process of the guest (see guest.sh): prepares the machine, runs the
# command, reports its exit status to the host and ends the guest. A system with an init of
# its own calls it again, as a service.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
# A parameter that the kernel does not know becomes a variable.
: "${guest_dir:?is not set: scripts/guest.sh boots this}"
command=$(cat "$guest_dir/command")
settings=$(cat "$guest_dir/settings")
eval "$settings"
export COLUMNS LINES TERM

# boot_system: becomes the init of the system in $SYSTEM. What it writes stays in memory.
boot_system() {
	local new=/mnt/root
	[ "$(date +%s)" -ge "$TIME" ] || date -s "@$TIME"
	mount -t tmpfs tmpfs /mnt
	mkdir /mnt/upper /mnt/work $new
	grep -qw overlay /proc/filesystems || modprobe -d "$SYSTEM" overlay
	mount -t overlay -o "lowerdir=$SYSTEM,upperdir=/mnt/upper,workdir=/mnt/work" overlay $new
	mkdir -p $new/src
	mount --rbind /src $new/src
	mount -t tmpfs -o mode=755 tmpfs $new/run
	mkdir -p $new/run/guest $new/run/systemd/system/multi-user.target.wants
	printf '%s\n' "$command" >$new/run/guest/command
	printf '%s\n' "$settings" >$new/run/guest/settings
	cat >$new/run/systemd/system/guest.service <<-END
		[Unit]
		Description=The command that scripts/guest.sh was given
		[Service]
		Environment=guest_dir=/run/guest
		ExecStart=/src/scripts/guest-init.sh
	END
	ln -s ../guest.service $new/run/systemd/system/multi-user.target.wants/
	exec switch_root $new /sbin/init
}

prepare() {
	local dir
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
}

if [ $$ -eq 1 ]; then
	prepare
	[ -z "$SYSTEM" ] || boot_system
fi
cd /src || exit 1
exec </dev/hvc0 >/dev/hvc0 2>&1

# finish STATUS: reports to the host and ends the guest.
finish() {
	local port
	sync
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name" 2>/dev/null)" != status ] || echo "$1" >"/dev/${port##*/}"
	done
	# Lets the last output reach the host. QEMU ends when the guest reboots.
	sleep 0.2
	echo 1 >/proc/sys/kernel/sysrq
	echo b >/proc/sysrq-trigger
	sleep 60
}

lockdep_works() { grep -qE 'debug_locks: +1$' /proc/lockdep_stats; }

# leaks: what kmemleak found. It reports objects that are older than five
# seconds and that did not change between two scans. What leaked before there
# was a process is the kernel's own (the rootfs of the boot does).
leaks() {
	! grep -q kmemleak=off /proc/cmdline || return 0
	sleep 5
	for _ in 1 2; do
		echo scan >/sys/kernel/debug/kmemleak || echo "kmemleak has switched itself off"
	done
	awk '/^unreferenced object/ { held = $0; next }
		held { boot = /comm "swapper\/0", pid [01],/; if (!boot) print held; held = "" }
		!boot' /sys/kernel/debug/kmemleak
}

# Lockdep is silent after the first report of any kind, and under emulation the
# boot sometimes makes one without cause. Such a guest would find nothing.
if [ "$KERNEL" = debug ]; then
	taint=$(cat /proc/sys/kernel/tainted)
	[ "$taint" = 0 ] || finish "unfit: the kernel was tainted at boot, $taint"
	lockdep_works || finish "unfit: lockdep switched itself off at boot"
fi

# A whole system looks at more files than virtiofsd may have open: it closes those that the
# guest forgets.
[ -z "$SYSTEM" ] || while sleep 2; do echo 2 >/proc/sys/vm/drop_caches; done &

if [ -n "$INTERACTIVE" ]; then
	stty cols "$COLUMNS" rows "$LINES"
	setsid --ctty --wait bash -c "$command"
else
	stty -opost -echo
	bash -c "$command"
fi
status=$?

if [ "$KERNEL" = debug ]; then
	lockdep_works || { status=1; echo "error: lockdep switched itself off while the command ran"; }
	# But for unsigned modules of another tree, and KUnit.
	taint=$(($(cat /proc/sys/kernel/tainted) & ~(1 << 12 | 1 << 13 | 1 << 18)))
	[ $taint -eq 0 ] || { status=1; echo "error: the kernel was tainted while the command ran: $taint"; }
	found=$(leaks)
	[ -z "$found" ] || { status=1; printf 'error: kmemleak found leaked memory:\n%s\n' "$found"; }
fi
finish $status
