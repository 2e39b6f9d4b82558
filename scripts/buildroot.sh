#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes build/root: a Debian 13 system with the kernel under test, the
# toolchain that built this kernel, QEMU, and the tools used inside the guest.
# The host needs mmdebstrap and nothing else.
#
#   scripts/buildroot.sh [bench|tools|labs|check|docs|upstream|deb]
#   scripts/buildroot.sh kernel RELEASE
#   scripts/buildroot.sh system
#
#   bench    with the programs of the benchmark
#   tools    with what builds tools/rlo-xsk and samples/xsk_echo.c
#   labs     with what the labs run
#   check    with what 'make check' needs beyond all that
#   docs     with what makes HTML of Documentation/
#   upstream with what 'make upstream-tests' needs beyond all that
#   deb      with what builds the Debian package and checks it
#   kernel   with another kernel, beside the one under test
#   system   a Debian 13 of its own, to be booted, in build/deb/base
#
# Environment:
#   KERNEL   release to use (e.g. 7.3.4+deb13-cloud-amd64); by default the
#            newest of the series below that the archive has
set -euo pipefail
. "$(dirname "$0")/lib.sh"

suite=trixie
series=${all_series[-1]}
root=$build/root

# What builds a module against a Debian kernel with Rust.
toolchain=(
	gcc gcc-14 make bc bison flex libelf-dev libssl-dev kmod cpio rsync xz-utils python3
	rustc rust-src rustfmt rust-clippy bindgen clang-19 libclang-19-dev llvm-19 pahole
)
# What boots the guest, and what runs in it.
guest=(
	qemu-system-x86 virtiofsd
	mount iproute2 iputils-ping ethtool tcpdump socat bpftool perl procps python3-yaml nftables
)
# What the benchmark measures and draws with; 'buildroot.sh bench' installs it.
bench=(iperf3 netperf python3-matplotlib)
# What builds tools/rlo-xsk and samples/xsk_echo.c; 'buildroot.sh tools' installs it.
tools=(cargo libbpf-dev libxdp-dev)
# What the labs run, a line each; 'buildroot.sh labs' installs it.
labs=(
	frr bird2				# router
	nginx curl postgresql redis haproxy	# services
	iperf3					# wan
)
# What checks the scripts and the manual page; 'buildroot.sh check' installs it.
check=(shellcheck mandoc groff)
# What makes HTML of Documentation/, and its chart; 'buildroot.sh docs' installs it.
docs=(python3-sphinx graphviz python3-matplotlib)
# What builds the kernel's tests of networking, and what these call; 'buildroot.sh upstream' installs it.
upstream=(
	libcap-dev libmnl-dev libnuma-dev
	conntrack iptables iputils-arping jq net-tools netcat-openbsd netperf netsniff-ng psmisc smcroute udev uuid-runtime
)
# What builds the Debian package and checks it; 'buildroot.sh deb' installs it.
deb=(build-essential debhelper dh-dkms lintian)
# What a system that is booted has beside Debian's packages of priority important.
system=(systemd-sysv dbus ifupdown iproute2 iputils-ping man-db ethtool)

need_mmdebstrap() {
	! command -v mmdebstrap >/dev/null || return 0
	command -v apt-get >/dev/null ||
		die "mmdebstrap is needed to unpack Debian packages and was not found; install it with your distribution's package manager"
	[ "$(id -u)" -eq 0 ] ||
		die "mmdebstrap is not installed; as root run: apt-get install mmdebstrap uidmap"
	step "Installing mmdebstrap on this machine" "20 s" host-packages \
		sh -c 'apt-get -q update && apt-get -q -y --no-install-recommends install mmdebstrap'
}

# bootstrap DIRECTORY VARIANT PACKAGES: unpacks a Debian 13.
bootstrap() {
	local mode=root
	[ "$(id -u)" -eq 0 ] || mode=unshare
	# The backports are added on the mirror that mmdebstrap chose. The kernel's
	# packages come from there, whatever the main archive has.
	# shellcheck disable=SC2016 # $1 is expanded by the hook's shell
	mmdebstrap --mode=$mode --variant="$2" --format=directory --include="$3" \
		--customize-hook='sed -n "s/ '$suite' / '$suite'-backports /p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/backports.list"' \
		--customize-hook='printf "Package: src:linux src:linux-base\nPin: release n='$suite'-backports\nPin-Priority: 900\n" >"$1/etc/apt/preferences.d/kernel"' \
		$suite "$1.new" &&
		mv "$1.new" "$1"
}

