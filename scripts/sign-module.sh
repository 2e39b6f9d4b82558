#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Signs modules for kernels that insist on it (Secure Boot, module.sig_enforce=1).
#
#   scripts/sign-module.sh [-r RELEASE] -d DIRECTORY MODULE...
#
#   -r RELEASE     the kernel whose sign-file is used (default: the running one)
#   -d DIRECTORY   has module.key and module.der, the key and its certificate; both are
#                  made if neither is there
#
# The kernel has to know the certificate: mokutil --import DIRECTORY/module.der
set -euo pipefail
. "$(dirname "$0")/lib.sh"

usage="usage: scripts/sign-module.sh [-r RELEASE] -d DIRECTORY MODULE..."
release=$(uname -r) keys=''
while getopts r:d: option; do
	case $option in
	r) release=$OPTARG ;;
	d) keys=$OPTARG ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
if [ -z "$keys" ] || [ $# -eq 0 ]; then
	die "$usage"
fi

# Of the headers, or of the tree that prepare-kernel.sh made of them.
sign=/usr/src/linux-headers-$release/scripts/sign-file
[ -x "$sign" ] || sign=$build/linux-$release/scripts/sign-file
[ -x "$sign" ] || die "sign-file of $release was not found; as root run: apt-get install linux-headers-$release"
command -v openssl >/dev/null || die "openssl was not found; as root run: apt-get install openssl"

make_key() {
	mkdir -p "$keys"
	(
		umask 077
		openssl req -new -x509 -nodes -newkey rsa:2048 -sha256 -days 3650 -batch \
			-subj "/CN=Module signing key of $(uname -n)/" \
			-addext basicConstraints=critical,CA:FALSE \
			-addext keyUsage=digitalSignature \
			-addext extendedKeyUsage=codeSigning \
			-keyout "$keys/module.key" -outform DER -out "$keys/module.der" 2>/dev/null
	)
	chmod 644 "$keys/module.der"
	say "A key was made: $keys/module.key. To let this machine's firmware know of it, as root run: mokutil --import $keys/module.der"
}

[ -e "$keys/module.key" ] || [ -e "$keys/module.der" ] || make_key
for file in module.key module.der; do
	[ -r "$keys/$file" ] || die "$keys/$file is missing or cannot be read"
done
for module; do
	"$sign" sha256 "$keys/module.key" "$keys/module.der" "$module"
	say "Signed: $module"
done
