.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export FLWR_TELEMETRY_ENABLED := 0
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help install demo test test-slow check bench clean

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed  ## create .venv and install the package with its test tools

demo: install  ## DISTREAL against its rivals on the embedded digits: runs, figure and table (3 minutes)
	$(BIN)/distreal-sim demo --out runs/demo

test: install  ## the default tests (12 minutes at most on 2 cores)
	$(BIN)/pytest

test-slow: install  ## the long tests: stock Flower, random kills, larger models
	$(BIN)/pytest -m slow

check: install  ## lint, strict types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

bench: install  ## the benchmarks, other simulators first; tables in benchmarks/results (long)
	$(BIN)/python benchmarks/peers/run.py --docs docs/performance.md
	$(BIN)/python benchmarks/peers/others.py

clean:  ## remove the environment and the demo's runs
	rm -rf $(VENV) runs/demo
