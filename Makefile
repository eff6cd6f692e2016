# Everything from a fresh clone with Python, git and make; `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON := $(shell for candidate in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; assert sys.version_info >= (3, 11); print(sys.executable)' \
	2>/dev/null && break; done)
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --no-sync

export PATH := $(CURDIR)/.uv/bin:$(PATH)
# Tools that are started again and again begin faster with their bytecode kept; another project's
# environment is none of ours.
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
ifneq ($(PYTHON),)
export UV_PYTHON := $(PYTHON)
endif

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

# uv in a folder of its own, for machines that have only Python.
.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "error: Python >= 3.11 was not found: install it, or uv." >&2; exit 1; }
	"$(PYTHON)" -m venv .uv
	.uv/bin/python -m pip install --quiet "uv>=0.9,<1"

.PHONY: setup
setup: $(UV) ## install the template's own tools into .venv
	$(UV) sync --quiet

.PHONY: demo
demo: setup ## render the default project into build/demo and run it from raw data to monitoring
	$(RUN) python -m tools.demo

.PHONY: test
test: setup ## run all tests, with real runs of rendered projects
	$(RUN) pytest

.PHONY: full
full: setup ## run also every pair of source, format and engine, and task, serving and CI: hours
	RUN_EVERY=1 $(RUN) pytest -m run

.PHONY: quick
quick: setup ## run the tests that need no rendered project to run: two minutes
	$(RUN) pytest -m "not run"

.PHONY: check
check: setup ## check format, lint and types of the template's own code
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy

.PHONY: bench
bench: setup ## measure the template beside its peers: twenty minutes; writes docs/benchmarks.md
	$(RUN) python -m benchmarks

.PHONY: samples
samples: setup ## write the bundled sample tables again
	$(RUN) python -m tools.make_samples

.PHONY: notebooks
notebooks: setup ## write the example notebooks again from their sources
	$(RUN) python -m tools.build_notebooks
