# Two commands for a newcomer: `make demo` shows a site, `make test` runs all checks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LIBRARY ?=
PORT ?= 8000

.PHONY: help demo test test-thorough env template lambda clean

help:
	@echo "make demo [LIBRARY=/path] [PORT=8000]   build a site and serve it"
	@echo "make test                               all checks: lint, types, contracts, tests"
	@echo "make test-thorough                      the same, with all examples and moments of a kill"
	@echo "make env                                only the environment (.venv)"
	@echo "make lambda                             the zips for AWS, in build/"
	@echo "make template                           check the AWS template"

env: $(VENV)/.ready

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "reelshelf needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	@$(BIN)/python scripts/demo.py --port $(PORT) $(if $(LIBRARY),--library "$(LIBRARY)")

# Its tools need another version of a package that reelshelf uses.
$(VENV)-deploy/.ready: requirements/deploy.txt
	$(PYTHON) -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/deploy.txt
	@touch $@

template: $(VENV)-deploy/.ready
	@$(VENV)-deploy/bin/python scripts/check_template.py

lambda: env
	@$(BIN)/python scripts/make_lambda.py

test: env $(VENV)-deploy/.ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

test-thorough:
	@TEST_EFFORT=thorough $(MAKE) --no-print-directory test

clean:
	rm -rf $(VENV) $(VENV)-deploy build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
