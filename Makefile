# The short commands. `make` alone lists them. Everything happens in ./.venv and ./workspace; both can be deleted at any time.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test campaigns ui format clean

PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
WORKSPACE ?= $(CURDIR)/workspace
PYTEST_WORKERS ?= 2
STAMP := .venv/.installed
PORT ?= 3000
# Prints the folder that Dagster keeps inside a home, making it when it is new (telemetry off).
DAGSTER_HOME_OF := import sys, pathlib; from geo_pipeline.orchestration.dagster_home import prepare_dagster_home; \
	from geo_pipeline.home.home import Home; print(prepare_dagster_home(Home(pathlib.Path(sys.argv[1]))).resolve())

# Nothing is fetched and nothing is reported while tests and the demo run.
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export RAY_USAGE_STATS_ENABLED := 0

help: ## list the commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv with the pinned dependencies (again only when the pins change)

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "found: $$($(PYTHON) --version 2>&1). expected: Python 3.11 or newer. do next: make install PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/pip || "$(PYTHON)" -m venv .venv
	@echo "installing the pinned dependencies into .venv (several minutes the first time)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## the whole lineage on the embedded sample planet, ends in a benchmark report
	@$(BIN)/geo-pipeline run --profile sample --home "$(WORKSPACE)"

test: $(STAMP) ## format, lint, types, import direction, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadgroup -q

campaigns: $(STAMP) ## the lowest versions; kills, damages and doubles homes; loses one of two nodes; rehearses the profile paper (short)
	$(BIN)/python -m geo_pipeline_tests.campaigns.floors
	$(BIN)/python -m geo_pipeline_tests.faults.campaign --short
	$(BIN)/python -m geo_pipeline_tests.campaigns.two_nodes --short
	$(BIN)/python -m geo_pipeline_tests.campaigns.rehearsal --short

ui: $(STAMP) ## the Dagster UI on 127.0.0.1:3000, on the same home as the demo
	@export GEO_PIPELINE_HOME="$(WORKSPACE)"; \
	export DAGSTER_HOME="$${DAGSTER_HOME:-$$($(BIN)/python -c '$(DAGSTER_HOME_OF)' "$(WORKSPACE)")}"; \
	$(BIN)/geo-pipeline observe; \
	exec $(BIN)/dagster dev -h 127.0.0.1 -p $(PORT) -w workspace.yaml

format: $(STAMP) ## rewrite the sources in the agreed format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## delete the workspace of the demo (tables, checkpoints, reports)
	rm -rf "$(WORKSPACE)"
