# Every target sets up what it needs: a virtual environment in .venv, with the versions of constraints.txt.
# It takes the newest of python3.13, python3.12, python3.11 and python3 that runs here; PYTHON=… names another.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
TRAINERS := $(VENV)/ready-trainers
SERVER := $(VENV)/ready-server
BENCH_READY := $(VENV)/ready-bench
DEMO := demo
BENCH_FLAGS ?=
GENERATE_FLAGS ?=
TORCH := 2.13.0
HARBOR := harbor==0.25.0
COMPILED := $(wildcard src/quick_lines/*)

.DEFAULT_GOAL := help
.PHONY: help demo test check-all golden bench constraints clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: $(READY) ## bundled rollouts to rows, and rows to a training set in demo/training-set, with one sample on the screen
	@mkdir -p $(DEMO)/rows
	$(BIN)/rollmill ingest examples/rollouts/claude_code --format claude_code -o $(DEMO)/rows/claude_code.parquet
	$(BIN)/rollmill ingest examples/rollouts/codex --format codex -o $(DEMO)/rows/codex.parquet
	@$(BIN)/python examples/look.py $(DEMO)/rows/claude_code.parquet $(DEMO)/rows/codex.parquet
	$(BIN)/rollmill export $(DEMO)/rows --to trl -o $(DEMO)/training-set
	@echo
	$(BIN)/rollmill export $(DEMO)/rows --to trl --file-type parquet -o $(DEMO)/training-set-parquet --quiet
	@echo "One sample, message by message, with what is learnt from it and why:"
	@$(BIN)/rollmill export $(DEMO)/rows --explain 0ccf1a04-1b4c-43b6-8aa5-79e41db43a68
	@echo "The training set is in $(DEMO)/training-set/ (train.jsonl), the card in its README.md."

test: $(READY) $(SERVER) $(TRAINERS) ## run the tests, those against real trainers and a real model server included
	$(BIN)/python -m pytest -n auto $(TEST_FLAGS)

check-all: $(READY) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(READY) ## where the code disagrees with the golden folders (ACCEPT=1 takes what the code says)
	ACCEPT=$(ACCEPT) $(BIN)/python -m tests.golden

bench: $(BENCH_READY) ## measure against the reference and the floor (BENCH_FLAGS=--full for 1 GB, GENERATE_FLAGS=--quick for a short look)
	$(BIN)/python benchmarks/run.py $(BENCH_FLAGS)
	$(BIN)/python benchmarks/redaction.py
	$(BIN)/python -m benchmarks.generate $(GENERATE_FLAGS)

constraints: ## pin the newest versions that Python 3.11 can have (run it with a python3.11)
	rm -rf build/pin && python3.11 -m venv build/pin
	build/pin/bin/python -m pip install --quiet 'torch==$(TORCH)'
	build/pin/bin/python -m pip install --quiet -e '.[test,check,bench,trainers,server]' 'torch==$(TORCH)'
	{ head -n 1 constraints.txt; build/pin/bin/python -m pip freeze --exclude-editable; } | sed 's/+cpu$$//' > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## remove what the targets made
	rm -rf $(VENV) $(DEMO) src/rollmill/formats/*.so build dist bench-corpus .mypy_cache .ruff_cache .hypothesis

# The environment is made anew when what it is made from changed. A shim that only pretends to be a Python is passed over.

$(READY): pyproject.toml constraints.txt hatch_build.py $(COMPILED)
	@python=; for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Rollmill needs Python 3.11 or newer with venv; found none on the PATH (PYTHON=… names one)" >&2; exit 1; fi; \
	echo "Setting up $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,check]'
	@touch $@

# Hugging Face's server, which a run is proved against: torch, transformers, and little more.
$(SERVER): $(READY)
	@echo "Installing the model server that runs are proved against"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server]' || \
		echo "The model server cannot be installed here: the test that needs it is skipped" >&2
	@touch $@

# Trainers are large and need not be there: without them the tests that prove exports with them are skipped.
# Harbor asks for Python 3.12; its trajectory models, all that is used of it, run on 3.11 with pydantic alone.
$(TRAINERS): $(SERVER)
	@echo "Installing the trainers that exports are proved with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[trainers]' && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python $(HARBOR) || \
		echo "The trainers cannot be installed here: tests that need them are skipped" >&2
	@touch $@

$(BENCH_READY): $(READY) benchmarks/install_reference.sh
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	bash benchmarks/install_reference.sh $(VENV)/reference
	@touch $@
