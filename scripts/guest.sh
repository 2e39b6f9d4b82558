#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots a kernel in QEMU, runs a command in it and exits with the
# command's exit status. The guest's root is the build root, read-only, with
# the project at /src; /tmp, /run and /root are empty and writable.
#
#   scripts/guest.sh [-k KERNEL] [-r SYSTEM] [-n NAME] [-t SECONDS] [-c CPUS] [-m MIB]
#                    [-a PARAMETERS] [-q OPTIONS] [-d] [-i] COMMAND...
#
#   -k KERNEL    stock (the default), debug, or the release of one that is in the root
#   -r SYSTEM    boots the system in this folder in build/ instead, with its own init, which
#                runs the command as a service; what is written there is lost at the end
#   -n NAME      the kernel's log goes to build/logs/guest-NAME.log (guest)
#   -t SECONDS   time limit (300); 0 for none
#   -c CPUS      virtual CPUs (2)
#   -m MIB       memory in MiB (1024)
#   -a PARAMETERS  more parameters for the kernel
#   -q OPTIONS   more options for QEMU
#   -d           deterministic: one CPU, whose clock advances by 1 ns an instruction
#   -i           interactive: the terminal is the guest's
#
# It fails too when the kernel reported a bug (WARN, oops, hung task, leaked
# device reference, ...), whatever the command says. On the debug kernel it also
# fails when lockdep was switched off on the way, or when memory leaked; see
# guest-init.sh. Environment:
#   ACCEL        kvm or tcg; by default kvm where a guest really runs with it
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "${IN_BUILD_ROOT:-}" ] || exec "$top/scripts/in-root.sh" \
	env ACCEL="${ACCEL:-}" COLUMNS="${COLUMNS:-$(tput cols 2>/dev/null || echo 80)}" \
	LINES="${LINES:-$(tput lines 2>/dev/null || echo 24)}" /src/scripts/guest.sh "$@"

# What the kernel never prints when all is well, an expression a line.
bad_log=$top/selftests/bad-log

kernel=stock name=guest limit=300 cpus=2 memory=1024 interactive=''
parameters='' qemu_options='' deterministic='' system=''
while getopts k:r:n:t:c:m:a:q:di option; do
	case $option in
	k) kernel=$OPTARG ;;
	r) system=$(realpath "$OPTARG") ;;
	n) name=$OPTARG ;;
	t) limit=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	a) parameters=$OPTARG ;;
	q) qemu_options=$OPTARG ;;
	d) deterministic=1 cpus=1 ACCEL=tcg ;;
	i) interactive=1 ;;
	*) die "usage: scripts/guest.sh [-k stock|debug|RELEASE] [-r SYSTEM] [-n NAME] [-t SECONDS] [-c CPUS] [-m MIB] [-a PARAMETERS] [-q OPTIONS] [-d] [-i] COMMAND..." ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "guest.sh: no command was given"

