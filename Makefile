# Every command of this project. Each sees for itself that what it needs is there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build demo demo-watch test check bench instructions soak reproduce setup release install uninstall clean

# Cargo's own rule for where things are built.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
CARGO := cargo --locked
# One set of packages for every build, so that nothing is compiled twice.
BUILD := $(CARGO) build --workspace --bins

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## Build the programs into target/debug
	@.ci/setup build
	$(BUILD)

demo: ## Run everything on this machine until Ctrl-C; ARGS="--help" for ports
	@.ci/setup build
	@echo "Building a debug build: some minutes the first time, seconds after that."
	@$(BUILD)
	@echo "Starting two regions, the proxy and the viewer:"
	@exec $(TARGET)/debug/aorta-demo $(ARGS)

demo-watch: ## The same, watched by Prometheus with the alert rules
	@.ci/setup watch
	@$(MAKE) --no-print-directory demo ARGS="--watch $(ARGS)"

test: ## Run all tests, with the real programs
	@.ci/setup test
	$(BUILD)
	$(CARGO) test --workspace

check: ## Format, lints, docs, licences, dependencies, shipped files
	@.ci/setup check
	@.ci/tools $(TOOLS)
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	@# These pages are for those who work on the code, so a link to something private leads somewhere.
	RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --document-private-items
	shellcheck .ci/run .ci/setup .ci/shipped .ci/fleet .ci/tools .ci/envoy
	$(TOOLS)/bin/cargo-shear
	$(TOOLS)/bin/cargo-deny --locked --log-level error check licenses bans sources
	@if timeout 60 $(TOOLS)/bin/cargo-deny fetch db >/dev/null 2>&1; \
	    then $(TOOLS)/bin/cargo-deny --locked check --disable-fetch advisories; \
	    else echo "advisories: not checked, their database cannot be reached from here"; fi
	$(BUILD)
	.ci/shipped $(TARGET)/debug
	.ci/fleet $(TOOLS)

bench: ## Measure Aorta beside NGINX, HAProxy, Envoy and Caddy; ARGS="--help" for parts of it
	@.ci/setup bench
	@.ci/envoy $(TOOLS)/envoy
	$(BUILD) --release
	@AORTA_BENCH_TOOLS=$(TOOLS)/envoy/bin exec $(TARGET)/release/aorta-bench $(ARGS)

instructions: ## Count the instructions of a request beside the last release; ARGS=--renew keeps them
	@.ci/setup count
	$(BUILD)
	$(CARGO) build --profile counted --package aorta-proxy
	@AORTA_BIN_DIR=$(TARGET)/counted exec $(TARGET)/debug/aorta-bench --only instructions --output $(TARGET)/instructions $(ARGS)

soak: ## Reload, replace and restart two proxies under load, and count every request
	@.ci/setup build
	@# A debug build: its checks of overflow and of the code's own claims stay on.
	$(BUILD)
	@$(TARGET)/debug/aorta-soak $(ARGS)
	@# And a fleet in virtual time, as large as it is promised for.
	AORTA_SIM_PROXIES=1000 $(CARGO) test --package aorta-core --test simulation fleet

reproduce: ## Repeat the dissertation's experiments
	@.ci/setup build
	$(BUILD) --release
	@exec $(TARGET)/release/aorta-reproduce $(ARGS)

release: ## Build the programs as they are installed, into target/release
	@.ci/setup build
	$(BUILD) --release

# What is installed, from where: `make release` first, or BIN=target/debug after `make build`.
BIN ?= $(TARGET)/release
PREFIX ?= /usr
PROGRAMS := aorta-proxy aorta-viewer aorta-fhir
UNITS := aorta-proxy.service aorta-viewer.service aorta-fhir.service
SETTINGS := aorta.yaml viewer.yaml
DOCS := README.md CHANGELOG.md SECURITY.md LICENSE
bindir := $(DESTDIR)$(PREFIX)/bin
unitdir := $(DESTDIR)/usr/lib/systemd/system
docdir := $(DESTDIR)$(PREFIX)/share/doc/aorta
etcdir := $(DESTDIR)/etc/aorta

install: ## Install programs, units and configuration below DESTDIR, PREFIX=/usr
	@for p in $(PROGRAMS); do test -x $(BIN)/$$p || { echo "$(BIN)/$$p is missing: make release"; exit 1; }; done
	install -D -m 0755 -t $(bindir) $(addprefix $(BIN)/,$(PROGRAMS))
	install -D -m 0644 -t $(unitdir) $(addprefix systemd/,$(UNITS))
	sed -i 's|=/usr/bin/|=$(PREFIX)/bin/|; s|/usr/share/doc|$(PREFIX)/share/doc|' $(addprefix $(unitdir)/,$(UNITS))
	install -D -m 0644 -t $(docdir) $(DOCS)
	install -D -m 0644 systemd/README.md $(docdir)/systemd.md
	install -D -m 0644 -t $(docdir)/examples config/examples/*.yaml
	install -D -m 0644 -t $(docdir)/scenarios config/scenarios/*
	install -D -m 0644 -t $(docdir) config/reference.md config/viewer-reference.md
	for d in prometheus grafana kubernetes; do (cd config && find $$d -type f -exec install -D -m 0644 {} $(abspath $(docdir))/{} \;); done
	@for f in $(SETTINGS); do \
	    if test -e $(etcdir)/$$f; then echo "$(etcdir)/$$f is kept"; \
	    else install -v -D -m 0644 config/$$f $(etcdir)/$$f; fi; done

uninstall: ## Remove what install put there, but the configuration
	rm -f $(addprefix $(bindir)/,$(PROGRAMS)) $(addprefix $(unitdir)/,$(UNITS))
	rm -rf $(docdir)
	@echo "$(etcdir) is kept"

setup: ## Install the Debian packages that test and check need
	@.ci/setup test
	@.ci/setup check

clean: ## Remove everything that was built
	cargo clean
