# Every target makes the environment it needs: a bare machine with Python and make is enough.
PYTHON ?= python3
DATA ?= data
VENV := .venv
READY := $(VENV)/ready

.PHONY: demo test lint bench effect gpu clean

demo: $(READY)  ## A photograph, a per-pixel score on it, and the fused score beside it: demo_out/demo.png
	$(VENV)/bin/csl-plugin demo

test: $(READY)  ## The tests and the examples in the documentation
	$(VENV)/bin/python -m pytest --numprocesses 2

lint: $(READY)  ## Format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(VENV)/ready-to-bench  ## Time and memory beside other ways: docs/results/performance.md; ARGS=--quick for less
	$(VENV)/bin/python -m benchmarks.speed.run $(ARGS)

effect: $(READY)  ## The pages of docs/results on data in DATA; trains networks, which takes hours
	$(VENV)/bin/python -m benchmarks.effect --data $(DATA) $(ARGS)

gpu:  ## The GPU's tests and figures, with the torch of $(PYTHON)
	$(PYTHON) -m pytest tests/ops/test_gpu.py || test $$? -eq 5  # 5: all of it was skipped
	$(PYTHON) -m benchmarks.speed.gpu $(ARGS)

clean:
	rm -rf $(VENV) demo_out

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@

# pydensecrf2 is compiled on the spot; where that fails, its row is left out.
$(VENV)/ready-to-bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	-$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt pydensecrf2
	touch $@
