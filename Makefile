# Bedside. `make help` lists the targets. Works with GNU make 3.81 (macOS) and newer.

SHELL := /bin/sh
PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.9
BEDSIDE_ARCH ?= arm64
BEDSIDE_LAMBDA_PYTHON ?= 3.12
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
# The lists are complete, so nothing is resolved: no list can pull in what it does not name.
INSTALL := $(PIP) install --no-deps --require-hashes --only-binary=:all:

export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-test setup-train demo test check bench lock sam-build clean \
        build-ReceiverFunction build-SurvivalFunction build-DiagnosisFunction build-AllocationFunction \
        build-ReconcileFunction build-SmartAppFunction build-CdsHooksFunction

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  ARGS='...' is passed on by demo, test and bench; PYTHON=... names the Python to use."

# ---- set-up: one virtual environment; each list is a superset of the one before, with equal pins ----

setup: $(VENV)/.demo $(VENV)/.project ## install what the demo needs into .venv (hash-checked, no compiler)

setup-test: $(VENV)/.test $(VENV)/.project ## the same and what the tests need

setup-train: $(VENV)/.train $(VENV)/.project ## the same and what training and benchmarks need

$(PY):
	@usable='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; \
	found=; \
	for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	    if "$$candidate" -c "$$usable" >/dev/null 2>&1; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Bedside needs Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules; none was found." >&2; \
	    echo "Tried: $(PYTHON) python3 python3.13 python3.12 python3.11. To get one:" >&2; \
	    echo "  Debian, Ubuntu: apt-get install python3 python3-venv" >&2; \
	    echo "  Fedora:         dnf install python3.13" >&2; \
	    echo "  macOS:          brew install python@3.13" >&2; \
	    echo "then run make again, or name one: make setup PYTHON=/path/to/python3.13" >&2; \
	    exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$found" --version) ($$found)"; \
	"$$found" -m venv --clear $(VENV)

$(VENV)/.demo: requirements/demo.txt $(PY)
	@echo "Installing $< (about 40 seconds the first time)"
	@$(INSTALL) -r requirements/demo.txt
	@touch $@

$(VENV)/.test: requirements/test.txt | $(VENV)/.demo
	@echo "Installing $< (about 40 seconds the first time)"
	@$(INSTALL) -r requirements/test.txt
	@touch $@

$(VENV)/.train: requirements/train.txt | $(VENV)/.demo
	@echo "Installing $< (about a minute the first time)"
	@$(INSTALL) -r requirements/train.txt
	@touch $(VENV)/.test $@

# Built with the setuptools that every list carries, hence after the first list.
$(VENV)/.project: pyproject.toml | $(VENV)/.demo
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# ---- what people do ----

demo: setup ## run the demo: the twin, a synthetic cohort, each patient's risk
	@$(VENV)/bin/bedside demo $(ARGS)

# With BEDSIDE_REQUIRE_PEERS=1 a peer that is absent is a failure, not a skip: then the training libraries, too.
ifeq ($(BEDSIDE_REQUIRE_PEERS),1)
TEST_SETUP := setup-train
else
TEST_SETUP := setup-test
endif

test: $(TEST_SETUP) ## run the tests (BEDSIDE_REQUIRE_PEERS=1: with every peer)
	@$(PY) -m pytest $(ARGS)

check: setup-test ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: setup-train ## measure against peers and floors, into build/bench.json
	@mkdir -p build
	@$(VENV)/bin/bedside bench --out build/bench.json $(ARGS)

# ---- pins ----

# Each list keeps the pins of train.txt, so that one environment can grow from one to the next. `fewest` takes
# one version for all of Python 3.11 to 3.13, so that a function's zip is the same whoever builds it.
LOCK := build/uv/bin/uv --no-config pip compile --universal --python-version 3.11 --fork-strategy fewest \
        --only-binary :all: --override requirements/overrides.txt --generate-hashes --no-emit-index-url \
        --no-emit-find-links --no-annotate --quiet --custom-compile-command "make lock"
EXTRA := import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb")) \
        ["project"]["optional-dependencies"][sys.argv[1]], sep="\n")

lock: $(PY) ## remake requirements/*.txt from pyproject.toml (ARGS=--upgrade for newer versions)
	@test -x build/uv/bin/uv || $(PY) -m venv build/uv
	@build/uv/bin/python -m pip --disable-pip-version-check --quiet install --only-binary=:all: uv==$(UV_VERSION)
	@mkdir -p requirements
	@$(LOCK) $(ARGS) --extra bench --extra train --extra test --extra demo pyproject.toml -o requirements/train.txt
	@$(LOCK) $(ARGS) --extra test -c requirements/train.txt pyproject.toml -o requirements/test.txt
	@$(LOCK) $(ARGS) --extra demo -c requirements/train.txt pyproject.toml -o requirements/demo.txt
	@$(LOCK) $(ARGS) -c requirements/train.txt pyproject.toml -o requirements/lambda-survival.txt
	@for name in allocation cds_hooks diagnosis; do \
	    $(LOCK) $(ARGS) --extra $$name -c requirements/train.txt pyproject.toml \
	        -o requirements/lambda-$$name.txt || exit 1; \
	done
	@for name in receiver reconcile smart_app; do \
	    $(PY) -c '$(EXTRA)' $${name%_app} \
	        | $(LOCK) $(ARGS) -c requirements/train.txt - -o requirements/lambda-$$name.txt || exit 1; \
	done
	@! grep -nE '^bedside|//' requirements/*.txt

# ---- the SAM application ----

sam-build: setup-test ## build the Lambda functions into .aws-sam/build
	@$(VENV)/bin/sam build $(ARGS)

PACKAGE = $(PY) -m infra.packaging.artefact --out "$(ARTIFACTS_DIR)" --arch $(BEDSIDE_ARCH) \
          --python-version $(BEDSIDE_LAMBDA_PYTHON) --zip-size

build-ReceiverFunction: $(PY)
	@$(PACKAGE) receiver

build-SurvivalFunction: $(PY)
	@$(PACKAGE) survival

build-DiagnosisFunction: $(PY)
	@$(PACKAGE) diagnosis

build-AllocationFunction: $(PY)
	@$(PACKAGE) allocation

build-ReconcileFunction: $(PY)
	@$(PACKAGE) reconcile

build-SmartAppFunction: $(PY)
	@$(PACKAGE) smart_app

build-CdsHooksFunction: $(PY)
	@$(PACKAGE) cds_hooks

clean: ## remove what was built; .venv stays
	@rm -rf build .aws-sam .mypy_cache .ruff_cache .pytest_cache *.egg-info
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print | xargs rm -rf
