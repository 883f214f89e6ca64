PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= [dev]

.DEFAULT_GOAL := help

.PHONY: help install demo serve test lint

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(VENV)/.installed ## Make .venv with pinned packages

$(VENV)/.installed: pyproject.toml constraints.txt overrides.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt \
		--override overrides.txt --compile-bytecode --editable '.$(EXTRAS)'
	touch $@

demo: install ## Run all six tasks on a generated clip, and show the results
	$(BIN)/python -m bench.demo

serve: install ## Run the service in the foreground
	$(BIN)/python -m server

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## Run everything that CI runs: ruff, mypy, import-linter, pytest
	$(BIN)/pytest
