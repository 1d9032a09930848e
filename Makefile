.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export FLWR_TELEMETRY_ENABLED := 0
export RAY_USAGE_STATS_ENABLED := 0

N_TEST_PROCESSES ?= 2
PYTEST := $(BIN)/pytest -n $(N_TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder

# The parts of the slow tests: the files and folders of each, in tests/; `rest` is what no other part has.
SLOW_runs := runs/test_failures.py runs/test_identity.py runs/test_cluster.py
SLOW_kills := runs/test_random_kills.py
SLOW_resume := runs/test_resume.py
SLOW_many_kills := runs/test_many_kills.py
SLOW_matrix := runs/test_matrix.py
SLOW_flower := grids/flower
SLOW_sweeps := sweep
SLOW_searches := search
SLOW_networks := thinning models methods
SLOW_mutants := tools
SLOW_NAMED := runs kills resume many_kills matrix flower sweeps searches networks mutants
SLOW_PARTS := $(SLOW_NAMED) rest properties

.PHONY: help install demo test test-slow $(SLOW_PARTS:%=test-slow-%) check bench fronts clean

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed  ## create .venv and install the package with its test tools

demo: install  ## DISTREAL against its rivals on the embedded digits: runs, figure and table (3 minutes)
	$(BIN)/distreal-sim demo --out runs/demo

test: install  ## the default tests (minutes)
	$(PYTEST)

test-slow: $(SLOW_PARTS:%=test-slow-%)  ## the long tests; a part alone: test-slow-PART (see SLOW_PARTS)

$(SLOW_NAMED:%=test-slow-%): test-slow-%: install
	$(PYTEST) -m slow $(addprefix tests/,$(SLOW_$*))

test-slow-rest: install
	$(PYTEST) -m slow $(foreach part,$(SLOW_NAMED),$(addprefix --ignore=tests/,$(SLOW_$(part))))

test-slow-properties: install  # 600 examples each, 50 in the default tests
	$(PYTEST) -m hypothesis --hypothesis-profile=long

check: install  ## lint, strict types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

bench: install  ## the benchmarks, other simulators first; tables in benchmarks/results (long)
	$(BIN)/python benchmarks/peers/run.py --docs lab/performance.md
	$(BIN)/python benchmarks/peers/others.py

data_of = $(firstword $(subst _, ,$(1)))
named = $(patsubst $(data_of)_%,%,$(1))-$(data_of)
bundled = src/distreal_sim/fronts/$(named).json

fronts: $(patsubst configs/search/%.yaml,front-%,$(wildcard configs/search/*.yaml))  ## search the bundled fronts again (hours)

front-%: install  # one of them, by the name of its config, DATASET_MODEL; resumes a search that was cut short
	$(BIN)/distreal-sim search configs/search/$*.yaml --out runs/fronts/$* --resume
	cp runs/fronts/$*/front.json $(call bundled,$*)

SNAPSHOTS := [0, 300, 2000]
worth-digits_small_cnn: SNAPSHOTS := [0, 60, 400]
worth-mnist_small_cnn: SNAPSHOTS := [0, 100, 1000]
worth-mnist_femnist_cnn: SNAPSHOTS := [0, 40, 200]
worth-%: install  # measures the worth of one of them again, from an early, a middle and a late snapshot
	$(BIN)/distreal-sim search configs/search/$*.yaml front.bundled=$(call named,$*) score=central 'snapshots=$(SNAPSHOTS)' \
		--out runs/worth/$* --resume
	cp runs/worth/$*/front.json $(call bundled,$*)

clean:  ## remove the environment and the demo's runs
	rm -rf $(VENV) runs/demo
