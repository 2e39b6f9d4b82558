# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the scripts of this folder: messages, long steps that show that they
# are moving and leave a log, what runs beside, checks that are counted. Sourced, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
logs=$build/logs

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# For scripts that run in the build root only.
needs_root() {
	[ -n "${IN_BUILD_ROOT:-}" ] ||
		die "${0##*/} runs in the build root: scripts/in-root.sh scripts/${0##*/}"
}

# step DESCRIPTION EXPECTED LOG COMMAND...
#
# Runs COMMAND with its output in build/logs/LOG.log. Says what runs and how
# long it may take, shows the last line of the log while it runs, and on
# failure names the log, prints its end and exits.
step() {
	local what=$1 expected=$2 log=$logs/$3.log started=$SECONDS pid status=0 tick=0
	shift 3
	mkdir -p "$logs"
	say "$what (about $expected; log: ${log#"$top"/})"
	# In a process group of its own, so that an interrupt ends all of it.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	trap 'kill -KILL -- "-$pid" 2>/dev/null; exit 130' INT TERM HUP
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		tick=$((tick + 1))
		if [ -t 1 ]; then
			printf '\r\033[K    %d s  %.70s' $((SECONDS - started)) \
				"$(tail -n 1 "$log" | tr -cd '[:print:]')"
		elif [ $((tick % 40)) -eq 0 ]; then
			printf '    %d s  %.100s\n' $((SECONDS - started)) \
				"$(tail -n 1 "$log" | tr -cd '[:print:]')"
		fi
	done
	[ ! -t 1 ] || printf '\r\033[K'
	wait "$pid" || status=$?
	trap - INT TERM HUP
	if [ "$status" -ne 0 ]; then
		printf 'error: %s failed (exit status %d) after %d s. The end of %s:\n' \
			"$what" "$status" $((SECONDS - started)) "${log#"$top"/}" >&2
		tail -n 25 "$log" | sed 's/^/    /' >&2
		exit 1
	fi
	printf '    done in %d s\n' $((SECONDS - started))
}

# beside COMMAND...: runs it in the background, in a process group of its own, which ends with
# this script. The process is the last one of besides.
besides=()
beside() {
	trap 'for pid in "${besides[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done' EXIT
	trap 'exit 130' INT TERM HUP
	set -m
	"$@" </dev/null &
	besides+=($!)
	set +m
}

# tally FILES LOG...: counts the checks of as many selftests in what 'make run_tests' has printed,
# in passed, failed and skipped. Succeeds if all passed and none was skipped.
# shellcheck disable=SC2034 # for the scripts that source this file
tally() {
	local files=$1 ended unsuccessful
	shift
	count() { cat "${@:2}" | grep -cE "$1" || true; }
	ended=$(count '^(not )?ok [0-9]+ selftests' "$@")
	unsuccessful=$(count '^not ok' "$@")
	skipped=$(count '^(# )?ok .*# SKIP' "$@")
	passed=$(($(count '^# ok ' "$@") - $(count '^# ok .*# SKIP' "$@")))
	failed=$(($(count '^# not ok ' "$@") + $(count '^not ok .*(TIMEOUT|missing)' "$@")))
	if [ "$ended" -ne "$files" ]; then
		printf 'error: %d of %d tests came to an end; see %s\n' "$ended" "$files" "${*#"$top"/}" >&2
		failed=$((failed + files - ended))
	fi
	[ "$failed" -eq 0 ] && [ "$skipped" -eq 0 ] && [ "$passed" -gt 0 ] && [ "$unsuccessful" -eq 0 ]
}

# apt ARGUMENT...: apt-get in the root (see in-root.sh). Services must not be started there,
# says policy-rc.d, which a system that is booted must not have.
apt() {
	# shellcheck disable=SC2016 # $@ is expanded by the shell in the root
	"$top/scripts/in-root.sh" env DEBIAN_FRONTEND=noninteractive sh -c '
		printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		apt-get -q -y --no-install-recommends "$@"
		status=$?
		rm /usr/sbin/policy-rc.d
		exit $status' apt "$@"
}

# The series of kernels that the sources are for, the default one last.
# shellcheck disable=SC2034 # for the scripts that source this file
all_series=(7.2 7.3)
flavour=cloud-amd64

# series_of RELEASE: 7.3 of 7.3.4+deb13-cloud-amd64.
series_of() { printf '%s' "$1" | grep -oE '^[0-9]+\.[0-9]+'; }

# newest_kernel SERIES: the release of it that the archive has.
newest_kernel() {
	"$top/scripts/in-root.sh" apt-cache search --names-only "^linux-binary-${1//./\\.}\\..*-$flavour\$" |
		sed -n "s/^linux-binary-\([^ ]*-$flavour\) .*/\1/p" | grep -vE -- '-(rt|dbg)' | sort -V | tail -n 1
}

# Holds the release of the kernel that the build root is for, as uname -r prints it.
# shellcheck disable=SC2034 # for the scripts that source this file
release_file=$build/kernel-release
