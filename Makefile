# "make" alone lists what there is. Everything works on a fresh clone with Node 20+ and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The Node that tests run on, and how many test files at once: most of them wait, for processes,
# leases and links that are dead.
NODE ?= node
JOBS ?= 3

# How many guests at once: each keeps to one CPU of this machine's.
GUESTS ?= $(shell nproc)

# 1 for a second run, on another Node, of what depends on Node: its modules in C++, streams, TLS,
# HTTP/2, threads, timers, signals and files. What else there is, is done once.
BRIEF ?=

# For tests under a kernel with the nbd driver: 0 for this machine's own rather than a guest's, and
# 1 for what takes too long each time.
GUEST ?=
LONG ?=
export GUEST LONG

DST_QUIC := bin/dst-quic

# What "make run-export" offers, where, and under which name.
FILE ?=
NAME ?= $(if $(FILE),,demo)
LISTEN ?= 127.0.0.1:4433
ALLOW ?=

DEMO_IMAGE := .build/demo.img
DEMO_SIZE := 1G

# Where "make install" puts everything; DESTDIR stands before all of it, for those who package.
DESTDIR ?=
PREFIX ?= /usr/local
LIBDIR = $(PREFIX)/lib/dst-quic
STAGED = $(DESTDIR)$(LIBDIR).new
REPLACED = $(DESTDIR)$(LIBDIR).old
UNITDIR = $(PREFIX)/lib/systemd/system
MANDIR = $(PREFIX)/share/man/man8
DOCDIR = $(PREFIX)/share/doc/dst-quic
BASH_COMPLETIONS = $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(PREFIX)/share/fish/vendor_completions.d
UNITS = dst-quic@.service dst-quic-export@.service

# What is installed: tests install what they were compiled with.
BUILT ?= dist

# A process that waits for the CPU holds more than one that does not, so memory is measured alone.
ALONE = dist/test/e2e/memory.test.js

# From the sources, so that what was compiled from a test that is gone is not run.
ALL_TESTS = $(patsubst %.ts,dist/%.js,$(sort $(shell find test -name '*.test.ts')))

# What another Node cannot change, and costs time:
# - no I/O and no clock but a simulated one: JavaScript, by the language's standard;
# - the same commands over the same transports as in test/e2e, client and export, but through faults
#   that are the network's and the processes', or with other options;
# - what is installed, printed and answered, of which the text is ours.
ONCE = $(addprefix dist/test/, access/% fuzz/% integration/% protocol/% simulation/% transaction/% \
  demo/% faults/% \
  $(addprefix cli/, access.% bad-input.% completions.% config-examples.% disconnect.% duration.% \
    help.% install.% installation.% man-page.% status.%) \
  $(addprefix e2e/, blocked-udp.% fio.% full-disk.% garbage.% key-leftovers.% max-outage.% nbdinfo.% \
    one-writer.% read-only.% resize.% restarted-claim.% restarted-export.% secret.% sparse.% \
    strangers.% wait.% wrong-requests.%))
TESTS = $(filter-out $(if $(BRIEF),$(ONCE)),$(ALL_TESTS))
GUEST_TESTS = $(filter dist/test/guest/%,$(TESTS))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: deps
deps: node_modules/.package-lock.json ## Get the npm packages
# Not "npm ci": that wants the lock file to list the packages of every platform, and some
# registries lack those of platforms that we do not run on. Versions are the lock file's.
node_modules/.package-lock.json: package.json package-lock.json
	npm install --no-save
	@touch $@

.PHONY: build
build: deps ## Compile into dist/
	@npm run --silent build

.PHONY: install
install: build install-built ## Install into PREFIX=/usr/local, below DESTDIR=… if need be

.PHONY: install-built
install-built: ## The same without a build, so that no file in here is root's
# Others are to read it all, whatever umask root has.
	@umask 022 && $(MAKE) --no-print-directory install-program install-beside

# What is installed stays until all of the new is there: a device may be served from it.
.PHONY: install-program
install-program:
	@rm -rf '$(STAGED)' '$(REPLACED)'
	@install -d '$(STAGED)/bin' '$(STAGED)/dist' '$(DESTDIR)$(PREFIX)/bin'
	@install -m 755 bin/dst-quic '$(STAGED)/bin/'
	@install -m 644 package.json '$(STAGED)/'
	@cp -R '$(BUILT)/src' '$(BUILT)/wasm' '$(STAGED)/dist/'
