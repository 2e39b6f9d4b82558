#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the module for the newest stock kernel of each series that the sources are for, and runs
# a part of the selftests on it.
#
#   scripts/test-kernels.sh
#
# Environment:
#   TESTS    other selftests
set -euo pipefail
. "$(dirname "$0")/lib.sh"

tests=${TESTS:-load.sh appearance.sh traffic.sh own_traffic.sh netns.sh errors.sh}
stock=$(cat "$release_file")
mkdir -p "$logs"
status=0
for series in "${all_series[@]}"; do
	release=$stock
	[[ $stock = "$series".* ]] || release=$(newest_kernel "$series")
	[ -n "$release" ] || die "the archive has no kernel of the series $series"
	"$top/scripts/buildroot.sh" kernel "$release"
	tree=(-o "build/linux-$release")
	[ "$release" = "$stock" ] || tree=(-s -o "build/kernels/$release")
	"$top/scripts/in-root.sh" scripts/prepare-kernel.sh -r "$release" "${tree[@]}"
	step "Building rust_loopback.ko for $release" "20 s" "module-$series-build" \
		"$top/scripts/in-root.sh" make -j"$(nproc)" "KDIR=/src/${tree[-1]}" \
		"MO=/src/build/module-$series" KRUSTFLAGS=-Dwarnings KCFLAGS=-Werror modules
	log=$logs/kernel-$series.log
	say "Running $tests on $release (about 2 min; log: ${log#"$top"/})"
	# shellcheck disable=SC2016 # for the guest's shell
	"$top/scripts/guest.sh" -k "$release" -n "kernel-$series" -t 1200 sh -c \
		'echo "# running: $(uname -r)" && exec make -C selftests run_tests TEST_PROGS="$1" MODULES="$2"' \
		sh "$tests" "module-$series" \
		>"$log" 2>&1 || status=1
	grep -E '^# running|^# not ok|^(not )?ok |^error|^    ' "$log"
	# What was asked for is what ran, and all of it.
	grep -qx "# running: $release" "$log" || die "the guest did not run the kernel $release; see ${log#"$top"/}"
	tally "$(wc -w <<<"$tests")" "$log" || status=1
	printf '%s: %d passed, %d failed, %d skipped\n' "$release" "$passed" "$failed" "$skipped"
done
exit $status
