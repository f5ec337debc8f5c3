# `make check` is what to run while you work; `make full` is what CI runs.
PYTHON ?= .venv/bin/python
BIN = $(dir $(PYTHON))
export PYTHONPATH := $(CURDIR):$(CURDIR)/ui

.PHONY: check quick full deep lint format snapshots mutants wheel

check: quick

quick: lint  ## a minute on two cores: no torch, no engine, no screen
	$(BIN)pytest -q --quick -n 2 -p no:cacheprovider tests

lint:  ## style, types, and who may import whom
	$(BIN)ruff check --quiet
	$(BIN)ruff format --check --quiet
	$(BIN)mypy --no-error-summary
	$(BIN)lint-imports --no-cache > /dev/null || $(BIN)lint-imports --no-cache

format:
	$(BIN)ruff check --quiet --fix
	$(BIN)ruff format --quiet

full:  ## everything that CI runs
	$(BIN)pytest -n 2 --dist loadgroup

deep:  ## what takes minutes each: fuzzing, large graphs, slow builds
	$(BIN)pytest -m "slow or deep"

snapshots:  ## draw the UI's snapshots anew; look at what changed
	$(BIN)pytest -q tests/ui --snapshot-update


mutants:  ## turn one operator of trtdbg/analysis at a time; lists what no test notices
	$(PYTHON) tests/mutants.py trtdbg/analysis

wheel:  ## build sdist and wheel, try the wheel in a bare environment
	tests/wheel.sh $(PYTHON)
