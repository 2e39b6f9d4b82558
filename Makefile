# SPDX-License-Identifier: GPL-2.0
#
# 'make help' lists the targets. What they do is in scripts/.

KERNEL ?=
KDIR ?=
INSTALL_MOD_PATH ?=
SIGN ?=

export KERNEL XSK_MODES

in_root := scripts/in-root.sh
step := @scripts/step.sh
# The kernel in the build root, known when there is one.
release = $(shell cat build/kernel-release 2>/dev/null)
# Kbuild puts what it makes there, apart from the sources.
MO ?= $(CURDIR)/build/module
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(MO)
# The same build, in the root: $(call build_for,TREE,OUTPUT) TARGET.
build_for = $(in_root) make -j$(shell nproc) KDIR=/src/build/linux-$(1) MO=/src/build/$(2) \
	SAMPLES=1 KRUSTFLAGS=-Dwarnings KCFLAGS=-Werror

# Leaves nothing between the sources.
python := env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts python3
cargo := scripts/cargo.sh
bench = $(in_root) env ACCEL=$(ACCEL) \
	REVISION="$(shell git describe --always --dirty 2>/dev/null)" $(python) tools/bench/bench.py

upstream = $(in_root) env ACCEL=$(ACCEL) $(python) selftests/upstream/upstream.py

.NOTPARALLEL:

.PHONY: modules
modules: ## Build rust_loopback.ko for the stock Debian kernel, or for the tree KDIR=
ifneq ($(KDIR),)
	@test -f $(KDIR)/include/config/auto.conf || { \
		echo "error: $(KDIR) is not a configured kernel tree" >&2; exit 1; }
	@grep -q '^CONFIG_RUST=y' $(KDIR)/include/config/auto.conf || { \
		echo "error: $(KDIR) is not configured with CONFIG_RUST=y" >&2; exit 1; }
	@test -f $(KDIR)/rust/libkernel.rmeta || { \
		echo "error: $(KDIR) has no Rust support built (rust/libkernel.rmeta); run 'make LLVM=1 prepare' there, or scripts/prepare-kernel.sh for a Debian kernel" >&2; exit 1; }
	$(kbuild) modules
else
modules: kernel
	$(step) "Building rust_loopback.ko for $(release)" "15 s" module-build \
		$(call build_for,$(release),module) modules
endif

.PHONY: modules_install
modules_install: modules ## Install the module for the kernel it was built for (INSTALL_MOD_PATH=, SIGN=)
ifneq ($(KDIR),)
	$(if $(SIGN),scripts/sign-module.sh -r "$$(cat $(KDIR)/include/config/kernel.release)" \
		-d "$(SIGN)" $(MO)/rust_loopback.ko)
	$(kbuild) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) modules_install
else
	install -D -m 644 build/module/rust_loopback.ko \
		"$(INSTALL_MOD_PATH)/lib/modules/$(release)/updates/rust_loopback.ko"
	$(if $(SIGN),scripts/sign-module.sh -r "$(release)" -d "$(SIGN)" \
		"$(INSTALL_MOD_PATH)/lib/modules/$(release)/updates/rust_loopback.ko")
	@if command -v depmod >/dev/null; then depmod -b "$(INSTALL_MOD_PATH)/" "$(release)"; else \
		echo "depmod was not found: run 'depmod $(release)' where the module is used"; fi
endif

.PHONY: test-signing
test-signing: modules ## Sign the module, and load it in a guest that insists on signatures (30 s)
	@$(in_root) scripts/test-signing.sh

.PHONY: test-kernels
test-kernels: kernel ## Build the module for kernels of both series, and run selftests on each (6 min; TESTS=)
	@TESTS="$(TESTS)" scripts/test-kernels.sh

.PHONY: deb
deb: root ## Build the Debian package, with DKMS, in build/deb
	@scripts/buildroot.sh deb
	@$(in_root) scripts/deb.sh

.PHONY: test-deb
test-deb: deb kernel ## Install the package in a Debian 13, boot it, upgrade its kernel, remove it (15 min)
	@scripts/test-deb.sh

.PHONY: run
run: modules ## Boot the stock kernel in QEMU, load the module and send traffic over rlo0
	@scripts/guest.sh -n run -t 120 scripts/demo.sh

