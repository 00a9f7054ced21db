# Everything runs from .venv, which is made from the hashed lock and made again when the lock changes.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made-from-lock

# A run starts hundreds of processes: our modules are compiled once, and not by each of them.
export PYTHONDONTWRITEBYTECODE :=

# What runs in containers and in processes alike, in containers only, and how much of it at once: a scenario waits as long
# as it computes. Of scenarios/once the one clock: whether a process in a container sees another time. The rest of it waits
# for leases and time-outs, minutes of them, and is for a person to run: see CONTRIBUTING.md.
IN_BOTH := scenarios/prod scenarios/dev scenarios/config scenarios/worker \
  scenarios/once/test_processes.py::test_the_clock_of_the_api_steps_back_in_the_middle_of_a_job
CONTAINERS := $(IN_BOTH) scenarios/network harness/tests/containers
CONTAINERS_AT_ONCE := 3
# The run in processes that the one in containers is compared with; without one, the same suites are run for that.
COMPARED_WITH :=
# Starts a container engine where none runs, and stops that one again when what follows has ended.
WITH_ENGINE := @scripts/container-engine $(MAKE) --no-print-directory

.PHONY: verify test check tools images processes containers suites-in-containers clean lock help architecture soak stability
.PHONY: prove mutation
.NOTPARALLEL:  # what takes long uses all processors by itself
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "dispatchcheck needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 64; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

verify: $(STAMP) ## run the dev and production scenarios against the reference dispatcher (no Docker)
	$(BIN)/dispatchcheck verify

check: $(STAMP) ## style, types and layering
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/architecture.py --check

tools: ## install what the tests need beyond Python (PostgreSQL, Chromium, npm)
	@scripts/install-test-tools

test: ## everything: checks, all tests, all scenarios in processes and in containers (as root; starts an engine if none runs)
	$(WITH_ENGINE) processes suites-in-containers COMPARED_WITH=reports/out/processes

processes: check tools ## what of this needs no containers: checks, all tests, all scenarios in processes, branch coverage
	rm -rf .coverage .coverage.* reports/out/coverage reports/out/processes
	$(BIN)/coverage run -m pytest -n auto --crowd=2000 --run-folder=reports/out/processes
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

containers: ## the suites from the image that is shipped, in containers, and whether they tell the same as in processes
	$(WITH_ENGINE) suites-in-containers

suites-in-containers: $(STAMP) tools
	rm -rf reports/out/containers reports/out/compared
	$(BIN)/python -m pytest -n $(CONTAINERS_AT_ONCE) --topology=containers --run-folder=reports/out/containers $(CONTAINERS)
	$(if $(COMPARED_WITH),,$(BIN)/python -m pytest -n auto --run-folder=reports/out/compared $(IN_BOTH))
	$(BIN)/dispatchcheck report parity $(or $(COMPARED_WITH),reports/out/compared) reports/out/containers

images: $(STAMP) ## the images of the reference dispatcher and of the fakes (needs Docker; see CONTRIBUTING.md)
	@scripts/images

lock: ## resolve the dependencies again and write requirements.lock, and the images' parts of it (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --group dev pyproject.toml -o requirements.lock
	for each in reference_impl fake_services; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    -c requirements.lock $$each/requirements.txt -o $$each/requirements.lock || exit 1; \
	done

prove: $(STAMP) ## run the scenarios against every known-bad and every equivalent dispatcher; writes the kill matrix
	$(BIN)/dispatchcheck prove

# From the beginning: mutmut keeps what earlier tests have shown, and does not see that a test has become another one.
mutation: $(STAMP) ## a public mutation tool over the modules that decide; names every change that no test minds
	rm -rf mutants
	$(BIN)/mutmut run --max-children 3
	$(BIN)/python scripts/mutation.py

soak: $(STAMP) ## 5,000 random histories of the reference dispatcher (about half an hour); prints the seed
	$(BIN)/python -m reference_impl.tests.soak --histories 5000

stability: $(STAMP) ## 20 runs of the scenarios in random order beside a CPU hog; reports every verdict that differs
	$(BIN)/python benchmarks/stability.py

architecture: $(STAMP) ## write ARCHITECTURE.md's list of modules from their docstrings
	$(BIN)/python scripts/architecture.py

clean: ## remove the environment and everything a run leaves
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* reports/out build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
