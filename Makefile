# One command per habit; continuous integration runs the same ones (.ci/run).

PYTHON ?= python3
VENV ?= .venv
DEMO_HOME ?= ./demo
UV ?= uv
PYTEST_ARGS ?=
# Many tests wait for services more than they compute.
TEST_WORKERS ?= --numprocesses=auto --maxprocesses=8 --dist=worksteal
BENCH_ARGS ?=

BIN := $(VENV)/bin
RUNTIME_STAMP := $(VENV)/.installed-runtime
DEV_STAMP := $(VENV)/.installed-dev
# Installs the locks twice as fast as the pip that Python 3.11 brings; any newer pip than that will do.
PIP_VERSION := 26.3
# Not in the locks: its builds differ in name and hash from index to index.
TORCH_VERSION := 2.13.0
# Microsoft's emulator of Azure Blob Storage: the newest release that Node.js 20 runs.
AZURITE_VERSION := 3.35.0
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The locks name every package and its hashes: pip has nothing to resolve and nothing to build.
# Byte code is left to the first import, which needs only a part of it.
PIP_INSTALL := $(PIP) install -qq --no-compile --no-deps
PIP_LOCKED := $(PIP_INSTALL) --require-hashes --only-binary :all:
UV_COMPILE := $(UV) pip compile --quiet --universal --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

# Without byte code on disk every process of a Dagster run would compile its imports again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-azurite install-dev install-engines install-torch demo ui test bench lint format types check lock clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nVariables: PYTHON=%s VENV=%s DEMO_HOME=%s PYTEST_ARGS=%s BENCH_ARGS=%s\n' \
		'$(PYTHON)' '$(VENV)' '$(DEMO_HOME)' '$(PYTEST_ARGS)' '$(BENCH_ARGS)'

install: $(RUNTIME_STAMP) ## Install cp-assets and what it runs with (into .venv)

install-dev: $(DEV_STAMP) ## The same, with what tests, lint and types need

install-torch: $(DEV_STAMP) ## Add PyTorch, which is optional: with it `make test` tries its dataset too
	$(PIP) install -qq torch==$(TORCH_VERSION)

install-azurite: $(DEV_STAMP) ## Add the Azure emulator, which the tests of az:// need (takes npm)
	npm install --global --prefix $(VENV) --ignore-scripts --no-audit --no-fund --loglevel=error \
		azurite@$(AZURITE_VERSION)

# Engines that do not fit beside ours, each environment from its lock; Spark only where Java is.
ENGINES := $(VENV)/engines
install-engines: $(ENGINES)/readers/.installed $(if $(shell command -v java),$(ENGINES)/spark/.installed) ## Add engines that tests read Iceberg with: DuckDB 1.5, DataFusion, Spark (1 GB)

$(ENGINES)/%/.installed: cp_assets_tests/engines/locks/%.lock | $(DEV_STAMP)
	$(BIN)/python -m venv --clear $(@D)
	-$(@D)/bin/python -m pip --disable-pip-version-check install -qq --no-compile pip==$(PIP_VERSION)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq --no-compile --no-deps -r $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'cp-assets needs Python 3.11 or newer; choose one with: make PYTHON=python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	-$(PIP_INSTALL) pip==$(PIP_VERSION)

$(RUNTIME_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@echo 'Installing the locked packages (about 1 GB; a few minutes the first time) ...'
	$(PIP_LOCKED) -r requirements.lock
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUNTIME_STAMP)
	$(PIP_LOCKED) -r requirements-dev.lock
	@touch $@

demo: $(RUNTIME_STAMP) ## Fill a warehouse from sample plates (into ./demo)
	$(BIN)/cp-assets demo $(DEMO_HOME)

ui: $(RUNTIME_STAMP) ## Open Dagster on the demo's warehouse (runs the demo first if need be)
	@test -d $(DEMO_HOME)/dagster || $(MAKE) demo
	$(BIN)/cp-assets ui --home $(DEMO_HOME)

test: $(DEV_STAMP) ## Run the tests; choose some with PYTEST_ARGS='-k crops'
	$(BIN)/python -m pytest $(TEST_WORKERS) $(PYTEST_ARGS)

bench: $(DEV_STAMP) ## Measure against peers and floors, into benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

lint: $(DEV_STAMP) ## Check style, format, imports between the floors, and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(DEV_STAMP) ## Repair what ruff can repair by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV_STAMP) ## Check types
	$(BIN)/mypy

check: lint types test ## All of lint, types and test

# LOCK_UPGRADE= keeps what is locked and adds only what is new in pyproject.toml.
LOCK_UPGRADE ?= --upgrade

lock: ## Resolve the dependencies again into all locks (needs uv)
	$(UV_COMPILE) $(LOCK_UPGRADE) --group build --group test --group dev --extra production pyproject.toml --output-file requirements-dev.lock
	$(UV_COMPILE) $(LOCK_UPGRADE) --group build --constraints requirements-dev.lock pyproject.toml --output-file requirements.lock
	$(UV_COMPILE) $(LOCK_UPGRADE) --group build --extra production --constraints requirements-dev.lock pyproject.toml --output-file requirements-production.lock

clean: ## Remove the environment, caches and built files (not the demo)
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find cp_assets cp_assets_tests -name __pycache__ -type d -prune -exec rm -rf {} +
