# The commands of the README. Each sets up what it needs from a bare checkout; nothing is installed outside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Small tables and small matrices: threads only get in each other's way.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test check check-full bench format clean

help:            ## list the commands
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(VENV)/core: pyproject.toml requirements/core.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the core (no torch) into $(VENV)"
	@$(PIP) install -r requirements/core.txt
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/deep: $(VENV)/core requirements/deep.txt
	@echo "installing torch and what the deep generators need into $(VENV)"
	@$(PIP) install $$(grep '^torch==' requirements/deep.txt)
	@$(PIP) install -r requirements/deep.txt
	@touch $@

$(VENV)/test: $(VENV)/deep requirements/test.txt
	@echo "installing what the tests check against (OpenDP, mbi, diffprivlib, ...) into $(VENV)"
	@$(PIP) install -r requirements/test.txt
	@touch $@

demo: $(VENV)/core    ## release real hospital records, see a bad candidate refused, verify the good one
	@$(BIN)/python examples/demo.py

test: $(VENV)/test    ## the test suite
	@$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/test    ## lint, format, types, import contracts, structure
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/structure

check-full: $(VENV)/test    ## the statistical suites and the kill matrix at full size
	@$(BIN)/python -m pytest -n 2 --dist worksteal --full tests/statistical tests/contract tests/kill_matrix

bench: $(VENV)/test    ## benchmarks against peers; ONLY=path for one of them; writes build/bench.json
	@$(BIN)/python -m tests.bench $(ONLY)

format: $(VENV)/test    ## rewrite the sources in the house format
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

clean:            ## remove what these commands made
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
