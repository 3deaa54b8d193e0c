# Every target makes the environment it needs: a bare machine with Python and make is enough.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready

.PHONY: demo test lint clean

demo: $(READY)  ## A photograph, a per-pixel score on it, and the fused score beside it: demo_out/demo.png
	$(VENV)/bin/csl-plugin demo

test: $(READY)  ## The tests and the examples in the documentation
	$(VENV)/bin/python -m pytest

lint: $(READY)  ## Format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) demo_out

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@
