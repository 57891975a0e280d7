# `make help` lists what there is. Everything sets itself up first; a second set-up costs some milliseconds.
.DEFAULT_GOAL := help
.PHONY: help setup dev run test lint cover crash crash-full bench docs clean

PYTHON := .venv/bin/python
N ?= 5
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: ## make .venv and find a browser, or install one
	@.ci/setup

dev: ## the same, with what tests and linters need
	@.ci/setup --dev

run: setup ## the demo: a site, 12 profiles, N=5 at a time; FRESH=1 starts over
	@$(PYTHON) -m examples.demo.fleet --max-concurrent $(N) $(if $(filter-out 0,$(FRESH)),--fresh) -- $(ARGS)

test: dev ## all tests but the slow ones, as many at once as there are cores
	@$(PYTHON) -m pytest -q -m "not slow" -n logical --dist worksteal $(ARGS)

lint: dev ## ruff and mypy
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy

cover: dev ## tests with branch coverage
	@$(PYTHON) -m pytest -q -m "not slow" -n logical --dist worksteal --cov --cov-branch --cov-report=term $(ARGS)

crash: dev ## the slow tests: kill storms, large queues
	@$(PYTHON) -m pytest -q -m slow --timeout 3600 $(ARGS)

crash-full: dev ## the same with twenty storms
	@OSTLER_TEST_FULL=1 $(PYTHON) -m pytest -q -m slow --timeout 36000 $(ARGS)

bench: dev ## times and ratios of copying profiles, beside others; nothing else should run meanwhile
	@$(PYTHON) -m benchmarks.profiles $(ARGS)

docs: dev ## rewrite the generated parts of README.md and docs/
	@$(PYTHON) tests/architecture/generate.py

clean: ## remove caches; .venv, state and logs stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@rm -f .coverage .coverage.*
	@find core workers tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
