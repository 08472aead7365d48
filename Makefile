# `make help` lists the targets. Each sets up what it needs; nothing outside this folder is changed.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Continuous integration installs the versions that were tested; everybody else gets what pyproject.toml allows.
CONSTRAINTS := $(if $(CI),-c constraints.txt)
PIP := PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet --disable-pip-version-check

# Threads that wait asleep: spinning ones make a small network five times slower as soon as anything else runs.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $(PYTHON) is older than 3.10; name a newer one with make PYTHON=python3.11 ..." >&2; exit 2; }
	@echo "setting up $(VENV) (some minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade "pip>=25.1"
	@$(PIP) $(CONSTRAINTS) "torch==2.13.0"
	@$(PIP) $(CONSTRAINTS) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(PIP) $(CONSTRAINTS) --group dev
	@touch $@

demo: $(VENV)/.base ## phantom heads through the whole bundle: masks, volumes, pictures (about 5 minutes after set-up)
	@$(RUN) scripts/demo.py --output-dir demo

test: $(VENV)/.dev ## all tests but the slow ones (about 7 minutes on 2 cores)
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/.dev ## the tests that take minutes each
	@$(RUN) -m pytest -q -m slow

lint: $(VENV)/.dev ## style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: $(VENV)/.dev ## put the code into shape
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

bench: $(VENV)/.dev ## time the stages, each beside a reference
	@$(RUN) benchmarks/dicom_import.py
	@$(RUN) benchmarks/preprocessing.py
	@$(RUN) benchmarks/network.py
	@$(RUN) benchmarks/whole_scan.py

clean: ## remove the environment, caches and the demo
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
