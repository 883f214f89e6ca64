PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= [dev]
SHORT := tests/ipc tests/server tests/gpu_workers/weights/test_catalogue.py \
	tests/gpu_workers/weights/test_store.py tests/gpu_workers/speech/test_packing.py \
	tests/gpu_workers/tasks/test_scenes.py \
	tests/service/test_contract.py::test_every_answer_has_the_fields_of_the_contract

.DEFAULT_GOAL := help

.PHONY: help install demo serve test lint short

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(VENV)/.installed ## Make .venv with pinned packages

$(VENV)/.installed: pyproject.toml constraints.txt overrides.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt \
		--override overrides.txt --compile-bytecode --editable '.$(EXTRAS)'
	touch $@

demo: install ## Start the service, ask it six questions about a made clip, show the answers
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

short: install ## Check the types, run unit tests and one service test of each task
	$(BIN)/mypy
	$(BIN)/pytest $(SHORT)
