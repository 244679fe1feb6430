# "make" alone lists what there is. Everything works on a fresh clone with Node 20+ and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The Node that tests run on, and how many test files at once: most of them wait, for processes,
# leases and links that are dead.
NODE ?= node
JOBS ?= 3

# 1 for a second run, on another Node: what does not depend on Node is done once.
BRIEF ?=

DST_QUIC := bin/dst-quic

# What "make run-export" offers, where, and under which name.
FILE ?=
NAME ?= $(if $(FILE),,demo)
LISTEN ?= 127.0.0.1:4433
ALLOW ?=

DEMO_IMAGE := .build/demo.img
DEMO_SIZE := 1G

# A process that waits for the CPU holds more than one that does not, so memory is measured alone.
ALONE = dist/test/e2e/memory.test.js

# From the sources, so that what was compiled from a test that is gone is not run.
TESTS = $(patsubst %.ts,dist/%.js,$(sort $(shell find test -name '*.test.ts')))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: node_modules/.package-lock.json ## Install the npm packages
# Not "npm ci": that wants the lock file to list the packages of every platform, and some
# registries lack those of platforms that we do not run on. Versions are the lock file's.
node_modules/.package-lock.json: package.json package-lock.json
	npm install --no-save
	@touch $@

.PHONY: build
build: install ## Compile into dist/
	@npm run --silent build

.PHONY: certs
certs: build ## Make development certificates in certs/ (the CA is kept)
	@$(DST_QUIC) cert --dir certs

certs/server.pem: | build
	@$(DST_QUIC) cert --dir certs

.PHONY: run-export
run-export: build | certs/server.pem ## Export a 1 GiB demo image, or FILE=… [NAME=…] [LISTEN=HOST:PORT ALLOW=CIDR]
	@mkdir -p .build
	@exec $(DST_QUIC) export --log-format text --listen '$(LISTEN)' \
	  $(if $(ALLOW),--allow '$(ALLOW)') \
	  --cert certs/server.pem --key certs/server-key.pem \
	  $(if $(NAME),--name '$(NAME)') \
	  $(if $(FILE),-- '$(FILE)',--size $(DEMO_SIZE) -- $(DEMO_IMAGE))

.PHONY: demo
demo: build tools ## Copy a file system onto an export and back, compare, and say how fast
	@node dist/test/demo/demo.js

.PHONY: tools
tools: ## Install the programs that tests and demo use (as root, on Debian and its like)
	@test/support/install-tools.sh

.PHONY: test
test: build tools ## Run every test
	@$(NODE) --test $(ALONE)
	@BRIEF='$(BRIEF)' $(NODE) --test --test-concurrency=$(JOBS) $(filter-out $(ALONE),$(TESTS))

.PHONY: simulate
simulate: build ## Look for lost data in simulated time, for SECONDS=30; SEED=… replays one
	@SECONDS='$(or $(SECONDS),30)' $(NODE) dist/test/simulation/run.js

.PHONY: fuzz
fuzz: build ## Send mutated frames to either end, for SECONDS=60; SEED=… [TARGET=…] replays one
	@SECONDS='$(or $(SECONDS),60)' $(NODE) --expose-gc dist/test/fuzz/run.js

.PHONY: bench
bench: build tools ## Measure beside our peers
	@node dist/test/bench/bench.js

.PHONY: bench-hash
bench-hash: build ## Measure checksums, in place and on threads
	@$(NODE) dist/test/bench/hash-bench.js

.PHONY: faults
faults: build tools ## Break everything under a load, and write docs/RELIABILITY.md (ONLY=… one)
	@node dist/test/faults/run.js

.PHONY: lint
lint: install ## Check style and types
	@npm run --silent lint

.PHONY: format
format: install ## Format, and fix what can be fixed
	@npm run --silent format

.PHONY: clean
clean: ## Remove what was built; certificates and node_modules stay
	rm -rf dist .build bench-results
