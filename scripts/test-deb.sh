#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests the Debian package in a Debian 13 of its own, build/deb/system, as its user would:
#
#   scripts/test-deb.sh
#
# - installs it beside the stock kernel of the earlier series, and sets up the examples;
# - boots this with systemd: the devices must be there with their addresses, and work;
# - installs the kernel of the later series, for which DKMS has to compile the module; looks at
#   what is refused, and with which words; installs the package again;
# - boots that kernel, and purges the package there, which the guest forgets;
# - removes the earlier kernel.
#
# What compiles runs in the system without booting it: under emulation it would take an hour.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

system=$build/deb/system
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$top/debian/changelog")
package=build/deb/rust-loopback-dkms_${version}_amd64.deb
source=/usr/src/rust-loopback-$version
cache=/var/cache/rust-loopback-dkms
examples=/usr/share/doc/rust-loopback-dkms/examples

# --- On the host ----------------------------------------------------------

# in_system COMMAND...: runs it there, without services. Packages are downloaded once.
in_system() { ROOT=$system "$top/scripts/in-root.sh" "$@"; }
apt_system() { ROOT=$system apt -o Dir::Cache::archives=/src/build/deb/archives "$@"; }

fresh() {
	"$top/scripts/in-root.sh" sh -c 'rm -rf build/deb/system && mkdir -p build/deb/archives/partial &&
		cp -a build/deb/base build/deb/system'
	in_system sh -c 'systemd-machine-id-setup && echo guest >/etc/hostname'
	apt_system update
}

# kernel RELEASE SERIES: what somebody who wants this kernel, and modules for it, installs.
kernel() { apt_system install initramfs-tools "linux-image-$1" "linux-headers-$1" "linux-source-$2"; }

