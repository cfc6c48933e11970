# Two commands do all the set-up: `make demo` and `make test`. Both make .venv from constraints.txt first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: demo test coverage slow check results venv clean

demo: venv
	$(BIN)/python -m sender.demo --out demo-out

test: venv
	$(BIN)/python -m pytest

coverage: venv
	$(BIN)/python -m pytest --cov

# The slow tests, and the property tests with other examples than `make test` has; SEED=... for the same ones again.
SEED := $(or $(SEED),$(shell $(PYTHON) -c "import random; print(random.randrange(2**32))"))
slow: venv
	@echo "SEED=$(SEED)"
	$(BIN)/python -m pytest -m slow --fuzz-seed=$(SEED)
	$(BIN)/python -m pytest --hypothesis-profile=random --hypothesis-seed=$(SEED) tests/bitstream tests/coding tests/session

check: venv
	$(BIN)/ruff check .
	$(BIN)/mypy

# Everything in docs/results.md, from a folder of clips: stops and goes on, eval-out/ keeps what was measured.
CLIPS ?= ../shared/data/val
STRIP ?= best,median,worst
SUBJECT ?= talkcodec 6 kbit/s rung auto
results: venv
	mkdir -p eval-out
	$(BIN)/python -m eval rd $(CLIPS) -o eval-out/results.jsonl --frames 250 --processes 2
	$(BIN)/python -m eval report eval-out/results.jsonl -o eval-out/report.html --clips $(CLIPS) \
		$(if $(STRIP),--strip $(STRIP)) --subject "$(SUBJECT)" --markdown docs/results.md --figures docs/results \
		--command "make results CLIPS=$(CLIPS)"

venv: $(VENV)/.installed

$(VENV)/.installed: constraints.txt pyproject.toml scripts/make-venv
	scripts/make-venv $(PYTHON) $(VENV)
	touch $@

clean:
	rm -rf $(VENV) demo-out eval-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
