#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests signatures of the module on the stock kernel, once with and once without
# module.sig_enforce=1, which is what Secure Boot switches on for modules:
#
#   scripts/in-root.sh scripts/test-signing.sh
#
# A kernel that has this key cannot be had without the firmware's help: that it takes what
# is signed with a key that it knows is seen with a module of Debian's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

release=$(cat "$release_file")
built=$build/module/rust_loopback.ko
# A key, and modules: without a signature, with one of this key, and one of Debian's that
# was changed afterwards.
dir=$build/signing

prepare() {
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$built" "$dir/unsigned.ko"
	cp "$built" "$dir/signed.ko"
	"$top/scripts/sign-module.sh" -r "$release" -d "$dir" "$dir/signed.ko"
	xz -dc "/usr/lib/modules/$release/kernel/drivers/net/dummy.ko.xz" |
		sed 's/alias=rtnl-link-dummy/alias=rtnl-link-Dummy/' >"$dir/changed.ko"
}

# load FILE: what insmod says, and its exit status.
load() { sentence insmod "$dir/$1.ko" | sed "s/.*\.ko: //"; }

# rejected WHAT: how many times the log has that this was rejected.
rejected() { dmesg | grep -c "Loading of $1 is rejected"; }

# taint: whether the kernel has the taint flag of unsigned modules.
taint() { echo $((($(cat /proc/sys/kernel/tainted) >> 13) & 1)); }

guest() {
	cd "$top/selftests"
	export KSELFTEST=$build/linux-$release/tools/testing/selftests
	# shellcheck source=selftests/checks.sh
	. ./checks.sh
	set +e
	ktap_print_header
	is "without a signature modinfo knows no signer" "" "$(modinfo -F signer "$dir/unsigned.ko")"
	is "with one it is the key's subject" "$(openssl x509 -inform DER -in "$dir/module.der" \
		-noout -subject -nameopt multiline | sed -n 's/ *commonName *= //p')" \
		"$(modinfo -F signer "$dir/signed.ko")"
	is "the key can be read by its owner only" 600 "$(stat -c %a "$dir/module.key")"
	is "the kernel has no unsigned module" 0 "$(taint)"
	if [ "$1" = enforced ]; then
		is "without a signature the module is refused" "Key was rejected by service (1)" "$(load unsigned)"
		is "as the kernel's log says" 1 "$(rejected "unsigned module")"
		is "with one of an unknown key, too" "Key was rejected by service (1)" "$(load signed)"
		is "and the log tells this from that" 1 "$(rejected "module with unavailable key")"
		is "and so is one of Debian's that was changed" "Key was rejected by service (1)" \
			"$(load changed)"
		is "nothing is loaded" 0 "$(grep -c rust_loopback /proc/modules)"
		is "the kernel still has no unsigned module" 0 "$(taint)"
		ok "a module that Debian has signed is loaded" modprobe dummy
	else
		is "without a signature the module is loaded" " (0)" "$(load unsigned)"
		is "and taints the kernel" 1 "$(taint)"
		rmmod rust_loopback
		is "with one of an unknown key, too" " (0)" "$(load signed)"
		rmmod rust_loopback
	fi
	ktap_set_plan $((KTAP_TESTNO - 1))
	ktap_finished
}

case ${1:-} in
'')
	needs_root
	step "Signing modules with a new key" "2 s" signing prepare
	status=0
	for mode in tolerant enforced; do
		parameters=''
		[ $mode = tolerant ] || parameters=module.sig_enforce=1
		say "Loading them, $mode (about 10 s)"
		"$top/scripts/guest.sh" -n "signing-$mode" -m 512 -t 1200 -a "$parameters" \
			/src/scripts/test-signing.sh $mode || status=1
	done
	exit $status
	;;
*) guest "$1" ;;
esac
