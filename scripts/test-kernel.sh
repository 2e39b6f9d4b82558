#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds a kernel for the tests from the sources of the stock one, and the
# modules with it:
#
#   scripts/in-root.sh scripts/test-kernel.sh debug
#   scripts/in-root.sh scripts/test-kernel.sh uml
#   scripts/in-root.sh scripts/test-kernel.sh native
#
#   debug   with checkers (debug-kernel.config and selftests/config), in
#           build/linux-debug; its image and modules go into the build root,
#           where the guest looks for them
#   uml     User-mode Linux with KUnit and checkers (uml-kernel.config and
#           uml-kunit.config), in build/linux-uml
#   native  User-mode Linux for the benchmark, with pktgen and without checkers
#           (uml-kernel.config and uml-native.config), in build/linux-native
#
# Does nothing when the kernel is there and the configuration is the same; after
# a change of the configuration only what depends on it is compiled again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

usage="usage: scripts/in-root.sh scripts/test-kernel.sh debug|uml|native"
kernel=${1:-}
case $kernel in
debug)
	fragments=("$top/selftests/config" "$top/scripts/debug-kernel.config")
	# Rust and KASAN together need Clang, of rustc's LLVM.
	arch=x86 compiler=clang-19 targets="vmlinux modules" minutes=20
	;;
uml | native)
	fragments=("$top/scripts/uml-kernel.config")
	[ "$kernel" = uml ] && fragments+=("$top/scripts/uml-kunit.config") ||
		fragments+=("$top/scripts/uml-native.config")
	arch=um compiler=gcc-14 targets="linux modules" minutes=4
	;;
*) die "$usage" ;;
esac
needs_root

stock=$(cat "$release_file")
series=$(series_of "$stock")
source=/usr/src/linux-source-$series.tar.xz
tree=$build/linux-$kernel

unpacked=$tree/.unpacked
built=$tree/.built
# What the kernel is made from.
made_from=$(printf '%s\n' "$stock"; cat "${fragments[@]}" | sha256sum)

release() { cat "$tree/include/config/kernel.release"; }

unpack() {
	rm -rf "$tree"
	mkdir -p "$tree"
	tar -xJf "$source" --strip-components=1 -C "$tree"
	# Read by the top Makefile of Debian's sources, also when a module is built
	# against the tree.
	cat >"$tree/.kernelvariables" <<-END
		CC = $compiler
		HOSTCC = gcc-14
		export LIBCLANG_PATH ?= /usr/lib/llvm-19/lib
	END
	printf '%s\n' "$stock" >"$unpacked"
}

# An option that does not exist or that depends on another is dropped without
# an error: every line of the fragments must be in the result.
configure() {
	local missing
	cd "$tree"
	# merge_config.sh asks the compiler by itself.
	ARCH=$arch CC=$compiler LIBCLANG_PATH=/usr/lib/llvm-19/lib \
		scripts/kconfig/merge_config.sh -n /dev/null "${fragments[@]}"
	missing=$(grep -hE '^(# )?CONFIG_' "${fragments[@]}" | grep -vxFf .config || true)
	[ -z "$missing" ] || {
		printf 'The kernel configuration did not take these options:\n%s\n' "$missing"
		return 1
	}
}

# shellcheck disable=SC2086 # several targets
compile() { make -C "$tree" ARCH=$arch -j"$(nproc)" $targets; }

# The image is the ELF file, which QEMU boots without a decompressor.
install_kernel() {
	rm -rf /usr/lib/modules/*-rlo-debug
	make -C "$tree" ARCH=$arch modules_install &&
		cp "$tree/vmlinux" "/usr/lib/modules/$(release)/vmlinux"
}

if [ "$(cat "$built" 2>/dev/null)" = "$made_from" ] &&
	{ [ "$kernel" != debug ] || [ -f "/usr/lib/modules/$(release)/vmlinux" ]; }; then
	say "The $kernel kernel $(release) is there already"
	exit 0
fi
[ -f "$source" ] || die "$source is missing from the build root: run 'make root'"

[ "$(cat "$unpacked" 2>/dev/null)" = "$stock" ] ||
	step "Unpacking the kernel sources for the $kernel kernel" "15 s" "$kernel-kernel-unpack" unpack
rm -f "$built"
step "Configuring the $kernel kernel" "15 s" "$kernel-kernel-config" configure
step "Building the $kernel kernel" "$minutes min" "$kernel-kernel-build" compile
[ "$kernel" != debug ] ||
	step "Installing the debug kernel into build/root" "10 s" debug-kernel-install install_kernel
printf '%s\n' "$made_from" >"$built"
say "The $kernel kernel is $(release)"
