#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the Debian package, binary and source, in build/deb, and checks it with lintian:
#
#   scripts/in-root.sh scripts/deb.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

needs_root
version=$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)
dir=$build/deb/rust-loopback-$version

# In a copy, since debhelper leaves files between the sources.
package() {
	rm -rf "$dir" "$build"/deb/rust-loopback*_"$version"*
	mkdir -p "$dir"
	tar -C "$top" --exclude=./build --exclude=./.git -cf - . | tar -C "$dir" -xf -
	(cd "$dir" && dpkg-buildpackage --no-sign)
	rm -rf "$dir"
}

step "Building the Debian package $version" "20 s" deb-build package
# The developers have no address for mail.
step "Checking it (lintian)" "30 s" deb-lintian lintian --allow-root --tag-display-limit 0 \
	--suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog \
	--fail-on error,warning "$build/deb/rust-loopback_${version}_amd64.changes"
say "See build/deb/rust-loopback-dkms_${version}_amd64.deb"