# Those of the checkout, as tested; without the developers' ones, and without links to programs.
	@npm ls --silent --omit=dev --all --parseable | sed -n 's|^.*/node_modules/|node_modules/|p' \
	  | sort -u | tar -c --exclude=.bin --exclude='*.darwin-*.node' -T - \
	  | tar -x --no-same-owner -C '$(STAGED)'
	@chmod -R go+rX '$(STAGED)'
	@[ ! -e '$(DESTDIR)$(LIBDIR)' ] || mv -T '$(DESTDIR)$(LIBDIR)' '$(REPLACED)'
	@mv -T '$(STAGED)' '$(DESTDIR)$(LIBDIR)'
	@ln -sfn ../lib/dst-quic/bin/dst-quic '$(DESTDIR)$(PREFIX)/bin/dst-quic'
	@rm -rf '$(REPLACED)'

.PHONY: install-beside
install-beside: uninstall-beside
	@install -d '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(DOCDIR)/examples'
	@for unit in $(UNITS); do \
	  sed 's|/usr/local/bin/|$(PREFIX)/bin/|' "contrib/systemd/$$unit" \
	    > "$(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	@install -m 644 README.md docs/*.md '$(DESTDIR)$(DOCDIR)/'
	@install -m 644 examples/*.yaml '$(DESTDIR)$(DOCDIR)/examples/'
	@$(NODE) '$(BUILT)/src/cli/generate.js' man '$(DESTDIR)$(MANDIR)' \
	  bash-completion '$(DESTDIR)$(BASH_COMPLETIONS)' \
	  zsh-completion '$(DESTDIR)$(ZSH_COMPLETIONS)' \
	  fish-completion '$(DESTDIR)$(FISH_COMPLETIONS)'

.PHONY: uninstall
uninstall: uninstall-beside ## Take away what "make install" put there (configuration stays)
	@rm -rf '$(DESTDIR)$(LIBDIR)' '$(STAGED)' '$(REPLACED)' '$(DESTDIR)$(PREFIX)/bin/dst-quic'

.PHONY: uninstall-beside
uninstall-beside:
	@rm -rf '$(DESTDIR)$(DOCDIR)'
	@rm -f $(UNITS:%='$(DESTDIR)$(UNITDIR)/%') \
	  '$(DESTDIR)$(MANDIR)'/dst-quic.8 '$(DESTDIR)$(MANDIR)'/dst-quic-*.8 \
	  '$(DESTDIR)$(BASH_COMPLETIONS)/dst-quic' '$(DESTDIR)$(ZSH_COMPLETIONS)/_dst-quic' \
	  '$(DESTDIR)$(FISH_COMPLETIONS)/dst-quic.fish'

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
	@BRIEF='$(BRIEF)' $(NODE) --test --test-concurrency=$(GUESTS) $(GUEST_TESTS)
	@BRIEF='$(BRIEF)' $(NODE) --test --test-concurrency=$(JOBS) \
	  $(filter-out $(ALONE) $(GUEST_TESTS),$(TESTS))

.PHONY: guest
guest: build tools ## Test /dev/nbdN under a real kernel (LONG=1 for longer, GUEST=0 for this machine's)
	@$(NODE) --test --test-concurrency=$(GUESTS) $(GUEST_TESTS)

.PHONY: simulate
simulate: build ## Look for lost data in simulated time, for SECONDS=30; SEED=… replays one
	@SECONDS='$(or $(SECONDS),30)' $(NODE) dist/test/simulation/run.js

.PHONY: fuzz
fuzz: build ## Send mutated frames to either end, for SECONDS=60; SEED=… [TARGET=…] replays one
	@SECONDS='$(or $(SECONDS),60)' $(NODE) --expose-gc dist/test/fuzz/run.js

.PHONY: bench
bench: build tools ## Measure beside our peers (QUICK=1 in 2 minutes; CELL=… CONTENDERS=… PARTS=… ROUNDS=n)
	@$(NODE) dist/test/bench/bench.js

.PHONY: bench-wan
bench-wan: build tools ## The same over emulated wide-area links; takes 20 minutes, as root
	@PARTS=wide-area $(NODE) dist/test/bench/bench.js

.PHONY: bench-growth
bench-growth: build tools ## Watch memory and speed as work grows (QUICK=1, ONLY=sessions|size|transactions)
	@$(NODE) dist/test/bench/growth.js

.PHONY: bench-hash
bench-hash: build ## Measure checksums, in place and on threads
	@$(NODE) dist/test/bench/hash-bench.js

.PHONY: profile
profile: build tools ## Show where the time of a load goes: CASE=write-4k-32 (without CASE, list them)
	@SECONDS='$(or $(SECONDS),10)' $(NODE) dist/test/profile/profile.js $(CASE)

.PHONY: faults
faults: build tools ## Break everything under a load, and write docs/RELIABILITY.md (ONLY=… one; LANES=n)
	@node dist/test/faults/run.js

.PHONY: lint
lint: deps ## Check style and types
	@npm run --silent lint

.PHONY: format
format: deps ## Format, and fix what can be fixed
	@npm run --silent format

.PHONY: clean
clean: ## Remove what was built; certificates and node_modules stay
	rm -rf dist .build bench-results profile-results
