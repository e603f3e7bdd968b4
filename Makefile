# Thin: makes the environment, calls the tools. `make help` lists what there is.
#
#   PROFILE    smoke (default) | cpu | domains | gpu | paper, see study.yml
#   CORES      processor cores to use, default all
#   GPUS       runs that may use a graphics card at once, default 1
#   PYTHON     interpreter that makes the environment, default python3.11, else python3
#   VENV       folder of the environment; empty (make book VENV=) uses the one that is active, such as conda's
#   UV_ARGS    options of `uv pip install`. On Linux the default index serves torch with CUDA (gigabytes); the CPU build
#              is smaller: make book UV_ARGS='--torch-backend cpu'

PROFILE ?= smoke
CORES ?= all
GPUS ?= 1
VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)

BIN := $(if $(VENV),$(VENV)/bin/)
READY := $(if $(VENV),$(VENV)/.ready)
PIP := $(BIN)python -m pip --disable-pip-version-check --quiet
UV := UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)uv pip install --quiet --python $(BIN)python
SNAKEMAKE := $(BIN)snakemake --cores $(CORES) --resources gpu=$(GPUS) --config profile=$(PROFILE) --
INDEX := build/book/_build/html/index.html

.DEFAULT_GOAL := help
.PHONY: help book pdf test test-all lint trials study bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8
	@sed -n '3,10s/^#  //p' $(MAKEFILE_LIST)

book: $(READY)  ## run what PROFILE lacks, execute the chapters, build the book
	@$(SNAKEMAKE) book && echo "Book: $(INDEX)" || { echo "Book: FAILED, see above"; exit 1; }

pdf: book  ## print the book into one PDF, where Chromium is installed
	@$(BIN)scgcnet book --pdf

trials: $(READY)  ## trials on validation that PROFILE lacks: learning rates, loss weights, recipes
	@$(SNAKEMAKE) trials && echo "Trials: all there that can be had here, see what won with: scgcnet trials"

# What fails keeps no other from being computed; where a page waits for it, the second call tries it once more, from the
# last whole epoch. Two calls, because every chapter is to be executed when all results are there.
study: $(READY)  ## compute what PROFILE lacks, most urgent first, then the chapters and the book
	@trap 'exit 1' INT; failed=; $(SNAKEMAKE) study || failed=1; $(SNAKEMAKE) book || failed=1; \
	  if test "$$failed"; then echo "Study: NOT COMPLETE, see above"; exit 1; fi; \
	  echo "Study: the results of profile $(PROFILE) are in $(INDEX)"

# One thread in each worker: with more than the cores, those of torch wait for one another, and training takes four times
# as long.
test: lint  ## lint, types, every room's tests: under ten minutes on two cores
	@OMP_NUM_THREADS=1 $(BIN)python -m pytest -n 2 -m "not slow" && echo "Tests: passed"

test-all: lint  ## the slow tests too: browser, export of each kind of network, README, kills, real data
	@OMP_NUM_THREADS=1 $(BIN)python -m pytest -n 2 && echo "Tests: all passed"

lint: $(READY)  ## ruff, mypy, import-linter
	@echo "ruff, mypy, import-linter ..."
	@$(BIN)ruff check . && $(BIN)ruff format --check . && $(BIN)mypy && $(BIN)lint-imports --no-logo

bench: $(READY)  ## time scan and networks on this machine, ten to twenty minutes, beside the stored run
	@mkdir -p build && $(BIN)scgcnet bench all --json build/bench.json --against results/bench/cpu.json \
	  && echo "Timings: build/bench.json"

clean:  ## remove what can be made again (build/, caches), keep .venv, data/ and results/
	rm -rf build .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamp is written last, so that an installation that was broken off is taken up again.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "[1/3] making $(VENV) with $$($(PYTHON) --version)"
	@command -v which >/dev/null || { echo "The program \`which\` is needed (package which or debianutils)"; exit 1; }
	@test -x $(BIN)python || $(PYTHON) -m venv $(VENV)
	@echo "[2/3] installing the $$(grep -c == requirements.lock) packages of requirements.lock, a minute or more"
	@$(PIP) install 'uv>=0.9' && $(UV) $(UV_ARGS) -r requirements.lock \
	  || { echo "uv cannot install them here, pip tries"; $(PIP) install -r requirements.lock; }
	@echo "[3/3] installing scgcnet itself, checking the whole"
	@$(PIP) install --no-deps --no-build-isolation -e . && $(PIP) check
	@touch $@
