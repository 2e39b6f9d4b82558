#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs cargo on tools/rlo-xsk, in the build root and with its compiler.
#
#   scripts/cargo.sh ARGUMENT...
#
# Crates come from where this machine has them from: cargo's configuration, proxies
# and certificates are handed on. What is made and downloaded goes to build/cargo.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

home=$build/cargo
mkdir -p "$home"
rm -f "$home/config.toml"
for config in "${CARGO_HOME:-$HOME/.cargo}"/config{,.toml}; do
	[ ! -f "$config" ] || cp "$config" "$home/config.toml"
done

environment=(CARGO_HOME=/src/build/cargo CARGO_TARGET_DIR=/src/build/cargo/target)
# Tokens stay out of the list of processes.
while read -r name; do
	environment+=("$name=${!name}")
done < <(compgen -e | grep -iE '^(cargo_(registr|source|http|net)|(https?|all|no)_proxy$)' | grep -v _TOKEN)
certificates=${CARGO_HTTP_CAINFO:-${SSL_CERT_FILE:-}}
if [ -f "$certificates" ]; then
	cp "$certificates" "$home/certificates.pem"
	environment+=(CARGO_HTTP_CAINFO=/src/build/cargo/certificates.pem)
fi

exec "$top/scripts/in-root.sh" env -C tools/rlo-xsk "${environment[@]}" cargo "$@"
