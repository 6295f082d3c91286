# Everything a contributor does here, by name. `make help` lists it. Python 3.11+ and make are all it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# The demo and the tests keep their Prefect database here, not in the home folder.
export PREFECT_HOME ?= $(CURDIR)/.prefect
export DO_NOT_TRACK := 1

INSTALLING := into $(VENV), once: a few minutes, 3 GB of disk, and more where pip chooses a CUDA build of torch

.PHONY: help demo dev test lint images test-containers bench gpu chaos clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Needledrop and its pinned dependencies $(INSTALLING)"
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Needledrop with its development tools $(INSTALLING)"
	$(PIP) install --quiet -c constraints.txt -e '.[dev,s3]'
	touch $@ $(VENV)/.installed

demo: $(VENV)/.installed  ## films to metrics on a small invented corpus, with no network
	$(BIN)/needledrop demo

dev: $(VENV)/.installed-dev  ## set up for contributors: the environment with all tools, and the pre-commit hooks
	test ! -e .git || $(BIN)/pre-commit install

test: $(VENV)/.installed-dev  ## all tests, over all cores
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/.installed-dev  ## format, lint, types, import contracts and words, as pre-commit does
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy examples/*.py
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

# With the host's network, so that pip's index may also be on this machine. The layers below the code are kept.
images:  ## the two images of docker-compose.yml
	docker build --network host --target server -t needledrop-server:latest .
	docker build --network host --target worker -t needledrop-worker:latest --build-arg TORCH_INDEX_URL .

test-containers: $(VENV)/.installed-dev  ## build the images, bring the compose file up and run the demo's films through it
	NEEDLEDROP_TEST_CONTAINERS=1 $(BIN)/python -m pytest -rs tests/integration/containers

gpu: $(VENV)/.installed-dev  ## measure training on a GPU in eight minutes, into gpu.json; stopped, it goes on from there
	$(BIN)/python -m benchmarks.gpu --out gpu.json

bench: $(VENV)/.installed-dev  ## the benchmarks behind docs/benchmarks.md, one after another
	for name in $(filter-out gpu,$(basename $(notdir $(shell grep -l __main__ benchmarks/*.py)))); do $(BIN)/python -m benchmarks.$$name || exit 1; done

chaos: $(VENV)/.installed-dev  ## kill -9 the refresh at 25 random moments and compare with a calm run
	NEEDLEDROP_CRASHES=25 $(BIN)/python -m pytest tests/integration/test_crash.py

clean:  ## remove the demo's lake and corpus and all caches; the environment stays
	rm -rf demo-lake demo-corpus .prefect .cache .pytest_cache .mypy_cache .ruff_cache build *.egg-info
