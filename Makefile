# The README's two commands are `make demo` and `make test`; each brings its own virtual environment up to date first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml

.PHONY: demo test soak lint format bench sweep lock clean

demo: .venv/demo
	$(BIN)/crmsync demo

test: .venv/test lint
	$(BIN)/pytest -q -n 2

soak: .venv/test
	SEED=$(SEED) MINUTES=$(MINUTES) $(BIN)/pytest -q -s -p no:randomly tests/soak.py

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/test
	$(BIN)/python -m pip install -q --disable-pip-version-check "polars>=1.20" "duckdb>=1.2"
	$(BIN)/python benchmarks/scoring.py --people 100000
	$(BIN)/python benchmarks/hubspot.py
	$(BIN)/python benchmarks/salesforce.py

sweep: .venv/test
	CRMSYNC_SWEEP=1 $(BIN)/pytest -q -n 2 tests/test_kill.py

lock: .venv/test
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(LOCK) --group build -o requirements.lock
	$(LOCK) --group dev -o requirements-dev.lock

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("crmsync needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/demo: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/test: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@ .venv/demo

clean:
	rm -rf .venv crmsync-demo
