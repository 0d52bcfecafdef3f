# Every target sets up what it needs: a virtual environment in .venv, from the package index alone.
# The first Python from 3.11 to 3.13 that is found makes it; `make test PYTHON=/path/to/python3.12` chooses one.

MIN := 3.11
MAX := 3.13
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c "$(SUPPORTED)" >/dev/null 2>&1 && echo $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Two processes, which take the next test where one has none left: most tests compute on one thread.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train test lint format bench gpu simulator emulator parity record docs pictures clean
.NOTPARALLEL:

help:  ## list the commands (what `make` alone does)
	@echo "make ... sets up $(VENV) by itself; options go in ARGS, for example: make train ARGS='--epochs 1'"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(VENV)/installed  ## train the 784-128-10 network on the built-in digits
	$(BIN)/liftgrad train mlp $(ARGS)

test: $(VENV)/installed-test  ## run the tests; what is not installed is skipped with a reason
	$(PYTEST) $(ARGS)

lint: $(VENV)/installed-lint  ## check style and types: ruff, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-lint  ## put the style right: ruff --fix, ruff format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed  ## measure this engine beside the peers that are installed
	$(BIN)/liftgrad bench $(ARGS)

gpu: $(VENV)/installed-test $(VENV)/installed-cuda  ## run tests and bench on this machine's GPU and write docs/gpu.md
	$(BIN)/python tests/cuda/outcome.py $(ARGS)

# LIFTGRAD_LAUNCHED=FILE make simulator: notes in FILE which kernels ran, for tests/cuda/page.py.
simulator: $(VENV)/installed-test $(VENV)/installed-cuda-check  ## run all tests of operations on a simulated GPU
	NUMBA_ENABLE_CUDASIM=1 LIFTGRAD_TEST_DEVICE=cuda $(PYTEST) tests/cuda tests/kernels tests/tensor $(ARGS)

emulator: $(VENV)/installed-test $(VENV)/installed-cuda-check  ## run all tests of operations with GPU kernels as compiled, on the CPU
	LIFTGRAD_EMULATOR=2 LIFTGRAD_TEST_DEVICE=cuda $(PYTEST) tests/kernels tests/tensor $(ARGS)

parity: $(VENV)/installed-test $(VENV)/installed-parity  ## run the tests beside PyTorch and micrograd (a large download)
	$(PYTEST) $(ARGS)

record: $(VENV)/installed-test $(VENV)/installed-parity  ## record what PyTorch gives for the surface table
	$(BIN)/python tests/tensor/surface/harness.py

docs: $(VENV)/installed-test  ## write docs/pytorch.md: what of PyTorch is here
	$(BIN)/python tests/tensor/surface/page.py

pictures: $(VENV)/installed-browser  ## make the README's pictures anew (needs Graphviz and Chromium)
	$(BIN)/python docs/pictures.py

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than pyproject.toml while what it stands for is installed.
$(VENV)/installed: pyproject.toml $(VENV)/made
	@echo "installing liftgrad into $(VENV) ..."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/installed-%: pyproject.toml $(VENV)/made
	@echo "installing liftgrad[$*] into $(VENV) ..."
	@$(PIP) install --editable ".[$*]"
	@touch $@ $(VENV)/installed

$(VENV)/made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: no Python from $(MIN) to $(MAX) was found ($$(python3 --version 2>&1 || true));" \
			"install one, or name one: make PYTHON=/path/to/python$(MAX)" >&2; exit 1; fi
	@if ! "$(PYTHON)" -c "$(SUPPORTED)"; then \
		echo "make: Python from $(MIN) to $(MAX) is needed; $(PYTHON) says: $$("$(PYTHON)" --version 2>&1);" \
			"name another: make PYTHON=/path/to/python$(MAX)" >&2; exit 1; fi
	@echo "making $(VENV) with $$("$(PYTHON)" --version) ..."
	@if ! "$(PYTHON)" -m venv $(VENV); then \
		echo "make: $(PYTHON) cannot make a virtual environment;" \
			"on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; fi
	@touch $@