# unpack DESCRIPTION DIRECTORY VARIANT PACKAGES
unpack() {
	need_mmdebstrap
	if [ "$(id -u)" -eq 0 ]; then
		rm -rf "$2.new"
	else
		unshare --map-auto --map-root-user rm -rf "$2.new"
	fi
	step "$1" "30 s" "${2##*/}-bootstrap" bootstrap "${@:2}"
}

# install_kernel RELEASE SERIES [PACKAGE...]
install_kernel() {
	apt install "${@:3}" "linux-binary-$1" "linux-modules-$1" "linux-headers-$1" "linux-source-$2"
	apt clean
	"$top/scripts/in-root.sh" depmod "$1"
}

install_packages() {
	apt update
	install_kernel "$1" "$2" "${toolchain[@]}" "${guest[@]}"
}

[ "$(uname -m)" = x86_64 ] || die "only x86-64 machines are supported, this one is $(uname -m)"
mkdir -p "$build"
if [ ! -d "$root" ]; then
	rm -f "$release_file" "$build/root-packages" "$build"/root-*-packages
	unpack "Unpacking a minimal Debian 13 into build/root" "$root" apt ca-certificates
fi

release=${KERNEL:-$(cat "$release_file" 2>/dev/null || true)}
if [ -z "$release" ]; then
	step "Reading the package lists" "5 s" root-update apt update
	release=$(newest_kernel "$series")
	[ -n "$release" ] || die "the archive has no $series kernel of flavour $flavour; name another one with KERNEL="
fi
kernel_series=$(series_of "$release") ||
	die "KERNEL=$release does not look like a kernel release; an example is 7.3.4+deb13-cloud-amd64"

# Not in the root, whose files a user without root cannot write.
stamp=$build/root-packages
wanted=$(printf '%s\n' "${toolchain[@]}" "${guest[@]}" "$release")
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
	step "Installing the toolchain, QEMU and the kernel $release into build/root" "90 s" \
		root-packages install_packages "$release" "$kernel_series"
	printf '%s\n' "$wanted" >"$stamp"
fi
# Last, and only when it changes: later steps depend on this file.
[ "$(cat "$release_file" 2>/dev/null)" = "$release" ] || printf '%s\n' "$release" >"$release_file"

# more GROUP WHAT PACKAGE...: packages that only some targets need.
more() {
	local stamp=$build/root-$1-packages what=$2 group=$1
	shift 2
	[ "$(cat "$stamp" 2>/dev/null)" != "$wanted $*" ] || return 0
	step "Installing $what into build/root" "60 s" "$group-packages" apt install "$@"
	printf '%s\n' "$wanted $*" >"$stamp"
}

case ${1:-} in
bench) more bench "the programs of the benchmark" "${bench[@]}" ;;
tools) more tools "what builds the tools" "${tools[@]}" ;;
labs) more labs "the programs of the labs" "${labs[@]}" ;;
check) more check "what checks scripts and manual" "${check[@]}" ;;
docs) more docs "what makes the documentation" "${docs[@]}" ;;
upstream) more upstream "what builds the kernel's tests of networking" "${upstream[@]}" ;;
deb) more deb "what builds and checks Debian packages" "${deb[@]}" ;;
kernel)
	stamp=$build/root-kernel-$(series_of "$2")-packages
	if [ "$2" != "$release" ] && [ "$(cat "$stamp" 2>/dev/null)" != "$wanted $2" ]; then
		step "Installing the kernel $2 into build/root" "60 s" kernel-packages \
			install_kernel "$2" "$(series_of "$2")"
		printf '%s\n' "$wanted $2" >"$stamp"
	fi
	;;
system)
	mkdir -p "$build/deb"
	[ -d "$build/deb/base" ] ||
		unpack "Unpacking a Debian 13 that can be booted into build/deb/base" "$build/deb/base" \
			important "ca-certificates,$(IFS=,; printf '%s' "${system[*]}")"
	;;
esac
