#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks the style of all sources with the kernel's checkpatch.pl --strict.
#
#   scripts/in-root.sh scripts/checkpatch.sh
#
# What does not fit a language or a folder is left out below, each with a reason.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

needs_root
checkpatch=$build/linux-$(cat "$release_file")/scripts/checkpatch.pl
[ -f "$checkpatch" ] || die "$checkpatch is missing: run 'make kernel'"

# A sentence for the user is one string, however long, so that it can be searched for.
everywhere=LONG_LINE_STRING

# Written without libbpf's headers, which a guest need not have: what those define (SEC(),
# __uint(), __type(), __always_inline) is defined in the file, and a macro makes a program.
bpf=PREFER_DEFINED_ATTRIBUTE_MACRO,MACRO_ARG_PRECEDENCE,COMPLEX_MACRO,MACRO_ARG_REUSE
bpf+=,MACRO_WITH_FLOW_CONTROL

# What user space sets before a program is loaded has to be volatile, or the compiler takes the
# value in the file for the only one; without a value it would not be in .rodata.
rodata=VOLATILE,GLOBAL_INITIALISERS

# A check is a line or two: what it is called, what is expected, a command that is not broken.
# (A path with // or /* is a comment to checkpatch.pl.)
scripts=LONG_LINE,LONG_LINE_COMMENT
# The head of a script says how it is called.
scripts+=,EMBEDDED_FILENAME
# mount -t proc proc /proc, and lists of expected answers: "yes yes yes".
scripts+=,REPEATED_WORD

# check IGNORED FILE...
failed=''
check() {
	perl "$checkpatch" --no-tree --strict --terse --show-types --no-summary \
		--ignore "$everywhere,$1" -f "${@:2}" || failed=yes
}

cd "$top"
shopt -s globstar
check "" netdev/**/*.[ch] samples/xsk_echo.c selftests/upstream/*.c tools/{bench,coverage}/*.c
check "" rust_loopback.rs {netdev,rust_loopback,samples}/**/*.rs tools/rlo-xsk/{build.rs,src/**/*.rs}
check "$bpf" {selftests,samples}/*.bpf.c
check "$rodata" tools/rlo-xsk/bpf/*.c
check "$scripts" .ci/run {scripts,selftests,tools/coverage}/*.sh debian/{dkms-prepare,kernel-postrm,*.postrm} selftests/upstream/*.sh labs/**/*.sh
check "" {Documentation,scripts,selftests,selftests/upstream}/*.py tools/{bench,coverage}/*.py labs/**/*.py
[ -z "$failed" ] || die "checkpatch.pl has found something; its types are explained in the kernel's Documentation/dev-tools/checkpatch.rst"
