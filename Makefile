# The two commands: `make demo` and `make test`. Both make .venv and install what they need; nothing else is touched.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test serve lint types slow compiled uncompiled bench bench-smoke interpreters clean

$(STAMP): pyproject.toml setup.py runtime/isolet/engine/_calls.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

demo: $(STAMP)   ## builds, deploys and calls the example functions on real input
	$(BIN)/python functions/demo.py

test: $(STAMP)   ## the quick tests
	$(BIN)/python -m pytest -q -m 'not slow'

slow: $(STAMP)   ## the long ones: leaks, theorem over many modules, toolchains
	$(BIN)/python -m pytest -q -m slow

serve: $(STAMP)  ## a server on 127.0.0.1:8080
	$(BIN)/isolet serve

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

compiled: $(STAMP)  ## compiles the path of an invocation in place: a minute, and again after every change to it
	ISOLET_COMPILE=1 $(BIN)/python setup.py --quiet build_ext --inplace

uncompiled:  ## leaves of what is compiled only what pip makes
	find runtime -name '*.so' ! -name '_calls.*' -delete

bench: $(STAMP)  ## every bench, with numbers (needs wrk)
	for bench in benches/bench_*.py; do $(BIN)/python $$bench || exit 1; done

bench-smoke: $(STAMP)
	for bench in benches/bench_*.py; do $(BIN)/python $$bench --smoke || exit 1; done

interpreters: $(STAMP)  ## builds the interpreters from source, some minutes each, and compares them with what is committed
	$(BIN)/isolet languages build python --check
	$(BIN)/isolet languages build javascript --check

clean:
	rm -rf $(VENV) .isolet build *.egg-info
