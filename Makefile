# What a person or a CI runs. Each target makes .venv by itself, and again whenever requirements/dev.txt changes.
#
#   make demo ARGS="--seconds 20"      make test ARGS="tests/config -x"      make PYTHON=python3.12 check

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
ARGS ?=

RUN := .venv/bin/python -m
READY := .venv/.ready
# uv takes seconds where pip takes minutes; without it, pip does the same.
UV := $(shell command -v uv)
# Grafana's own front-end code, which tests/browser asks what a panel shows. Without node those tests are skipped.
BROWSER := $(if $(and $(shell command -v node),$(shell command -v npm)),tests/browser/node_modules/.ready)
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" pyproject.toml

.PHONY: help demo test check coverage format release-check requirements clean

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(READY) ## Show it: writers, PostgreSQL, the bridge and a live page (ARGS="--seconds 20")
	$(RUN) trio_bridge demo $(ARGS)

test: $(READY) $(BROWSER) ## All tests (ARGS="tests/config -x")
	$(RUN) pytest $(or $(ARGS),-n 3 --dist loadfile)

check: $(READY) ## Style, types, Trio rules and the direction of imports
	$(RUN) ruff check
	$(RUN) ruff format --check
	find trio_bridge tests benchmarks -name '*.py' -exec \
	  $(RUN) flake8_async --enable ASYNC101,ASYNC102,ASYNC103,ASYNC111,ASYNC119 {} +
	$(RUN) mypy
	.venv/bin/lint-imports --no-logo

coverage: $(READY) $(BROWSER) ## Branch coverage of the tests, the processes they start included
	$(RUN) coverage erase
	$(RUN) coverage run -m pytest $(ARGS)
	$(RUN) coverage combine --quiet
	$(RUN) coverage report

mutants: $(READY) ## Change the pure cores; does a test notice? An hour (ARGS="'trio_bridge.feedback*'")
	$(RUN) tests.mutants $(ARGS)

format: $(READY) ## Format, and fix what can be fixed
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

release-check: $(READY) ## Wheel, sdist, bill of materials and licences in dist/, checked
	$(RUN) tests.release

requirements: $(READY) ## Pin what pyproject.toml asks for, with hashes (ARGS="--upgrade")
	$(COMPILE) --extra dev $(ARGS) --output-file requirements/dev.txt
	$(COMPILE) --constraints requirements/dev.txt --output-file requirements/run.txt

clean: ## Remove what these targets made, .venv included
	rm -rf .venv tests/browser/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*

$(READY): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) \
	  and "trio-bridge needs Python 3.11 or later: make PYTHON=python3.11 ...")'
ifdef UV
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv
	$(UV) pip sync --quiet --python .venv --require-hashes $<
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
else
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@touch $@

# No lock file: it would hold addresses, and of the dependencies only what one module imports is ever loaded. React, a
# peer of the package, is not needed for that.
tests/browser/node_modules/.ready: tests/browser/package.json
	cd $(<D) && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --legacy-peer-deps --loglevel=error
	@touch $@
