# make demo | test | check | test-slow | fuzz | trust | audit | licences | sbom | clean. The first two set everything up on a fresh machine.
PYTHON ?= python3
# Random graphs that `make fuzz` draws for cuts, and again for relations between models, and bytes of files that it
# changes; new ones every time. What fails is kept in tests/regressions.
EXAMPLES ?= 10000
BYTES ?= 1000000
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

.PHONY: demo test test-slow fuzz trust check lint types audit licences sbom clean

demo: $(READY)
	$(BIN)/sardonyx run examples/digits/recipe.toml -o out/digits --force
	@echo "The report is out/digits/report.html"

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

fuzz: $(READY)
	FUZZ_EXAMPLES=$(EXAMPLES) FUZZ_BYTES=$(BYTES) FUZZ_KEEP=tests/regressions $(BIN)/python -m pytest -n auto \
	--dist worksteal -p fuzz_figures tests/metamorphic tests/fuzz tests/passes/coupling/test_random_graphs.py

# What became of each bad input, written into the page.
trust: $(READY)
	TRUST_TABLE=docs/trust.md $(BIN)/python -m pytest -q tests/bad_inputs --ignore tests/bad_inputs/test_table.py

check: lint types test

# An environment that holds what a user's has, and the tools that look at it in one beside it.
USERS := $(VENV)-users
TOOLS := $(VENV)-audit/bin
LICENCES := MIT;BSD;Apache;PSF;Python Software Foundation;ISC;MPL;Mozilla Public License

$(USERS)/.ready-$(KEY) $(TOOLS)/.ready-$(KEY) &:
	$(PYTHON) -m venv --clear $(USERS)
	$(USERS)/bin/python -m pip install --quiet --upgrade pip
	$(USERS)/bin/python -m pip install --quiet -c constraints.txt ".[cpu,torch,search,demo]"
	$(PYTHON) -m venv --clear $(VENV)-audit
	$(TOOLS)/python -m pip install --quiet "pip-audit>=2.9" "pip-licenses>=5" "cyclonedx-bom>=7"
	touch $(USERS)/.ready-$(KEY) $(TOOLS)/.ready-$(KEY)

# Builds for one kind of machine (torch 2.13.0+cpu) are looked up under the version that they were built from.
audit: $(USERS)/.ready-$(KEY)
	$(USERS)/bin/python -m pip freeze --exclude sardonyx | sed 's/+[a-z0-9.]*$$//' > $(USERS)/versions.txt
	$(TOOLS)/pip-audit --strict --no-deps --disable-pip --requirement $(USERS)/versions.txt

licences: $(USERS)/.ready-$(KEY)
	$(TOOLS)/pip-licenses --python $(USERS)/bin/python --partial-match --allow-only="$(LICENCES)"

sbom: $(USERS)/.ready-$(KEY)
	mkdir -p dist
	$(TOOLS)/cyclonedx-py environment $(USERS)/bin/python --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sardonyx.cdx.json
	@echo "dist/sardonyx.cdx.json lists what the wheel brings"

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
	rm -rf $(VENV) $(USERS) $(VENV)-audit build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(FOLDERS) tests -name __pycache__ -type d -exec rm -rf {} +
