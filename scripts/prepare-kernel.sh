#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes a kernel tree against which Rust modules for a stock Debian kernel can
# be built. Debian's linux-headers packages lack the rust/ folder and
# scripts/target.json; both are made here from the linux-source package with
# the kernel's own configuration, and checked against the kernel's symbols.
#
#   scripts/prepare-kernel.sh [-r RELEASE] [-o DIRECTORY] [-s]
#
#   -r RELEASE     the kernel, as uname -r prints it (default: the running one)
#   -o DIRECTORY   where the tree goes (default: build/linux-RELEASE)
#   -s             small: keeps only what a module is built with
#
# Runs in the build root as part of 'make', and on any Debian machine for the
# kernel that is installed there; it needs no root. The tree is then used as
#   make modules KDIR=DIRECTORY
set -euo pipefail
. "$(dirname "$0")/lib.sh"

release=$(uname -r)
output=
small=
while getopts r:o:s option; do
	case $option in
	r) release=$OPTARG ;;
	o) output=$OPTARG ;;
	s) small=1 ;;
	*) die "usage: scripts/prepare-kernel.sh [-r RELEASE] [-o DIRECTORY] [-s]" ;;
	esac
done
output=$(realpath -m "${output:-$build/linux-$release}")

headers=/usr/src/linux-headers-$release
series=$(series_of "$release") ||
	die "'$release' does not look like a kernel release"
source=/usr/src/linux-source-$series.tar.xz
stamp=$output/.rust-ready

[ -f "$headers/Module.symvers" ] ||
	die "the headers of $release are not installed; as root run: apt-get install linux-headers-$release"
grep -q '^CONFIG_RUST=y' "$headers/.config" ||
	die "the kernel $release was built without CONFIG_RUST=y and cannot load Rust modules"

missing=()
for command in make gcc-14 bc bison flex rustc bindgen clang-19 pahole xz; do
	command -v $command >/dev/null || missing+=("$command")
done
[ ${#missing[@]} -eq 0 ] ||
	die "not found: ${missing[*]}; as root run: apt-get install make gcc-14 bc bison flex libelf-dev libssl-dev rustc rust-src rustfmt bindgen clang-19 libclang-19-dev llvm-19 pahole xz-utils"

wanted=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"$/\1/p' "$headers/.config")
rustc=$(rustc --version)
[ "$rustc" = "$wanted" ] ||
	die "the kernel was built with '$wanted', but rustc in PATH is '$rustc'. Rust modules need exactly the same compiler: install Debian's package and put /usr/bin before others in PATH."

# version PACKAGE: the installed one, where there are Debian packages.
# shellcheck disable=SC2016 # ${Version} is dpkg-query's
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || true; }

# A tree is good for as long as the headers are the same; its sources may be gone.
need=$(version "linux-headers-$release")
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$need" ]; then
	say "The kernel tree ${output#"$top"/} is there already"
	exit 0
fi

# The release that the sources are of must be the one of the headers.
[ -f "$source" ] ||
	die "$source is missing; as root run: apt-get install linux-source-$series${need:+=$need}"
have=$(version "linux-source-$series")
[ "$have" = "$need" ] ||
	die "linux-source-$series is of version ${have:-unknown}, linux-headers-$release of ${need:-unknown}: install both in the same version, or remove the headers if that kernel is not used any more"

# Most of the sources, which a module is not built with, nor its tree prepared. The bindings
# have headers of drivers/android and drivers/base.
unneeded=()
if [ -n "$small" ]; then
	for files in 'arch/[!x]*.[chS]' 'arch/*.dts*' 'drivers/[!ab]*.[ch]' 'sound/*.[ch]' 'fs/*.c' \
		'Documentation/*.rst'; do
		unneeded+=("--exclude=linux-source-$series/$files")
	done
fi

unpack() {
	rm -rf "$output"
	mkdir -p "$output"
	tar -xJf "$source" --anchored "${unneeded[@]}" --strip-components=1 -C "$output"
	cp "$headers/.config" "$headers/Module.symvers" "$headers/vmlinux" "$output/"
	# Debian's choice of compiler and release, read by the top Makefile of its
	# sources; bindgen gets the libclang of the same LLVM as rustc.
	{
		cat "$headers/.kernelvariables"
		echo 'export LIBCLANG_PATH ?= /usr/lib/llvm-19/lib'
	} >"$output/.kernelvariables"
}

prepare() {
	make -C "$output" olddefconfig
	diff <(grep '^CONFIG_' "$headers/.config") <(grep '^CONFIG_' "$output/.config") || {
		echo "The configuration changed: the tools here differ from those that built the kernel."
		return 1
	}
	make -C "$output" -j"$(nproc)" modules_prepare
	grep -qF "\"$release\"" "$output/include/generated/utsrelease.h" || {
		echo "The prepared tree calls itself $(cat "$output/include/generated/utsrelease.h"), not $release."
		return 1
	}
}

# Rust symbols carry a hash of the compiler, its flags and the sources: equal
# names mean that the modules will link against the running kernel.
check_symbols() {
	local kernel tree
	kernel=$(awk -F'\t' '$2 ~ /^_R/ && $3 == "vmlinux" { print $2 }' "$headers/Module.symvers" | sort)
	tree=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(_R[A-Za-z0-9_]*\));$/\1/p' \
		"$output"/rust/exports_*_generated.h | sort)
	[ -n "$kernel" ] || die "Module.symvers of $release lists no Rust symbols"
	diff <(printf '%s\n' "$kernel") <(printf '%s\n' "$tree") >"$logs/kernel-symbols.log" ||
		die "the Rust symbols of the prepared tree differ from those that $release exports ($(grep -c '^[<>]' "$logs/kernel-symbols.log") lines in ${logs#"$top"/}/kernel-symbols.log): a module built here would not load. The compiler or the kernel sources are not the ones that Debian used."
	say "All $(printf '%s\n' "$kernel" | wc -l) Rust symbols agree with those of the stock kernel $release"
}

# What is left is about what a headers package has, and the metadata of the crates.
shrink() {
	local dir
	for dir in "$output"/*/ "$output"/arch/*/ "$output"/arch/x86/*/; do
		case ${dir#"$output/"} in
		arch/ | arch/x86/ | arch/x86/include/ | include/ | rust/ | scripts/ | tools/) ;;
		*) rm -rf "$dir" ;;
		esac
	done
	find "$output/tools" -type f ! -name objtool ! -name resolve_btfids -delete
	find "$output/rust" "$output/scripts" -type f \( -name '*.o' -o -name '*.rlib' -o -name '*.cmd' \) -delete
	find "$output/tools" "$output/rust" -type d -empty -delete
}

say "Kernel $release ($need), compiler $rustc"
step "Unpacking the kernel sources of $release" "15 s" kernel-unpack unpack
step "Preparing the kernel tree for Rust modules" "2 min" kernel-prepare prepare
check_symbols
[ -z "$small" ] || shrink
printf '%s\n' "$need" >"$stamp"
