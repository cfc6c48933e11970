# Two commands do all the set-up: `make demo` and `make test`. Both make .venv from constraints.txt first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: demo test slow check venv clean

demo: venv
	$(BIN)/talkcodec demo --out demo-out

test: venv
	$(BIN)/python -m pytest

slow: venv
	$(BIN)/python -m pytest -m slow

check: venv
	$(BIN)/ruff check .
	$(BIN)/mypy

venv: $(VENV)/.installed

$(VENV)/.installed: constraints.txt pyproject.toml scripts/make-venv
	scripts/make-venv $(PYTHON) $(VENV)
	touch $@

clean:
	rm -rf $(VENV) demo-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
