# Everything works on a fresh clone: `make demo`, `make test`. The virtual environment is made on
# first use and brought up to date only when pyproject.toml or constraints.txt changes.
#
#   make test ARGS="-k tiling"      pass arguments on (test, bench)
#   make test ARGS=--long           also the longest tests, as before a release
#   make test ARGS='-m "not slow"'  what takes seconds apiece left out; ARGS="-n 0": one process
#   make demo PYTHON=python3.12     choose the interpreter
#   PIP_EXTRA_INDEX_URL=…           any of pip's own settings, such as an index with CPU-only torch

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

DEMO_IMAGE := examples/hubble.png
DEMO_OUT   := out/demo

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint format bench dist clean

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ {printf "  make %-8s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.dev  ## the virtual environment with everything a developer needs

demo: $(VENV)/.run  ## denoise a real noisy image; prints where result and report are
	@mkdir -p $(DEMO_OUT)
	$(BIN)/hush denoise $(DEMO_IMAGE) -o $(DEMO_OUT)/hubble.denoised.png \
	    --report $(DEMO_OUT)/report.html --seed 0 --overwrite
	@echo
	@echo "noisy     $(CURDIR)/$(DEMO_IMAGE)"
	@echo "denoised  $(CURDIR)/$(DEMO_OUT)/hubble.denoised.png"
	@echo "report    $(CURDIR)/$(DEMO_OUT)/report.html"

test: $(VENV)/.dev  ## the whole test suite, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/.dev  ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev  ## speed and quality on this machine
	$(BIN)/python -m benchmarks $(ARGS)

dist: $(VENV)/.dev  ## the sdist and the wheel of a release, checked
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python .ci/dist.py dist

clean:  ## remove what can be made again, except the virtual environment
	rm -rf build dist out .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache lightning_logs
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: .run has what `hush` needs, .dev also the tests' and linters' packages and the peers.
$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing hush into $(VENV) (a minute or two the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing hush and its development tools into $(VENV) (a minute or two the first time)"
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev,peers]'
	@touch $(VENV)/.run $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "hush needs Python 3.11 or later; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
