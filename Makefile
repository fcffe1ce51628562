# Two commands matter on a fresh machine: `make answer` and `make test`. Each sets itself up.

PYTHON   ?= python3
VENV     ?= .venv
BIN      := $(VENV)/bin
DATA_DIR ?= data
PROMPT   ?= $(firstword $(sort $(wildcard prompts/*.txt)))
MIRROR   ?=
WRITER   ?= auto
# Labelled claims (JSON lines), if there are any: line 6 of the report.
LABELLED ?=

ask_options := --data-dir $(DATA_DIR) $(if $(MIRROR),--mirror $(MIRROR))

.PHONY: help install index answer serve notebook pictures evaluate test hostile check format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(VENV)/.installed  ## the environment in .venv

# torch first and exactly pinned: anything looser would install another build of it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,chat,evaluate,milvus,ray,serve]'
	@touch $@

index: install  ## download and embed every work of prompts/
	$(BIN)/python -m scripts.build_index $(ask_options)

# `rag ask` indexes what its own prompt lists: another prompt does not need all of prompts/.
answer: $(if $(filter file,$(origin PROMPT)),index,install)  ## the answer to the first example: make answer PROMPT=… MIRROR=… WRITER=… for others
	$(BIN)/rag ask $(ask_options) --writer $(WRITER) "$(PROMPT)"

serve: install  ## a local page to ask on, http://127.0.0.1:8765/
	$(BIN)/rag serve $(ask_options) --writer $(WRITER)

# JupyterLab is large, and nothing else needs it.
$(VENV)/.notebook: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[notebook]'
	@touch $@

notebook: $(VENV)/.notebook  ## JupyterLab with the notebooks: make notebook MIRROR=… for papers
	RAG_DATA_DIR=$(abspath $(DATA_DIR)) RAG_MIRROR=$(if $(MIRROR),$(abspath $(MIRROR))) \
		$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_ask.ipynb

pictures: install  ## the pictures in the README, made anew
	$(BIN)/python -m scripts.make_pictures

evaluate: index  ## every writer that can run answers prompts/; reports in data/reports
	$(BIN)/rag evaluate writers $(ask_options) $(addprefix --validity ,$(LABELLED)) \
		--output $(DATA_DIR)/reports prompts/*.txt

test: check  ## every check and every test
	$(BIN)/pytest -n 2 --dist loadfile

hostile: install  ## everything that is tried against it, in its long form (an hour and more); the table says how it held
	$(BIN)/python -m tests.attacks

check: install  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what was built (not what was fetched: that is in $(DATA_DIR)/sources)
	rm -rf $(VENV) build dist *.egg-info $(DATA_DIR)/index $(DATA_DIR)/documents
