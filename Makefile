PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHAOS_SEED ?= 1
CHAOS_COUNT ?= 5000
SHORT := tests/ipc tests/server tests/gpu_workers/weights/test_catalogue.py \
	tests/gpu_workers/weights/test_store.py tests/gpu_workers/speech/test_packing.py \
	tests/gpu_workers/tasks/test_scenes.py \
	tests/service/test_contract.py::test_every_answer_has_the_fields_of_the_contract

.DEFAULT_GOAL := help

.PHONY: help install demo serve test lint lock image image-test short chaos

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(VENV)/.installed ## Make .venv with pinned packages; TORCH_BACKEND=cpu: torch without CUDA

$(VENV)/.installed: pyproject.toml $(wildcard requirements/*.txt) requirements/install
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/uv.txt
	requirements/install $(BIN)/uv $(BIN)/python rapidocr dev
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
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

short: install ## Check the types, run unit tests and one service test of each task
	$(BIN)/mypy
	$(BIN)/pytest $(SHORT)

chaos: install ## Inject seeded faults into a running service; CHAOS_SEED, CHAOS_COUNT: which, how many
	CHAOS_SEED=$(CHAOS_SEED) CHAOS_COUNT=$(CHAOS_COUNT) $(BIN)/pytest -o timeout=7200 tests/chaos

lock: install ## Write the pins of requirements/ again; UPGRADE=--upgrade: with the newest versions
	PATH="$(BIN):$$PATH" python requirements/lock.py $(UPGRADE)

image: ## Build the image with docker, podman or buildah; BASE and TORCH_BACKEND choose the variant
	$(PYTHON) -m deploy.image build

image-test: install ## Start the image, send two requests about a generated clip, stop it
	$(BIN)/python -m deploy.image test
