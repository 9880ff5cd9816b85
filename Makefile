# Everything here needs Python 3.11 or later and make, and sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-long check bench format lock clean
.DEFAULT_GOAL := run

# Set up once, and again when a pinned version changes. Versions and hashes: requirements/.
$(BIN)/.run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Footfall needs Python 3.11 or later; set PYTHON=python3.12, say" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

run: $(BIN)/.run  ## serve in dev mode, data in ./footfall-data
	$(BIN)/footfall serve --dev

test: $(BIN)/.dev  ## everything that takes seconds
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

test-long: $(BIN)/.dev  ## what takes minutes: faults by the dozen, millions of events
	$(BIN)/python -m pytest

check: $(BIN)/.dev  ## what to run all day: style, types, fast tests
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not long"

format: $(BIN)/.dev
	$(BIN)/ruff check --fix-only --quiet src tests bench
	$(BIN)/ruff format src tests bench

bench: $(BIN)/.dev  ## against nginx and plain DuckDB in the same run; results go to bench/results/
	$(BIN)/python -m bench

lock:  ## pin anew: versions and hashes, no addresses
	$(PYTHON) -m pip install --quiet uv
	$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements/run.txt
	$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/build.in -o requirements/build.txt
	$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev -c requirements/run.txt -c requirements/build.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
