# Everything a newcomer runs. Each target makes what it needs in .venv/ and target/, and only what is out of date.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint fuzz bench instructions instructions-baseline profile readme-report lock clean

# The capture that `make demo` shows and the README's report is made from.
DEMO ?= fixtures/proxy-http10-reuse/capture.pcap
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 40
FUZZ_SEED ?= 1

venv := .venv
bin := $(venv)/bin
# rustup puts cargo here without touching the PATH of a shell that is already open.
export PATH := $(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What a machine must bring. `=` and not `:=`: looked for only when something has to be built.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
rust_least = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rust_found = $(shell PATH='$(PATH)' cargo --version 2>/dev/null | cut -d' ' -f2)
rust_older = $(shell printf '%s\n' $(rust_least) $(rust_found) | sort -V | head -n 1)
need_python = $(if $(shell '$(PYTHON)' --version 2>/dev/null),,$(error \
	pcapwatch needs Python 3.11 or newer with venv: `apt-get install python3 python3-venv`, or `make PYTHON=/path/to/python3`))
need_rust = $(if $(rust_found),,$(error pcapwatch needs Rust $(rust_least) or newer, and there is no cargo on PATH: https://rustup.rs)) \
	$(if $(filter $(rust_least),$(rust_older)),,$(error pcapwatch needs Rust $(rust_least) or newer, and cargo is $(rust_found): `rustup update`)) \
	$(if $(shell command -v cc),,$(error pcapwatch needs a C compiler for zstd and linking, and there is no cc on PATH: `apt-get install gcc libc6-dev`))

rust_sources := Cargo.toml Cargo.lock $(shell find engine/src bindings/src engine/Cargo.toml bindings/Cargo.toml -type f)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

demo: $(venv)/.engine ## the report of a small capture that is in this repository
	@$(bin)/pcapwatch analyze $(DEMO)

test: $(venv)/.dev $(venv)/.engine ## every test, the engine's own and the slow ones included
	cargo test --locked -q
	$(bin)/python -m pytest $(PYTEST_ARGS)

lint: $(venv)/.dev $(venv)/.engine ## ruff, mypy, stubtest, cargo fmt, clippy
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/python -m mypy
	$(bin)/python -m mypy.stubtest pcapwatch._engine
	cargo fmt --all --check
	PYO3_PYTHON=$(abspath $(bin)/python) cargo clippy --workspace --all-targets --locked -- -D warnings

fuzz: ## mutated captures against every reader and the engine (FUZZ_SECONDS=3600 FUZZ_SEED=2); fuzz/README.md
	$(need_rust)cargo run --release --locked -q --no-default-features --manifest-path fuzz/Cargo.toml --bin mutate -- \
		--seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) fixtures $(wildcard ../shared/captures)

bench: $(venv)/.engine ## speed and memory beside the neighbours; writes bench/RESULTS.md (BENCH_ARGS="--help" lists options)
	cargo build --release --locked -q -p pcapwatch-engine --examples
	@$(bin)/python -m compileall -q pcapwatch
	$(bin)/python -m bench $(BENCH_ARGS)

# Only the two examples it runs, and the system's Python: nothing of it needs the environment.
count := cargo build --release --locked -q -p pcapwatch-engine --example engine_rate --example generate && $(PYTHON) -m bench.instructions

instructions: ## instructions per packet by valgrind; fails if they grew by over 10 % on bench/instructions.json
	$(need_rust)$(need_python)@$(count)

instructions-baseline: ## make today's count the baseline: on purpose, and with a reason in the commit
	$(need_rust)$(need_python)@$(count) --write

profile: ## instructions per packet by stage of the engine; writes bench/PROFILE.md
	$(need_rust)$(need_python)@$(subst bench.instructions,bench.profile,$(count))

readme-report: $(venv)/.engine ## put the real output of `make demo` into README.md
	$(bin)/python .ci/readme_report.py $(DEMO)

lock: ## pin every Python dependency again, with hashes, from pyproject.toml
	$(need_python)$(PYTHON) .ci/lock.py

clean: ## remove the environment and everything built
	rm -rf $(venv) target build dist bench/data pcapwatch/_engine*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(venv)/.run: requirements.lock
	$(need_python)$(need_rust)@test -x $(bin)/python || $(PYTHON) -m venv $(venv)
	@echo "installing what pcapwatch runs on into $(venv)"
	@$(bin)/python -m pip install -q --require-hashes -r requirements.lock
	@touch $@

$(venv)/.dev: requirements-dev.lock $(venv)/.run
	@echo "installing what its tests and linters need into $(venv)"
	@$(bin)/python -m pip install -q --require-hashes -r requirements-dev.lock
	@touch $@

$(venv)/.engine: $(rust_sources) pyproject.toml $(venv)/.run
	$(need_rust)@echo "building the engine (a minute the first time)"
	@touch $(venv)/.begun
	@VIRTUAL_ENV=$(abspath $(venv)) $(bin)/maturin develop --release --locked >$(venv)/build.log 2>&1 || { cat $(venv)/build.log; exit 1; }
	@# As pip does for a wheel: an editable package is else compiled at every start where PYTHONDONTWRITEBYTECODE is set.
	@$(bin)/python -m compileall -q pcapwatch
	@# What was edited meanwhile is newer than this, and built the next time.
	@touch -r $(venv)/.begun $@
