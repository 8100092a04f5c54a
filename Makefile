.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup demo test lint types layers docs-test bench lock clean

help: ## Show what there is to do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Make .venv with everything that is needed
	@scripts/setup

demo: setup ## Run the main job end to end on the flights of New York
	@$(BIN)/python demo/run.py

test: setup ## Install and start what the tests need, and run them
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal tests

lint: setup ## Look for mistakes and for lines out of shape
	@$(BIN)/ruff check src tests demo examples scripts $(wildcard benchmarks)
	@$(BIN)/ruff format --check src tests demo examples scripts $(wildcard benchmarks)

types: setup ## Check the types
	@$(BIN)/mypy

layers: setup ## Check that imports go down only
	@$(BIN)/lint-imports

bench: setup ## Measure against the same work done by hand, and against peers where installed
	@$(BIN)/python -m benchmarks.run --save
	@$(BIN)/python -m benchmarks.page

lock: ## Write requirements.lock anew from pyproject.toml
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet uv
	@PATH="$(BIN):$$PATH" uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --all-extras --group dev \
		--output-file requirements.lock pyproject.toml scripts/build-requirements.txt

clean: ## Remove what the demo and the tests made
	@rm -rf demo/flights demo/sources/data .pytest_cache .mypy_cache .ruff_cache
