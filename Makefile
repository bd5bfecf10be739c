# make demo | test | check | test-slow | fuzz | clean. The first two set everything up on a fresh machine.
PYTHON ?= python3
# Random graphs that `make fuzz` draws, new ones every time.
EXAMPLES ?= 10000
VENV ?= .venv
EXTRAS ?= cpu,torch,search,demo,dev
# INSTALL=no tests what VENV already holds (a wheel, say) instead of this checkout.
INSTALL ?= yes

BIN := $(VENV)/bin
FOLDERS := api core calib_data exporter training passes runtime deploy pipeline cli
# A strict editable install does not see new files: install again when the list of files, the dependencies
# or their versions change, and only then.
KEY := $(shell { cat pyproject.toml constraints.txt; find $(FOLDERS) -name '*.py' | LC_ALL=C sort; echo '$(EXTRAS)'; } | cksum | cut -d ' ' -f 1)
ifeq ($(INSTALL),no)
READY :=
else
READY := $(VENV)/.ready-$(KEY)
endif

.PHONY: demo test test-slow fuzz check lint types clean

demo: $(READY)
	$(BIN)/sardonyx run examples/digits/recipe.toml -o out/digits --force
	@echo "The report is out/digits/report.html"

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

fuzz: $(READY)
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/passes/coupling/test_random_graphs.py --hypothesis-show-statistics

check: lint types test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-%: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]" --config-settings editable_mode=strict
	rm -f $(VENV)/.ready-*
	touch $@

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(FOLDERS) tests -name __pycache__ -type d -exec rm -rf {} +
