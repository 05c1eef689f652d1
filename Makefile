# make demo     sets everything up and takes a sample system through convert, update, restore and verify
# make test     sets everything up and runs the tests
# `make help` has the rest. Set-up happens once: Debian packages, a virtual environment in .venv, the compiled modules.

VENV    := .venv
BIN     := $(VENV)/bin
WORKERS ?= auto
CORPUS  ?= build/corpus
ARGS    ?=

SOURCES := $(shell find src -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # each worker, and each program that a test starts, would compile all modules again

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-heavy torture lint bench wheel clean distclean
.DELETE_ON_ERROR:

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.built  ## install what is needed, build the compiled modules

$(VENV)/.packages: debian-packages.txt scripts/debian-packages
	@echo "== Debian packages (debian-packages.txt)"
	@scripts/debian-packages
	@mkdir -p $(VENV) && touch $@

$(VENV)/.created: $(VENV)/.packages
	@echo "== Virtual environment in $(VENV)"
	@python=$$(scripts/find-python) && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	@echo "== Python packages (pyproject.toml)"
	@$(BIN)/pip install -q 'setuptools>=77' 'cython>=3.0.8' wheel
	@WIMBOOT_COMPILE=no $(BIN)/pip install -q --no-build-isolation -e '.[test,lint,mount,ram]'
	@touch $@

$(VENV)/.built: $(VENV)/.installed setup.py $(SOURCES)
	@echo "== Compiled modules (those that changed; output in $(VENV)/build.log)"
	@$(BIN)/python setup.py -q build_ext --inplace >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@touch $@

demo: setup  ## build a sample system and take it through convert, update, restore, verify
	@rm -f build/demo/disk.img build/demo/store.wim
	@$(BIN)/wimboot demo $(ARGS) build/demo

test: setup  ## run the tests (WORKERS=0: one after the other; ARGS: more for pytest)
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

test-heavy: setup  ## run the tests that take minutes
	@$(BIN)/pytest -n $(WORKERS) -m heavy $(ARGS) || [ $$? -eq 5 ]

torture: setup  ## crash every verb at every point in every way: hours
	@$(BIN)/pytest -n $(WORKERS) -m nightly $(ARGS)

lint: setup  ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: setup  ## compare with wimlib-imagex on a tree of real files (CORPUS: where it is, or is built)
	@[ -d "$(CORPUS)" ] || benchmarks/corpus.sh "$(CORPUS)"
	@$(BIN)/python benchmarks/run.py "$(CORPUS)" $(ARGS)

wheel: setup  ## build a wheel in dist/
	@$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .
	@ls -l dist/*.whl

clean:  ## remove what was built, but not the virtual environment
	@rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis $(VENV)/.built
	@find src \( -name '*.so' -o -name '*.c' \) -delete
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the virtual environment too
	@rm -rf $(VENV)
