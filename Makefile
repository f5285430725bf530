# SPDX-License-Identifier: Apache-2.0
# For people: every target is a short spelling of CMake presets, ctest labels and tools/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

JOBS ?= $(shell nproc)
PORT ?= 6379
SECONDS ?= 60
ROUNDS ?= 100
MINUTES ?= 30
COMMANDS ?= 200000

# Of `make install`.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
SERVER ?= build/release/ferric-server
CHECKER ?= $(dir $(SERVER))ferric-check

ifneq ($(shell command -v ccache),)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
endif

# $(call build,PRESET,TARGETS)
define build
	cmake --preset $(1) >/dev/null
	cmake --build --preset $(1) -j $(JOBS) $(addprefix --target ,$(2))
endef

tests = ctest --preset $(1) -j $(JOBS)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## server and tool as they are shipped: build/release/ferric-server, ferric-check
	tools/install build
	$(call build,release,ferric-server ferric-check)

.PHONY: run
run: build ## a server on 127.0.0.1:PORT (6379) with its data in ./data; ARGS="..." is passed on
	mkdir -p data
	build/release/ferric-server --bind 127.0.0.1 --port $(PORT) --dir data $(ARGS)

.PHONY: test
test: ## every test on one build: unit, model, fuzz corpora, crash, e2e, beside Valkey
	tools/install build test peers
	$(call build,dev)
	$(call tests,dev) -LE 'check|soak'

.PHONY: check
check: check-code check-asan check-tsan check-fuzz ## everything else that must hold before a merge

.PHONY: check-code
check-code: ## layers, symbols, style and clang-tidy
	tools/install build test
	$(call build,dev)
	$(call tests,dev) -L check
	cmake --preset fuzz >/dev/null
	tools/tidy --build build/fuzz --jobs $(JOBS)

.PHONY: check-asan check-tsan
check-asan check-tsan: check-%: ## the tests under a sanitizer
	tools/install build test
	$(call build,$*)
	$(call tests,$*) -LE 'check|soak'

.PHONY: check-fuzz
check-fuzz: ## ten seconds of fuzzing for every decoder
	$(MAKE) --no-print-directory fuzz SECONDS=10

.PHONY: fuzz
fuzz: ## SECONDS=60 of fuzzing for every decoder
	tools/install build test
	FUZZ_SECONDS=$(SECONDS) $(call build,fuzz)
	$(call tests,fuzz) -L fuzz

.PHONY: crash
crash: ## kill -9 under load, ROUNDS=100 times; SEED=... replays, PRESET=asan takes another build
	tools/install build test
	$(call build,$(or $(PRESET),dev),ferric-server crashpoint)
	FERRIC_SERVER=build/$(or $(PRESET),dev)/ferric-server ROUNDS=$(ROUNDS) test/crash/rounds.py

.PHONY: endurance
endurance: ## MINUTES=30 of overwriting with merges on: disk, memory and latency must stay bounded
	tools/install build test
	$(call build,release,ferric-server)
	FERRIC_SERVER=build/release/ferric-server LOAD_SECONDS=$$(($(MINUTES) * 60)) STRICT=1 \
	    test/crash/endurance.py

.PHONY: differential
differential: ## COMMANDS=200000 random ones for Ferric and for Valkey; SEED=... replays
	tools/install build test peers
	$(call build,dev,ferric-server)
	test/differential/differential.py --commands $(COMMANDS) $(ARGS)

.PHONY: conformance
conformance: build ## Redis's own TCL suite; UNITS="unit/type/string ...", SUITE=<folder>, ARGS="..."
	$(if $(SUITE),,tools/install suite)
	tools/conformance.py $(if $(SUITE),--suite $(SUITE)) $(ARGS) $(UNITS)

.PHONY: bench
bench: build ## Ferric beside Valkey and Redis in one run; ARGS="..." is passed on
	tools/install peers
	bench/run $(ARGS)

.PHONY: soak
soak: ## the long tests: hours of load and crashes
	tools/install build test
	$(call build,release)
	$(call tests,release) -L soak

.PHONY: install
install: $(SERVER) ## programs, manual pages, unit and configuration to DESTDIR and PREFIX=/usr/local
	install -D -m 755 $(SERVER) "$(DESTDIR)$(BINDIR)/ferric-server"
	install -D -m 755 $(CHECKER) "$(DESTDIR)$(BINDIR)/ferric-check"
	install -D -m 644 docs/ferric-server.1 "$(DESTDIR)$(MANDIR)/man1/ferric-server.1"
	install -D -m 644 docs/ferric-check.1 "$(DESTDIR)$(MANDIR)/man1/ferric-check.1"
	install -d "$(DESTDIR)$(UNITDIR)"
	sed -e 's|@BINDIR@|$(BINDIR)|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' \
	    docs/ferric-server.service >"$(DESTDIR)$(UNITDIR)/ferric-server.service"
	@# What somebody has written stays.
	[ -e "$(DESTDIR)$(SYSCONFDIR)/ferric/ferric.conf" ] || \
	    install -D -m 644 docs/ferric.conf "$(DESTDIR)$(SYSCONFDIR)/ferric/ferric.conf"

.PHONY: uninstall
uninstall: ## takes that away again, but for a configuration that was changed
	rm -f "$(DESTDIR)$(BINDIR)/ferric-server" "$(DESTDIR)$(MANDIR)/man1/ferric-server.1" \
	    "$(DESTDIR)$(BINDIR)/ferric-check" "$(DESTDIR)$(MANDIR)/man1/ferric-check.1" \
	    "$(DESTDIR)$(UNITDIR)/ferric-server.service"
	! cmp -s docs/ferric.conf "$(DESTDIR)$(SYSCONFDIR)/ferric/ferric.conf" || \
	    rm "$(DESTDIR)$(SYSCONFDIR)/ferric/ferric.conf"

build/release/ferric-server: build

.PHONY: documents
documents: ## writes the lists of directives in docs/ and README.md anew
	tools/install build
	$(call build,dev,ferric-server)
	tools/documents

.PHONY: format
format: ## lays out every C file by .clang-format
	tools/install test
	find src test bench -name '*.[ch]' -print0 2>/dev/null | xargs -0 clang-format -i

.PHONY: clean
clean: ## removes everything that was built
	rm -rf build
