# The README's two commands are `make demo` and `make test`; each brings its own virtual environment up to date first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
TOOLS := .venv-tools/bin
BASE := python:3.11-slim
EXAMPLES ?= 1000
SAMPLE ?= 30
MODULES ?=
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: demo test lint format bench laws sweep soak answers mutants lock audit sbom image clean

demo: .venv/demo
	$(BIN)/crmsync demo

test: .venv/test lint
	$(BIN)/pytest -q -rs -n 3 --dist worksteal

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
	$(BIN)/python -P benchmarks/runs.py --people 10000 100000
	$(BIN)/python benchmarks/hubspot.py
	$(BIN)/python benchmarks/salesforce.py
	$(BIN)/python -P benchmarks/page.py --people 100000

laws: .venv/test
	$(BIN)/pytest -q -n 2 --timeout 3600 --hypothesis-profile laws -m hypothesis

sweep: .venv/test
	CRMSYNC_SWEEP=$(or $(CASES),all) SEED=$(SEED) $(BIN)/pytest -q -n 2 tests/core/test_kill.py

soak: .venv/test
	SEED=$(SEED) MINUTES=$(MINUTES) $(BIN)/pytest -q -s -p no:randomly tests/support/soak.py

answers: .venv/test .venv-answers/bin/st
	ANSWERS=$(EXAMPLES) $(BIN)/pytest -q -n 2 --timeout 7200 tests/core/test_answers.py
	$(BIN)/python benchmarks/answers.py .venv-answers/bin/st --examples $(EXAMPLES)

mutants: .venv-mutants/ready
	.venv-mutants/bin/python -P benchmarks/mutants.py --sample $(SAMPLE) --seed $(or $(SEED),1) $(MODULES)

lock: .venv/test
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(LOCK) pyproject.toml --extra learn --extra countries --group build -o requirements.lock
	$(LOCK) pyproject.toml --group dev -o requirements-dev.lock
	$(LOCK) --group pyproject.toml:tools -o requirements-tools.lock

# Ends with an error when something is vulnerable, and when it could not be looked up. See .ci/supply_chain.py.
audit: .venv-tools/ready
	$(TOOLS)/python .ci/supply_chain.py audit

sbom: .venv-tools/ready
	$(TOOLS)/python .ci/supply_chain.py sbom

# The base image is pinned to what its name means today: the registry knows the digest, and this file does not.
image:
	@digest=$$(docker buildx imagetools inspect $(BASE) --format '{{.Manifest.Digest}}') && \
	case "$$digest" in sha256:*) ;; *) echo "NOT BUILT: the registry names no digest for $(BASE)" >&2; exit 1;; esac && \
	echo "Base image: $(BASE)@$$digest" && \
	docker build --build-arg "BASE=$(BASE)@$$digest" --label "org.opencontainers.image.base.name=$(BASE)" \
	    --label "org.opencontainers.image.base.digest=$$digest" -t crmsync .

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

.venv-tools/ready: requirements-tools.lock | .venv/bin/python
	$(BIN)/python -m venv .venv-tools
	$(TOOLS)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-tools.lock
	touch $@

.venv-answers/bin/st: | .venv/bin/python
	$(BIN)/python -m venv .venv-answers
	.venv-answers/bin/python -m pip install -q --disable-pip-version-check "schemathesis>=4.32,<5"

.venv-mutants/ready: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv-mutants/bin/python -m pip install -q --disable-pip-version-check "mutmut==3.8.1"
	.venv-mutants/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .venv .venv-* mutants sbom.json crmsync-demo
