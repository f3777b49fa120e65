# Each target makes the virtual environment it needs and uses it again the next time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Real vendor files and a second kernel for tests that want them; without them those tests skip and say so.
export OPENDIAG_CORPUS ?= $(wildcard $(abspath ../shared/corpus))
export OPENDIAG_LAB ?= $(wildcard $(abspath ../shared/lab/canlab))

.PHONY: demo test check lab bench soak docs clean

demo: $(VENV)/.installed
	@$(BIN)/opendiag demo

# Half of what the tests take is waiting: one process for each processor, whole files at a time.
test: $(VENV)/.dev check
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Tests under a second Linux kernel, which is made where it is missing; LAB_PREBUILT=1 takes one that can do CAN only.
lab: $(VENV)/.dev
ifeq ($(OPENDIAG_LAB),)
	@echo "lab: OPENDIAG_LAB names no program that runs commands under another kernel: its tests are skipped"
else ifneq ($(LAB_PREBUILT),)
	@echo "lab: the prebuilt kernel can do CAN only: tests that need USB are skipped"
	$(OPENDIAG_LAB) setup --prebuilt
else
	$(OPENDIAG_LAB) setup
endif
	$(BIN)/python -m pytest -m lab -rs

bench: $(VENV)/.dev
	@for file in $(filter-out benchmarks/soak.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

soak: $(VENV)/.dev
	$(BIN)/python benchmarks/soak.py

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[all]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@
