# SPDX-License-Identifier: Apache-2.0
# The doors to everything: `make help` lists them. Meson and Ninja do the building.

SHELL := /bin/bash
MESON := /usr/bin/meson
export PATH := /usr/lib/ccache:$(PATH)
DESTDIR ?=
PARTS ?=

.DEFAULT_GOAL := build
.PHONY: help deps build console run demo demo-drill demo-attack test bench bench-policy bench-web bench-db bench-detect bench-ssh bench-ledger bench-watch fuzz lint \
	format install deb clean

help: ## this page
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo "  make test PARTS='unit system'   only these parts (tools/run-tests --list)"

deps: ## install the Debian packages that are missing (root, or sudo)
	@packaging/install-deps

build/build.ninja:
	$(MESON) setup build

build: build/build.ninja ## build the program and nginx's module into build/
	@ninja -C build

console/dist/index.html: $(shell git ls-files console 2>/dev/null)
	@if [ -f console/package.json ]; then tools/build-console; fi

console: console/dist/index.html ## build the web console into console/dist

run: ## the demo office: install what is missing, build, start on loopback; Ctrl-C stops all of it
	@demo/run

demo: run ## the same

demo-drill: ## one operator tries to destroy the orders database; then with two colleagues, and back again
	@demo/drill

demo-attack: ## against the running demo (make run): a phished employee and a hostile operator; watch the wall meanwhile
	@demo/attack

test: ## everything: unit, sanitizers, fuzz, lint, system, browser (about 20 minutes on 2 cores; its end says where they went)
	@tools/run-tests $(PARTS)

bench: ## all measurements against their bounds
	@bench/run

bench-policy: ## decisions, compile and proof
	@bench/run policy

bench-web: ## the web gate against plain nginx and auth_request
	@bench/run web

bench-db: ## the database gate against pgbouncer
	@bench/run db

bench-ssh: ## the SSH gate against ssh -J through a jump sshd
	@bench/run ssh

bench-detect: ## detections over the labelled month: recall, false alarms, events a second
	@bench/run detect

bench-ledger: ## appends with group commit
	@bench/run ledger

bench-watch: ## kill switch over 1,000 live sessions; event to cut; 10,000 mails (detections: make bench-detect)
	@bench/run watch

fuzz: ## each fuzz target for a minute (FUZZ_SECONDS=60)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tools/run-tests fuzz

lint: ## layers, banned calls, sizes, format, static analysis
	@tools/run-tests lint

format: ## clang-format over all C
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build console ## install into DESTDIR (default: this machine)
	@DESTDIR=$(DESTDIR) $(MESON) install -C build --no-rebuild
	@DESTDIR=$(DESTDIR) packaging/install-files

deb: ## the Debian package, into build/deb
	@packaging/build-deb

clean: ## remove what was built; the demo's state in run/ stays
	@rm -rf build build-asan build-fuzz build-deb console/dist console/node_modules
