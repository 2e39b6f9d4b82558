#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds xskxceiver, the kernel's test suite for AF_XDP sockets, from the sources of
# the stock kernel: build/xskxceiver/xskxceiver. Nothing else of the folder
# tools/testing/selftests/bpf is built, and nothing is written into the kernel tree.
#
#   scripts/in-root.sh scripts/xskxceiver.sh
#
# Does nothing when the program is there and neither the kernel nor this script
# has changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

needs_root

release=$(cat "$release_file")
tools=$build/linux-$release/tools
bpf=$tools/testing/selftests/bpf
output=$build/xskxceiver
stamp=$output/.built
made_from=$(printf '%s\n' "$release"; sha256sum <"$0")

# libbpf of the same sources, which the skeleton that bpftool writes needs.
library() {
	make -C "$tools/lib/bpf" -j"$(nproc)" OUTPUT="$output/libbpf/" DESTDIR="$output" prefix= \
		"$output/libbpf/libbpf.a" install_headers
}

# With the flags of the folder's own Makefile, as far as they matter. The XDP
# programs know nothing of the kernel's types, so that vmlinux.h is not needed.
programs() {
	clang-19 --target=bpfel -mcpu=v3 -O2 -g -Wall -Werror -std=gnu11 -D__TARGET_ARCH_x86 \
		-fno-strict-aliasing -Wno-compare-distinct-pointer-types -I"$output/include" \
		-I"$bpf" -I"$tools/include/uapi" -I"$tools/include" \
		-idirafter "/usr/include/$(gcc -print-multiarch)" \
		-c "$bpf/progs/xsk_xdp_progs.c" -o "$output/xsk_xdp_progs.bpf.o"
	# The suite finds a map by a name that begins with that of the skeleton.
	bpftool gen skeleton "$output/xsk_xdp_progs.bpf.o" name xsk_xdp_progs \
		>"$output/xsk_xdp_progs.skel.h"
}

# The suite gives a test 3 s, too little for a guest under emulation on a busy machine.
suite() {
	sed '/^#define THREAD_TMOUT\>/s/\<3$/30/' "$bpf/prog_tests/test_xsk.c" >"$output/test_xsk.c"
	grep -q '^#define THREAD_TMOUT.*30$' "$output/test_xsk.c" || {
		echo "The suite's time limit, THREAD_TMOUT in test_xsk.c, is no longer 3 s."
		return 1
	}
	gcc -O2 -g -std=gnu11 -D_GNU_SOURCE= -Wall -Wno-unused-but-set-variable \
		-I"$output" -I"$output/include" -I"$bpf" -I"$bpf/prog_tests" -I"$bpf/.." \
		-I"$tools/lib" -I"$tools/include" -I"$tools/arch/x86/include" -I"$tools/include/uapi" \
		-o "$output/xskxceiver" "$bpf"/{xskxceiver,xsk,network_helpers}.c \
		"$output/test_xsk.c" "$tools/lib/find_bit.c" "$output/libbpf/libbpf.a" \
		-lelf -lz -lpthread
}

compile() {
	library
	programs
	suite
}

if [ "$(cat "$stamp" 2>/dev/null)" = "$made_from" ] && [ -x "$output/xskxceiver" ]; then
	say "The test suite build/xskxceiver/xskxceiver is there already"
	exit 0
fi
[ -f "$bpf/xskxceiver.c" ] ||
	die "the sources of $release, with xskxceiver.c, are not unpacked in build/linux-$release: run 'make kernel'"
rm -rf "$output"
mkdir -p "$output/libbpf"
step "Building the kernel's AF_XDP test suite (xskxceiver)" "40 s" xskxceiver-build compile
printf '%s\n' "$made_from" >"$stamp"
