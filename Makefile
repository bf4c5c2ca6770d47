# cnnkit: `make train` and `make test` set themselves up; the second time they install nothing.

# Only what is imported needs to be compiled, and Python does that by itself: TensorFlow then installs in half the time.
export PIP_NO_COMPILE := 1

VENV := .venv
BIN := $(VENV)/bin
NEXT := .venv-next
# The newest Python from 3.11 to 3.13 that really starts and can make environments (version managers leave stubs that do not).
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3 python; do \
	$$each -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$each; break; }; done)

# Supported versions of Python, as in pyproject.toml.
PYTHONS := 3.11 3.12 3.13
# An environment with the wheel alone, and one with the tools of a release.
WHEEL := .venv-wheel
RELEASE := .venv-release

.PHONY: help train test test-slow test-next test-pythons lint types check docs mutants bench dist wheel sbom audit clean

help:  ## Print what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | awk -F: '{printf "make %-12s %s\n", $$1, $$2}'

$(BIN)/python $(NEXT)/bin/python $(WHEEL)/bin/python $(RELEASE)/bin/python:
	@test -n "$(PYTHON)" || { echo "No working Python 3.11, 3.12 or 3.13 found (on Debian and Ubuntu with its python3-venv)." \
		"Install one, or name it: make PYTHON=/path/to/python3.12 train" >&2; exit 1; }
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Dependency groups are known to pip from 25.1 on; a new environment may have an older one.
$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

train: $(VENV)/.installed  ## Train the tutorial CNN on CIFAR-10
	$(BIN)/cnnkit train configs/cifar.yaml

test: $(VENV)/.installed-dev  ## Run the tests (minutes, no network)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/.installed-dev  ## Run the tests that take long
	$(BIN)/python -m pytest -m slow

# The bounds on Keras and TensorFlow are lifted; where tests/test_compat.py fails, it names the entry of keras_api/compat.py to mend.
test-next: $(NEXT)/bin/python  ## Run the tests with the newest Keras and TensorFlow, in an environment of their own
	$(NEXT)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(NEXT)/bin/python -c 'import re, tomllib; print(*(re.sub(r",<[0-9.]+", "", each) for each in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]), sep="\n")' > $(NEXT)/requirements.txt
	$(NEXT)/bin/python -m pip install --quiet --upgrade --requirement $(NEXT)/requirements.txt --group dev
	$(NEXT)/bin/python -m pip install --quiet --no-deps --editable .
	$(NEXT)/bin/python -m pytest -n auto --dist worksteal

TESTS ?= tests
test-pythons:  ## Run the tests with every supported Python on this machine; TESTS=tests/test_model.py for some
	.ci/pythons "$(PYTHONS)" $(TESTS)

lint: $(VENV)/.installed-dev  ## ruff, rules and format; import-linter, the layers of the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## lint, types and test

docs: $(VENV)/.installed-dev  ## Build the documentation site into build/site; a warning is an error
	$(BIN)/python -m website.build

mutants: $(VENV)/.installed-dev  ## Put 200 small faults in, one at a time, and count those the tests catch (hours; goes on where it was)
	$(BIN)/python -m pip install --quiet --group mutants
	$(BIN)/python -m tests.mutation

bench: $(VENV)/.installed-dev  ## Measure against plain Keras, side by side; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/bench.py

$(RELEASE)/.installed: pyproject.toml | $(RELEASE)/bin/python
	$(RELEASE)/bin/python -m pip install --quiet "pip>=25.1"
	$(RELEASE)/bin/python -m pip install --quiet --group release
	@touch $@

dist: $(RELEASE)/.installed  ## Build the sdist, and from it the wheel; the version is that of the newest tag
	rm -rf dist
	$(RELEASE)/bin/python -m build

wheel: dist $(WHEEL)/bin/python  ## Install the wheel into an empty environment, and train digits with it offline
	.ci/wheel dist/*.whl $(WHEEL)

sbom: wheel  ## Write dist/cnnkit.cdx.json, the packages that come with the wheel (CycloneDX)
	$(RELEASE)/bin/cyclonedx-py environment $(WHEEL)/bin/python --pyproject pyproject.toml --output-reproducible --output-file dist/cnnkit.cdx.json

audit: wheel  ## Look for known vulnerabilities of those packages; says so where it cannot ask
	$(RELEASE)/bin/python .ci/audit.py $(RELEASE)/bin/pip-audit $(WHEEL)/bin/python

clean:  ## Remove the virtual environment and caches, not the runs
	rm -rf $(VENV) $(NEXT) $(WHEEL) $(RELEASE) $(PYTHONS:%=.venv-%) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
