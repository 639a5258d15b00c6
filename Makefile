# make demo     a released, signed, synthetic table from the embedded data set
# make test     the tests
# make check    lint, types, import contracts, docstring contract, docs snippets
# make figures ROOM=line    the figures of one room, from the code
# make bench    all figures
# make oracles  the independent accountants and samplers that the figures of the accountant are checked against
# make bench-attacks  other projects' privacy metrics beside our gate on the same honest and leaky tables
# make bench-peers    other projects' synthesizers on the same table, each in an environment of its own (hours)
#
# Each sets up its own environment in .venv the first time, and again when pyproject.toml or constraints.txt changes.
# Needed beforehand: Python 3.11 or newer, make, and pip. Choose another interpreter with PYTHON=...

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check figures bench bench-attacks bench-peers oracles clean FORCE

VENV ?= .venv
ROOM ?= line
DEMO_OUT ?= demo-release
PYTEST_ARGS ?= -n auto --dist loadfile
SHARED_DATA ?= ../shared/data

# The newest interpreter that the pinned wheels exist for.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(not sys.version_info >= (3, 11))' 2>/dev/null && command -v "$$p" && break; done)
PYTHON_PEERS ?= python3.11
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
VENV_OK := $(shell "$(PY)" -c 'import sys, pip; print(sys.version_info >= (3, 11))' 2>/dev/null)
# First and alone: anything else that asks for it would bring gigabytes of another build.
TORCH := torch==2.13.0
RUN_STAMP := $(VENV)/.dpsynth-run
DEV_STAMP := $(VENV)/.dpsynth-dev

help:
	@sed -n '1,10s/^# \{0,1\}//p' Makefile

# A missing or broken environment is made anew, whatever the stamps say.
ifneq ($(VENV_OK),True)
$(RUN_STAMP) $(DEV_STAMP): FORCE
endif
FORCE:

define make_venv
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed and none was found. Install python3.11 and run make again." >&2; exit 2; fi
	@if ! "$(PY)" -c 'import sys, pip; sys.exit(not sys.version_info >= (3, 11))' 2>/dev/null; then \
		echo "Setting up $(VENV) with $(PYTHON) ..."; \
		rm -rf "$(VENV)"; \
		"$(PYTHON)" -m venv "$(VENV)" >/dev/null 2>&1 || { \
			rm -rf "$(VENV)"; "$(PYTHON)" -m venv --without-pip "$(VENV)" \
			&& "$(PYTHON)" -m pip --quiet --python "$(PY)" install pip; }; \
	fi
endef

$(RUN_STAMP): pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing dpsynth and what it needs (pinned in constraints.txt) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing dpsynth, what it needs and what its tests need (pinned in constraints.txt) ..."
	@$(PIP) install $(TORCH)
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(RUN_STAMP) $@

demo: $(RUN_STAMP)
	@rm -rf "$(DEMO_OUT)" "$(DEMO_OUT)-ledger" "$(DEMO_OUT).CONFIDENTIAL-annex"
	@"$(VENV)/bin/dpsynth" demo --out "$(DEMO_OUT)"

test: $(DEV_STAMP)
	@if [ ! -d "$(SHARED_DATA)" ]; then \
		echo "=== NOTE: $(SHARED_DATA) is absent: the tests on the larger real tables will be SKIPPED. ===" >&2; fi
	@"$(PY)" -m pytest $(PYTEST_ARGS)

check: $(DEV_STAMP)
	@echo "ruff"; "$(PY)" -m ruff check .
	@echo "mypy --strict"; "$(PY)" -m mypy --strict
	@echo "import contracts"; "$(VENV)/bin/lint-imports" --no-logo
	@echo "contracts and docs snippets"; "$(PY)" -m pytest tests/contracts tests/docs

figures: $(DEV_STAMP)
	@case "$(ROOM)" in accountant|deep|all) $(MAKE) --no-print-directory oracles \
		|| echo "=== The oracles can't be installed: the cross-checks will fall SHORT. ===" >&2;; esac
	@case "$(ROOM)" in deep|all) $(MAKE) --no-print-directory .venv-peer-smartnoise \
		|| echo "=== smartnoise-synth can't be installed: its figures will fall SHORT. ===" >&2;; esac
	@"$(PY)" benchmarks/figures.py --room "$(ROOM)"

bench:
	@$(MAKE) --no-print-directory figures ROOM=all

ORACLES := .venv-oracles
oracles: $(ORACLES)/.ready
$(ORACLES)/.ready: benchmarks/oracles/requirements.txt
	@echo "Setting up $(ORACLES): independent accountants and samplers (about 1.6 GB) ..."
	@rm -rf $(ORACLES); "$(PYTHON_PEERS)" -m venv $(ORACLES)
	@$(ORACLES)/bin/python -m pip --disable-pip-version-check --quiet install $(TORCH)
	@$(ORACLES)/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

# What each peer needs is asked for in full: an environment that is there is left as it is.
.venv-peer-dpmm:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install dpmm==0.1.9 pyarrow==16.1.0 || { rm -rf $@; exit 1; }

# Its DPCTGAN imports packaging, which its package doesn't ask for.
.venv-peer-smartnoise:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install $(TORCH) \
		&& $@/bin/pip --quiet install $(TORCH) smartnoise-synth==1.0.8 packaging pyarrow || { rm -rf $@; exit 1; }

.venv-peer-mbi:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install mbi==2.0.0 pyarrow || { rm -rf $@; exit 1; }

bench-peers: $(DEV_STAMP) .venv-peer-dpmm .venv-peer-smartnoise .venv-peer-mbi
	@nice -n 19 "$(PY)" -m benchmarks.peers.compare

.venv-peer-sdmetrics:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install sdmetrics==0.32.0 pyarrow || { rm -rf $@; exit 1; }

.venv-peer-anonymeter:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install anonymeter==1.1.0 pyarrow || { rm -rf $@; exit 1; }

.venv-peer-mostlyai:
	@"$(PYTHON_PEERS)" -m venv $@ && $@/bin/pip --quiet install $(TORCH) \
		&& $@/bin/pip --quiet install $(TORCH) mostlyai-qa==1.10.11 pyarrow || { rm -rf $@; exit 1; }

bench-attacks: $(DEV_STAMP) .venv-peer-sdmetrics .venv-peer-anonymeter .venv-peer-mostlyai
	@nice -n 19 "$(PY)" -m benchmarks.attack_peers.compare

clean:
	rm -rf "$(VENV)" $(ORACLES) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
