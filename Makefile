# `make` lists what there is. Nothing is installed twice: the stamps in .venv remember what was.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CASE ?= england-2018-19
DRAWS ?= 10000
OUT ?= out

.DEFAULT_GOAL := help
.PHONY: help forecast test coverage lint docs bench bench-smoke clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

forecast: $(VENV)/.run  ## install, then forecast the bundled case: prints the answer, writes out/
	@$(BIN)/sector-risk forecast --case $(CASE) --draws $(DRAWS) -o $(OUT)/forecast.nc --plot $(OUT)/forecast.png

test: $(VENV)/.test  ## install, then run the tests
	$(BIN)/python -m pytest

coverage: $(VENV)/.test  ## which kernel lines the tests run (compiler off, small sizes)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -W ignore::RuntimeWarning --cov=sector_risk.kernels --cov-report=term-missing \
	  tests/test_support.py tests/test_kernels.py tests/test_summary.py -k "hand or lost or short_rows or sorting or one_draw"

lint: $(VENV)/.lint  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs  ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	@echo "Documentation: docs/_build/index.html"

bench: $(VENV)/.bench  ## speed and memory as ratios, others beside (an hour; quiet machine)
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/ladder.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/fewer_draws.py
	$(BIN)/python benchmarks/cluster.py
	$(BIN)/python -m pytest benchmarks $(BENCH)

bench-smoke: $(VENV)/.bench  ## every benchmark once, at its smallest size
	$(BIN)/python benchmarks/report.py --smoke
	$(BIN)/python benchmarks/ladder.py --smoke
	$(BIN)/python benchmarks/scale.py --smoke
	$(BIN)/python benchmarks/fewer_draws.py --smoke
	$(BIN)/python benchmarks/cluster.py --smoke
	SECTOR_RISK_BENCH=smoke $(BIN)/python -m pytest benchmarks $(BENCH) --benchmark-disable

BENCH := -o python_files='bench_*.py test_*.py' -o addopts='-ra --strict-markers'

clean:  ## remove everything that was made, the environment too
	rm -rf $(VENV) $(OUT) docs/_build build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment; each stamp adds the extras its target needs, and is renewed when pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another, for example: make PYTHON=python3.12 forecast"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV): is Python's venv module installed?"; exit 1; }
	@touch $@

$(VENV)/.run: EXTRAS := all
$(VENV)/.test: EXTRAS := all,test
$(VENV)/.bench: EXTRAS := all,test,bench
$(VENV)/.lint: EXTRAS := all,lint
$(VENV)/.docs: EXTRAS := all,docs
$(VENV)/.run $(VENV)/.test $(VENV)/.bench $(VENV)/.lint $(VENV)/.docs: $(VENV)/.made pyproject.toml
	@echo "Installing sector-risk[$(EXTRAS)] into $(VENV) (once) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@