case $kernel in
stock) image=/usr/lib/modules/$(cat "$release_file")/vmlinuz ;;
debug)
	image=$(echo /usr/lib/modules/*-rlo-debug/vmlinux)
	parameters="kasan_multi_shot $parameters"
	[ -f "$image" ] || die "there is no debug kernel yet: run 'make modules-debug' first"
	;;
*)
	image=$system/usr/lib/modules/$kernel/vmlinuz
	[ -f "$image" ] || die "guest.sh: ${system:-the build root} has no kernel '$kernel': say stock, debug or a release that is there"
	;;
esac
# Or the terminal would be asked for a login.
[ -z "$system" ] || parameters="systemd.getty_auto=no $parameters"
dir=$(mktemp -d /tmp/guest.XXXXXX)
mkdir -p "$logs"

# boot ACCELERATOR SECONDS LOG COMMAND...; the guest's exit status goes to
# $dir/status, which stays empty when the guest did not get that far.
boot() {
	local accel=$1 seconds=$2 log=$3 cpu=host clock=()
	shift 3
	[ "$accel" = kvm ] || { accel=tcg,thread=multi cpu=max,la57=off; }
	[ -z "$deterministic" ] || { accel=tcg clock=(-icount "shift=0,sleep=off"); }
	printf '%q ' "$@" >"$dir/command"
	printf 'COLUMNS=%q LINES=%q TERM=%q INTERACTIVE=%q KERNEL=%q SYSTEM=%q TIME=%q\n' \
		"${COLUMNS:-80}" "${LINES:-24}" "${TERM:-dumb}" "$interactive" "$kernel" \
		"$system" "$(date +%s)" >"$dir/settings"
	: >"$dir/status"
	rm -f "$dir/fs.sock"
	/usr/libexec/virtiofsd --shared-dir / --socket-path "$dir/fs.sock" --sandbox none \
		--readonly --cache always >"$dir/virtiofsd.log" 2>&1 &
	local daemon=$!
	while [ ! -S "$dir/fs.sock" ]; do
		kill -0 $daemon 2>/dev/null || die "virtiofsd did not start: $(cat "$dir/virtiofsd.log")"
		sleep 0.05
	done
	# A socket for each CPU: the MP table, which a kernel without ACPI reads, lists
	# one CPU of a socket. The kernel's test of its timer (no_timer_check) fails when
	# the host does not give QEMU time for a moment. virtiofsd writes files into the
	# guest's memory without QEMU, which under TCG would go on with what it once
	# translated of a page: that the kernel fills it with zeros first (init_on_alloc,
	# which is not the default of the debug kernel) makes QEMU forget that.
	# shellcheck disable=SC2086 # several options
	timeout --foreground --kill-after=5 "$seconds" qemu-system-x86_64 \
		-nodefaults -no-user-config -display none -no-reboot \
		-machine q35 -accel "$accel" "${clock[@]}" -cpu $cpu -smp "$cpus,sockets=$cpus" -m "$memory" \
		-object memory-backend-memfd,id=memory,size="${memory}M",share=on -numa node,memdev=memory \
		-chardev socket,id=fs,path="$dir/fs.sock" \
		-device vhost-user-fs-pci,chardev=fs,tag=root \
		-chardev stdio,id=terminal,signal=off -chardev file,id=status,path="$dir/status" \
		-device virtio-serial-pci -device virtconsole,chardev=terminal \
		-device virtserialport,chardev=status,name=status \
		-serial "file:$log" $qemu_options \
		-kernel "$image" \
		-append "console=ttyS0 root=root rootfstype=virtiofs ro init=/src/scripts/guest-init.sh panic=-1 oops=panic no_timer_check init_on_alloc=1 quiet loglevel=5 guest_dir=$dir $parameters" ||
		boot_status=$?
	kill $daemon 2>/dev/null || true
	wait $daemon 2>/dev/null || true
}

# KVM can be there and not work: a guest decides, once.
accelerator() {
	local known=$build/accelerator
	if [ ! -s "$known" ]; then
		accel=tcg
		if [ -w /dev/kvm ]; then
			say "Trying whether KVM works here (up to 20 s, once)"
			interactive='' kernel=stock system='' boot kvm 20 "$logs/kvm-trial.log" true </dev/null >"$logs/kvm-trial-qemu.log" 2>&1
			[ "$(cat "$dir/status")" != 0 ] || accel=kvm
		fi
		echo $accel >"$known"
		if [ -w /dev/kvm ]; then
			say "Guests run with $(sed 's/tcg/TCG (no usable KVM)/; s/kvm/KVM/' "$known")"
		fi
	fi
	accel=$(cat "$known")
	[ -w /dev/kvm ] || accel=tcg
}

accel=${ACCEL:-}
boot_status=0
[ -n "$accel" ] || accelerator

log=$logs/guest-$name.log
for boots_left in 2 1 0; do
	boot_status=0
	if [ -n "$interactive" ]; then
		boot "$accel" "$limit" "$log" "$@"
	else
		boot "$accel" "$limit" "$log" "$@" </dev/null
	fi
	status=$(cat "$dir/status")
	case $status in
	unfit:*)
		printf 'The guest came up unfit for tests (%s), %d boots are left\n' \
			"${status#unfit: }" $boots_left >&2
		cp "$log" "${log%.log}-unfit-$boots_left.log"
		;;
	*) break ;;
	esac
done
case $status in
unfit:*) die "the guest came up unfit for tests three times; see ${log#"$top"/}" ;;
esac
if [ -z "$status" ]; then
	if [ $boot_status -eq 124 ] || [ $boot_status -eq 137 ]; then
		printf 'error: the guest was stopped at the time limit of %d s.' "$limit" >&2
	else
		printf 'error: the guest ended without an exit status (QEMU: %d).' $boot_status >&2
	fi
	printf ' The end of its kernel log, %s:\n' "${log#"$top"/}" >&2
	tail -n 25 "$log" | sed 's/^/    /' >&2
	exit 1
fi
if grep -qE -f "$bad_log" "$log"; then
	printf 'error: the kernel reported a bug; from %s:\n' "${log#"$top"/}" >&2
	grep -m 1 -A 25 -E -f "$bad_log" "$log" | sed 's/^/    /' >&2
	exit 1
fi
exit "$status"
