#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the kernel's tests of networking (tools/testing/selftests/net, mptcp and netfilter in it)
# from the sources of the stock kernel, the modules netdevsim, amt and bareudp, which some of them need
# and Debian does not build, and what puts a device into the role of lo: all in build/upstream, from
# copies. Nothing is written into the kernel tree.
#
#   scripts/in-root.sh scripts/upstream.sh
#
# Does nothing when they are there and neither the kernel nor this script has changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

needs_root

release=$(cat "$release_file")
tree=$build/linux-$release
output=$build/upstream
sources=$output/linux
tests=$sources/tools/testing/selftests

# What the tests are made of: their sources, the libraries that they use, the kernel's headers
# for programs, newer than Debian's, with what exports these, the library of tests in Python, and the
# modules.
parts=(
	Makefile .kernelvariables
	scripts include/uapi include/generated/uapi include/asm-generic usr
	arch/x86/{Makefile,Makefile_32.cpu,include/uapi,include/generated,entry/syscalls,tools}
	tools/{arch/x86/include,build,include,lib,scripts}
	tools/testing/selftests/{lib.mk,kselftest,net,bpf}
	tools/net/ynl/pyynl Documentation/netlink/specs
	drivers/net/{netdevsim,amt.c,bareudp.c}
)

copy() {
	[ "$(cat "$output/.copied" 2>/dev/null)" != "$made_from" ] || return 0
	rm -rf "$output"
	mkdir -p "$sources"
	(cd "$tree" && cp -a --parents "${parts[@]}" tools/testing/selftests/*.h "$sources")
	printf '%s\n' "$made_from" >"$output/.copied"
}

# A build that was interrupted goes on where it was. The programs that are made with YNL (tun,
# netlink-dumps, busy_poller) send nothing through lo; they would take many times longer.
compile() {
	copy
	make -C "$sources" ARCH=x86 -j"$(nproc)" headers
	for folder in net/lib net net/mptcp net/netfilter; do
		make -C "$tests/$folder" -j"$(nproc)" CLANG=clang-19 YNL_GEN_PROGS= YNL_GEN_FILES=
	done
	echo "obj-m := netdevsim/ amt.o bareudp.o" >"$sources/drivers/net/Kbuild"
	make -C "$tree" M="$sources/drivers/net" -j"$(nproc)" CONFIG_NETDEVSIM=m modules
	gcc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$output/preload.so" \
		"$top/selftests/upstream/preload.c"
}

made_from=$(printf '%s\n' "$release" "${parts[@]}")
stamp=$output/.built
wanted=$(printf '%s\n' "$made_from"; cat "$0" "$top/selftests/upstream/preload.c" | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
	say "The kernel's tests of networking, build/upstream, are there already"
	exit 0
fi
[ -f "$tree/tools/testing/selftests/net/Makefile" ] ||
	die "the sources of $release are not unpacked in build/linux-$release: run 'make kernel'"
mkdir -p "$output"
step "Building the kernel's tests of networking" "3 min" upstream-build compile
printf '%s\n' "$wanted" >"$stamp"