.PHONY: test
test: modules ## Run the tests: sources, documentation, selftests and KUnit on both kernels (an hour)
	@scripts/beside.sh modules-debug check doc htmldocs selftests xskxceiver
	@$(MAKE) --no-print-directory kunit-debug selftests-debug
	@scripts/selftests.sh total

# The programs of the tests, and the sample.
test_programs := $(addprefix build/selftests/,$(notdir $(patsubst %.c,%.o,$(wildcard selftests/*.bpf.c))) \
	no_udp.bpf.o)
vpath %.bpf.c selftests samples
$(test_programs): build/selftests/%.bpf.o: %.bpf.c | root
	@mkdir -p build/selftests
	@$(in_root) sh -c 'clang-19 -O2 -g -Wall -Werror -target bpf \
		-idirafter /usr/include/$$(gcc -print-multiarch) -c $< -o $@'

.PHONY: selftests
selftests: modules tools labs-packages $(test_programs) ## Run the selftests on the stock kernel in QEMU
	@scripts/selftests.sh stock

.PHONY: selftests-debug
selftests-debug: modules-debug tools $(test_programs) ## Run the selftests on the debug kernel in QEMU (30 min; 45 min with ALL=1, which runs all)
	@ALL="$(ALL)" scripts/selftests.sh debug

.PHONY: stress
stress: modules modules-debug $(test_programs) ## Try to break it: faults, races, hostile input, overload (20 min, an hour with RENEW=1; MINUTES= SEED=)
	@MINUTES="$(MINUTES)" SEED="$(SEED)" RENEW="$(RENEW)" \
		REVISION="$(shell git describe --always --dirty 2>/dev/null)" scripts/stress.sh

.PHONY: xskxceiver
xskxceiver: modules ## Run the kernel's AF_XDP test suite over a device in QEMU (XSK_MODES="skb drv zc")
	@$(in_root) scripts/xskxceiver.sh
	@scripts/selftests.sh xskxceiver

.PHONY: upstream-tests upstream-survey
upstream-tests: modules upstream-programs ## Run the kernel's tests of networking on lo and on a device in its role (1.5 h; TESTS= RESUME=1 RENEW=1)
	@$(upstream) run $(if $(RESUME),--resume) $(if $(RENEW),--renew) $(TESTS)
upstream-survey: modules upstream-programs ## Find out whether others of that folder send packets through lo (TESTS= RESUME=1)
	@$(upstream) survey $(if $(RESUME),--resume) $(TESTS)

.PHONY: upstream-programs
upstream-programs: kernel
	@scripts/buildroot.sh upstream
	@$(in_root) scripts/upstream.sh

.PHONY: kunit
kunit: modules-uml ## Run the KUnit suites on User-mode Linux
	@scripts/kunit.sh uml

.PHONY: kunit-debug
kunit-debug: modules-debug ## Run the KUnit suites on the debug kernel in QEMU
	@scripts/kunit.sh debug

# All of it is run, and the report made, also when a test fails.
.PHONY: coverage
coverage: modules-debug tools $(test_programs) ## Report which lines all suites reach, and which not with the reason, in build/coverage/ (1 h; RENEW=1)
	@$(in_root) scripts/xskxceiver.sh
	$(step) "Building the modules with counters" "30 s" module-coverage-build \
		$(call build_for,debug,coverage/module) COVERAGE=y modules
	@status=0; scripts/kunit.sh coverage || status=1; scripts/selftests.sh coverage || status=1; \
		$(in_root) $(python) tools/coverage/report.py $(if $(RENEW),--renew) \
			build/logs/kunit-coverage.log build/logs/coverage.log build/logs/coverage-2.log && \
		exit $$status

.PHONY: bench
bench: modules tools build/bench/batch $(if $(QUICK),,modules-native) ## Measure beside lo, with a report in build/bench/ (25 min; QUICK=1: 3 min)
	@$(bench) run $(if $(QUICK),--quick) $(addprefix --part ,$(PART))

.PHONY: bench-compare
bench-compare: root ## Show what differs between two result files (OLD= NEW=)
	@test -n "$(OLD)" -a -n "$(NEW)" || { \
		echo "usage: make bench-compare OLD=build/bench/A.json NEW=build/bench/B.json" >&2; exit 1; }
	@$(bench) compare $(OLD) $(NEW)

.PHONY: bench-trace
bench-trace: modules tools build/bench/batch ## Show where the instructions of a packet go, over lo and over rlo
	@$(in_root) $(python) tools/bench/trace.py

.PHONY: bench-page
bench-page: docs-packages ## Write the figures of a whole run into Documentation/benchmark.rst (RESULT=)
	@test -n "$(RESULT)" || { echo "usage: make bench-page RESULT=build/bench/A.json" >&2; exit 1; }
	@$(in_root) $(python) tools/bench/page.py $(RESULT)

.PHONY: bench-packages
bench-packages: root
	@scripts/buildroot.sh bench

build/bench/batch: tools/bench/batch.c | bench-packages
	@mkdir -p build/bench
	@$(in_root) gcc -O2 -pthread -Wall -Wextra -Werror -o $@ $<

# RENEW=1 writes the transcript in labs/ anew.
ROUTER ?= frr
.PHONY: lab-router lab-services lab-wan
lab-router: modules labs-packages ## Run three routers with loopbacks in QEMU, cut and restore links (2 min; ROUTER=bird)
	@RENEW="$(RENEW)" scripts/lab.sh router-$(ROUTER) "2 min" labs/router/$(ROUTER).txt \
		$(python) labs/router/lab.py $(ROUTER)
lab-services: modules labs-packages ## Show nginx, PostgreSQL and Redis, each on a loopback of its own (2 min)
	@RENEW="$(RENEW)" scripts/lab.sh services "2 min" labs/services/transcript.txt \
		labs/services/lab.sh
lab-wan: modules labs-packages ## Show a WAN between two local programs: asked and measured (3 min)
	@RENEW="$(RENEW)" scripts/lab.sh wan "3 min" labs/wan/transcript.txt labs/wan/lab.sh

.PHONY: labs-packages
labs-packages: root
	@scripts/buildroot.sh labs

.PHONY: tools
tools: tools-packages build/xsk_echo ## Build build/rlo-xsk, a program for AF_XDP sockets, and the sample in C
	$(step) "Building rlo-xsk" "90 s" rlo-xsk $(cargo) build --release --locked
	@cp build/cargo/target/release/rlo-xsk build/

build/xsk_echo: samples/xsk_echo.c | tools-packages
	@$(in_root) gcc -O2 -Wall -Wextra -Werror -o $@ $< -lxdp

.PHONY: check-tools
check-tools: tools-packages build/xsk_echo ## Check the format and the lints of rlo-xsk, and run its unit tests
	$(step) "Checking the format of rlo-xsk" "1 s" rlo-xsk-fmt $(cargo) fmt --check
	$(step) "Checking the lints of rlo-xsk" "30 s" rlo-xsk-clippy \
		$(cargo) clippy --locked --all-targets -- -D warnings
	$(step) "Testing rlo-xsk" "60 s" rlo-xsk-test $(cargo) test --locked

.PHONY: tools-packages
tools-packages: root
	@scripts/buildroot.sh tools

.PHONY: check-packages
check-packages: root
	@scripts/buildroot.sh check

shell_scripts := .ci/run $(wildcard scripts/*.sh selftests/*.sh selftests/upstream/*.sh labs/*.sh labs/*/*.sh \
	tools/coverage/*.sh) debian/dkms-prepare debian/kernel-postrm debian/rust-loopback-dkms.postrm

.PHONY: check
check: kernel check-tools check-packages ## Check lints (clippy), format (rustfmt), scripts (shellcheck), style (checkpatch), rlo(4) and unsafe.rst
	$(step) "Checking the lints (clippy)" "15 s" clippy \
		$(call build_for,$(release),clippy) CLIPPY=1 modules
	$(step) "Checking the format (rustfmt)" "1 s" rustfmt $(in_root) rustfmt --check \
		--config-path build/linux-$(release)/.rustfmt.toml \
		rust_loopback.rs netdev/netdev.rs samples/rust_sink.rs
	$(step) "Checking the shell scripts (shellcheck)" "20 s" shellcheck \
		$(in_root) shellcheck $(shell_scripts)
	$(step) "Checking the style (checkpatch.pl)" "15 s" checkpatch $(in_root) scripts/checkpatch.sh
	$(step) "Checking the manual page (mandoc, groff)" "1 s" manual $(in_root) scripts/check-manual.sh
	$(step) "Checking the list of unsafe code" "1 s" unsafe $(in_root) $(python) scripts/check-unsafe.py

.PHONY: doc
doc: kernel ## Make HTML of both crates' documentation in build/doc (rustdoc)
	@rm -rf build/doc build/module/netdev/netdev.doc build/module/driver.doc
	$(step) "Documenting both crates (rustdoc)" "30 s" rustdoc \
		$(call build_for,$(release),module) RUSTDOC_OUTPUT=/src/build/doc modules
	@echo "==> See build/doc/netdev/index.html and build/doc/rust_loopback/index.html"

.PHONY: docs-packages
docs-packages: root
	@scripts/buildroot.sh docs

.PHONY: htmldocs
htmldocs: docs-packages ## Make HTML of Documentation/ in build/htmldocs (Sphinx)
	@rm -rf build/htmldocs
	@$(in_root) $(python) tools/bench/chart.py --check
	$(step) "Making HTML of Documentation/ (Sphinx)" "20 s" htmldocs \
		$(in_root) env PYTHONDONTWRITEBYTECODE=1 sphinx-build -n -W --keep-going \
		-d build/htmldocs/.doctrees Documentation build/htmldocs
	@echo "==> See build/htmldocs/index.html"

.PHONY: transcripts
transcripts: modules tools $(test_programs) ## Write what the commands in Documentation/ print into its pages (PAGES=)
	@scripts/transcripts.sh $(PAGES)

.PHONY: chart
chart: docs-packages ## Draw the chart of the README from the tables of Documentation/benchmark.rst
	@$(in_root) $(python) tools/bench/chart.py

.PHONY: shell
shell: modules ## Open a shell in a guest with the module loaded
	@echo "==> A guest with rust_loopback loaded; 'exit' or Ctrl-D ends it"
	@scripts/guest.sh -n shell -t 0 -i sh -c 'insmod build/module/rust_loopback.ko && exec bash'

.PHONY: root
root: ## Make the Debian 13 build root (KERNEL= chooses another release)
	@scripts/buildroot.sh

.PHONY: kernel
kernel: root ## Prepare the kernel tree that the module is built against
	@$(in_root) scripts/prepare-kernel.sh -r "$(release)"

.PHONY: modules-debug modules-uml modules-native
modules-debug: root ## Build a kernel with KASAN, lockdep, ... and the modules for it (20 min)
modules-uml: root ## Build User-mode Linux with KUnit and the modules for it (4 min)
modules-native: root ## Build User-mode Linux for the benchmark and the modules for it (4 min)
# With clippy, which does not see the KUnit suites in 'make check'.
modules-debug modules-uml modules-native: modules-%:
	@$(in_root) scripts/test-kernel.sh $*
	$(step) "Building rust_loopback.ko for the $* kernel" "15 s" module-$*-build \
		$(call build_for,$*,module-$*) $(if $(filter debug,$*),,ARCH=um) CLIPPY=1 modules

.PHONY: clean
clean: ## Remove what was built, keep the build root and the kernel tree
	rm -rf build/module* build/clippy build/coverage build/deb/rust-loopback* build/doc build/htmldocs build/labs build/logs \
		build/selftests build/signing build/stress build/upstream build/xskxceiver \
		build/cargo/target build/rlo-xsk build/xsk_echo

.PHONY: distclean
distclean: ## Remove everything under build/
	$(if $(filter 0,$(shell id -u)),,unshare --map-auto --map-root-user) rm -rf build

.PHONY: help
help: ## List the targets
	@echo "Targets:"
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/  \1|\2/p' Makefile | \
		while IFS='|' read -r target text; do printf '%-18s%s\n' "$$target" "$$text"; done
	@echo "Variables: KDIR= KERNEL= SAMPLES= INSTALL_MOD_PATH= SIGN= ACCEL=kvm|tcg TESTS= MINUTES= SEED= PART= ALL= RENEW="