# The commands of packaging.rst.
# shellcheck disable=SC2016 # for the shell in the system
set_up() {
	in_system sh -ex -c 'cd "$1"
		cp modprobe.d/* /etc/modprobe.d/
		cp modules-load.d/* /etc/modules-load.d/
		cp sysctl.d/* /etc/sysctl.d/
		cp systemd-networkd/* /etc/systemd/network/
		cp ifupdown/* /etc/network/interfaces.d/
		systemctl enable systemd-networkd rlo@service1 rlo@web-1' sh "$examples"
}

remove_kernel() {
	apt_system purge "linux-image-$1" "linux-headers-$1" "linux-binary-$1" "linux-modules-$1" "linux-base-$1"
}

# check WHAT...: the checks of this name, in the system; boot RELEASE WHAT...: in a guest.
check() { in_system /src/scripts/test-deb.sh "$@" 2>&1 | tee -a "$log" || status=1; }
boot() {
	say "Booting $1 with systemd (about 1 min; kernel's log: build/logs/guest-deb-$2.log)"
	"$top/scripts/guest.sh" -k "$1" -r build/deb/system -n "deb-$2" -m 2048 -t 1200 \
		/src/scripts/test-deb.sh "${@:2}" "$1" 2>&1 | tee -a "$log" || status=1
}

main() {
	local earlier=${all_series[0]} later=${all_series[-1]} old new
	local ended
	log=$logs/test-deb.log status=0
	mkdir -p "$logs"
	: >"$log"
	"$top/scripts/buildroot.sh" system
	step "Copying it, and reading the package lists" "10 s" deb-fresh fresh
	old=$(ROOT=$system newest_kernel "$earlier")
	new=$(ROOT=$system newest_kernel "$later")
	if [ -z "$old" ] || [ -z "$new" ]; then
		die "the archive has no kernel of $earlier or of $later"
	fi
	step "Installing the kernel $old" "60 s" deb-kernel kernel "$old" "$earlier"
	step "Installing the package, DKMS compiles the module" "3 min" deb-install \
		apt_system install "./$package"
	check installed "$old"
	step "Setting up the examples" "1 s" deb-examples set_up
	boot "$old" booted

	step "Installing the kernel $new, DKMS compiles the module" "2 min" deb-upgrade kernel "$new" "$later"
	check installed "$old" "$new"
	check refused "$new"
	step "Removing linux-source-$earlier" "5 s" deb-source apt_system purge "linux-source-$earlier"
	step "Installing the package again, for both kernels" "90 s" deb-again \
		apt_system install --reinstall "./$package"
	check installed "$old" "$new"
	boot "$new" purged
	step "Removing the kernel $old" "10 s" deb-remove remove_kernel "$old"
	check installed "$new"

	printf '%d passed, %d failed\n' "$(grep -c '^ok ' "$log")" "$(grep -c '^not ok ' "$log")"
	ended=$(grep -c '^# Totals: ' "$log" || true)
	[ "$ended" -eq 7 ] || die "$ended of 7 parts came to their end"
	exit $status
}

# --- In the system --------------------------------------------------------

# installed RELEASE...: the module is there for these kernels and no other.
installed() {
	local release
	is "DKMS has compiled the module for" "$*" "$(dkms status -m rust-loopback |
		sed -n "s|^rust-loopback/$version, \(.*\), x86_64: installed$|\1|p" | sort -V | xargs)"
	is "modules" "$*" "$(find /usr/lib/modules -name 'rust_loopback*' |
		sed -n 's|^/usr/lib/modules/\(.*\)/updates/dkms/rust_loopback.ko.xz$|\1|p' | sort -V | xargs)"
	is "kernel trees" "$(printf 'linux-%s\n' "$@" | xargs)" "$(cd $cache && echo *)"
	for release; do
		is "$release: what the module was compiled for" "$release" \
			"$(modinfo -k "$release" -F vermagic rust_loopback | cut -d ' ' -f 1)"
		is "$release: who signed it" "DKMS module signing key" \
			"$(modinfo -k "$release" -F signer rust_loopback)"
		is "$release: modprobe finds it by the kind" rust_loopback \
			"$(modprobe -S "$release" -R rtnl-link-rlo)"
		is "$release: the tree takes 100 to 400 MB" 1 \
			"$(du -sm "$cache/linux-$release" | awk '{ print ($1 > 100 && $1 < 400) }')"
		du -sm "$cache/linux-$release" | sed 's/^/# MB: /'
	done
	is "the files of the package are as they were made" "" "$(dpkg --verify rust-loopback-dkms)"
	is "the manual page" /usr/share/man/man4/rlo.4.gz "$(man -w 4 rlo)"
	is "the examples" "ifupdown/rlo modprobe.d/rust_loopback.conf modules-load.d/rust_loopback.conf \
sysctl.d/rust_loopback.conf systemd-networkd/60-rlo0.network systemd-networkd/60-rlo1.network \
systemd-networkd/60-service1.network systemd-networkd/60-web-1.network" \
		"$(cd $examples && find . -type f | sed 's|^\./||' | sort | xargs)"
}

# pretend COMMAND LINE: a folder for PATH in which COMMAND prints LINE.
pretend() {
	mkdir -p "/tmp/$1.path"
	printf '#!/bin/sh\necho "%s"\n' "$2" >"/tmp/$1.path/$1"
	chmod +x "/tmp/$1.path/$1"
	echo "/tmp/$1.path:$PATH"
}

# passed_over WHAT RELEASE OPTION...: the module is not built for a kernel that has these options.
passed_over() {
	local what=$1 release=$2 tree=/tmp/dkms
	mkdir -p $tree "/usr/lib/modules/$release/build/include"
	printf 'CONFIG_%s=y\n' "${@:3}" >"/usr/lib/modules/$release/build/.config"
	is "$what is passed over" 77 \
		"$(dkms build --dkmstree $tree -m rust-loopback -v "$version" -k "$release" >/tmp/said 2>&1; echo $?)"
	is "with a reason" "for module rust-loopback/$version includes a BUILD_EXCLUSIVE directive" \
		"$(grep -o 'for module.*' /tmp/said)"
	is "and its installation goes on" 0 \
		"$(dkms autoinstall --dkmstree $tree -k "$release" >/tmp/said 2>&1; echo $?)"
	is "without this module" "skipped for module(s) rust-loopback." \
		"$(grep -o 'skipped for module.*' /tmp/said)"
	rm -r "/usr/lib/modules/$release"
}

# refused RELEASE: what does not fit is said in words. In a DKMS tree of its own.
refused() {
	local release=$1 series=${all_series[-1]} dkms prepare need
	dkms=(dkms build --dkmstree /tmp/dkms -m rust-loopback -v "$version")
	prepare=("$source/scripts/prepare-kernel.sh" -s -r "$release" -o /tmp/tree)
	# shellcheck disable=SC2016 # dpkg-query's
	need=$(dpkg-query -W -f '${Version}' "linux-headers-$release")

	passed_over "a kernel of another series" 7.4.1-amd64 RUST IPV6 NET_L3_MASTER_DEV
	passed_over "a kernel without Rust" 7.3.99-amd64 IPV6 NET_L3_MASTER_DEV
	passed_over "a kernel without IPv6" 7.3.99-amd64 RUST NET_L3_MASTER_DEV
	passed_over "a kernel without L3 masters" 7.3.99-amd64 RUST IPV6

	mv $cache $cache.away
	mv "/usr/src/linux-source-$series.tar.xz" /usr/src/away
	is "without the kernel's sources DKMS fails" 1 \
		"$("${dkms[@]}" -k "$release" 2>&1 | cat >/tmp/said; echo "${PIPESTATUS[0]}")"
	is "and says what to do" "error: /usr/src/linux-source-$series.tar.xz is missing; as root run: apt-get install linux-source-$series=$need" \
		"$(grep '^error:' /tmp/said)"
	mv /usr/src/away "/usr/src/linux-source-$series.tar.xz"
	rm -rf $cache
	mv $cache.away $cache

	is "another rustc is refused" "error: the kernel was built with '$(rustc --version)', but rustc in PATH is 'rustc 1.90.0'. Rust modules need exactly the same compiler: install Debian's package and put /usr/bin before others in PATH. (1)" \
		"$(PATH=$(pretend rustc 'rustc 1.90.0') sentence "${prepare[@]}")"
	# shellcheck disable=SC2016 # for the pretended program
	is "sources of another version are refused" "error: linux-source-$series is of version 7.3.99, linux-headers-$release of $need: install both in the same version, or remove the headers if that kernel is not used any more (1)" \
		"$(PATH=$(pretend dpkg-query "\$(case \$* in *source*) echo 7.3.99 ;; *) echo $need ;; esac)") \
			sentence "${prepare[@]}")"
	is "nothing was left behind by a refusal" 1 "$([ -e /tmp/tree ]; echo $?)"
}

packets() { cat "/sys/class/net/$1/statistics/rx_packets"; }

# pings ADDRESS DEVICE OTHER: each is two packets on DEVICE and none on OTHER.
pings() {
	local device other
	device=$(packets "$2") other=$(packets "$3")
	ping -q -n -c 3 -i 0.2 "$1" >/dev/null
	is "three pings of $1: packets on $2, on $3" "6 0" \
		"$(($(packets "$2") - device)) $(($(packets "$3") - other))"
}

# addresses DEVICE: all that it has.
addresses() { ip -br addr show dev "$1" 2>&1 | awk '{ $2 = ""; print }' | xargs; }

rlo_devices() { ip -o link show type rlo | awk -F': ' '{ print $2 }' | sort | xargs; }

# until_there EXPECTED COMMAND...: what the command says, as soon as it is that, or after 20 s.
until_there() {
	local said
	for _ in $(seq 40); do
		said=$("${@:2}")
		[ "$said" != "$1" ] || break
		sleep 0.5
	done
	echo "$said"
}

# booted RELEASE: what the examples make is there without anybody's help.
booted() {
	local of_service1="service1 10.7.0.1/32 fd00:7::1/128" of_backend1="backend1 10.7.2.1/32 fd00:7:2::1/128"
	is "the state of the system" running "$(systemctl is-system-running --wait)"
	is "units that failed" "" "$(systemctl --failed --plain --no-legend | awk '{ print $1 }' | xargs)"
	is "the kernel" "$1" "$(uname -r)"
	is "devices" "backend1 rlo0 rlo1 router0 service1 web-1" "$(rlo_devices)"
	is "systemd-networkd: a device of numdevs=2" "rlo0 10.7.1.1/32 fd00:7:1::1/128" "$(addresses rlo0)"
	is "systemd-networkd: the other one" "rlo1 10.7.1.2/32 fd00:7:1::2/128" "$(addresses rlo1)"
	is "systemd-networkd: a device of rlo@service1" "$of_service1" "$(addresses service1)"
	is "systemd-networkd: a device of rlo@web-1" "web-1 10.7.4.1/24 fd00:7:4::1/128" "$(addresses web-1)"
	is "and its MTU" 1500 "$(cat /sys/class/net/web-1/mtu)"
	is "ifupdown: a device" "$of_backend1" "$(addresses backend1)"
	is "ifupdown: a router's" "router0 10.7.3.1/32" "$(addresses router0)"
	is "what systemd-networkd says of each" \
		"backend1=unmanaged rlo0=configured rlo1=configured router0=unmanaged service1=configured web-1=configured" \
		"$(networkctl list --no-legend --no-pager backend1 rlo0 rlo1 router0 service1 web-1 |
			awk '{ print $2 "=" $NF }' | sort | xargs)"

	ok "a program binds to an IPv6 address" python3 -c \
		'import socket; socket.create_server(("fd00:7::1", 7777), family=socket.AF_INET6)'

	pings 10.7.1.1 rlo0 lo
	pings fd00:7:1::2 rlo1 lo
	pings 10.7.0.1 service1 lo
	pings fd00:7::1 service1 lo
	pings 10.7.4.200 web-1 lo
	pings 10.7.2.1 backend1 lo
	pings 10.7.3.1 lo router0
	pings 127.0.0.1 lo service1

	ok "rlo@service1 is restarted" systemctl restart rlo@service1
	is "and its device has the addresses again" "$of_service1" "$(until_there "$of_service1" addresses service1)"
	pings 10.7.0.1 service1 lo
	ok "rlo@web-1 is stopped" systemctl stop rlo@web-1
	ok "ifdown backend1" ifdown backend1
	is "both devices are gone" "rlo0 rlo1 router0 service1" "$(rlo_devices)"
	ok "ifup backend1" ifup backend1
	is "and it has its addresses again" "$of_backend1" "$(until_there "$of_backend1" addresses backend1)"
	pings fd00:7:2::1 backend1 lo

	# 4096 is for a module from elsewhere, 8192 for a signature of an unknown key.
	is "what taints the kernel" $((4096 + 8192)) "$(cat /proc/sys/kernel/tainted)"
	is "the manual page" "RLO(4)" "$(man 4 rlo 2>&1 | awk 'NF { print $1; exit }')"
	is "the kernel's log is clean" "" "$(dmesg | grep -E -f bad-log)"
}

# purged RELEASE: as booted, and then the package is removed while its devices are there.
purged() {
	local file files
	booted "$1"
	mapfile -t files < <(dpkg -L rust-loopback-dkms)
	ok "the package is purged" env DEBIAN_FRONTEND=noninteractive apt-get -q -y purge rust-loopback-dkms
	is "modules" "" "$(find /usr/lib/modules -name 'rust_loopback*' -o -name updates)"
	is "lines of modprobe's lists" 0 "$(cat /usr/lib/modules/*/modules.{alias,dep} | grep -c rust_loopback)"
	is "files of the package" "" "$(for file in "${files[@]}"; do
		if [ -f "$file" ] || [[ -d $file && $file = *rust-loopback* ]]; then echo "$file"; fi
	done | xargs)"
	is "what DKMS has is its key" "mok.key mok.pub" "$(cd /var/lib/dkms && echo *)"
	is "what else is called after it" "" "$(find /var /boot /usr/src -maxdepth 4 -name '*rust[-_]loopback*')"
	is "the copies of examples" "/etc/modprobe.d/rust_loopback.conf /etc/modules-load.d/rust_loopback.conf \
/etc/network/interfaces.d/rlo /etc/sysctl.d/rust_loopback.conf /etc/systemd/network/60-rlo0.network /etc/systemd/network/60-rlo1.network" \
		"$(find /etc -name '*rust[-_]loopback*' -o -name '*rlo*' | sort | xargs)"
	is "the manual page" 16 "$(man -w 4 rlo >/dev/null 2>&1; echo $?)"
	pings 10.7.1.1 rlo0 lo
	systemctl stop systemd-networkd.socket systemd-networkd
	ok "the module is unloaded" rmmod rust_loopback
	is "devices" "" "$(rlo_devices)"
	is "no more can be made" "Error: Unknown device type. (2)" "$(sentence ip link add rlo9 type rlo)"
	is "nor loaded" "modprobe: FATAL: Module rust_loopback not found in directory /lib/modules/$1 (1)" \
		"$(sentence modprobe rust_loopback)"
	is "the kernel's log is clean" "" "$(dmesg | grep -E -f bad-log)"
}

if [ $# -eq 0 ]; then
	[ -z "${IN_BUILD_ROOT:-}" ] || die "test-deb.sh runs outside of the build root"
	[ -f "$top/$package" ] || die "$package is missing: run 'make deb' first"
	main
fi
cd "$top/selftests"
KSELFTEST=$build/linux-$(cat "$release_file")/tools/testing/selftests
# shellcheck source=selftests/checks.sh
. ./checks.sh
set +e
ktap_print_header
"$@"
ktap_set_plan $((KTAP_TESTNO - 1))
ktap_finished
