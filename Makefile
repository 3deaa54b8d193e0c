# Every target makes the environment it needs: a bare machine with Python and make is enough.
PYTHON ?= python3
JOBS ?= 2
DATA ?= data
VENV := .venv
LOWEST := .venv-lowest
LOWEST_TORCH ?= $(shell sed -n "s/^torch==//p" constraints.txt)
PIP := -m pip --quiet --disable-pip-version-check install --constraint

.PHONY: help demo test test-all attack mutants lint dist sdist-test lowest docs docs-links bench effect notebooks gpu clean

help:  ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready  ## A street, a score per pixel on it, and the fused score: demo_out/demo.png, with its inputs
	$(VENV)/bin/csl-plugin demo

test: $(VENV)/ready-to-test  ## The fast tests and the examples in the documentation; ARGS=tests/fusion for some of them
	@echo "The fast tests: seven minutes on two idle cores. All tests: make test-all, 25 minutes."
	$(VENV)/bin/python -m pytest --numprocesses $(JOBS) -m 'not slow' $(ARGS)

test-all: $(VENV)/ready-to-test-all  ## All tests
	$(VENV)/bin/python -m pytest --numprocesses $(JOBS) $(ARGS)

attack: $(VENV)/ready-to-test  ## Damaged files, kills, full disks, random calls for ten minutes; ARGS="--seconds 60 --seed 1"
	$(VENV)/bin/python -m tests.attack $(ARGS)

mutants: $(VENV)/ready-to-test  ## Which changes to the numerical core no test notices: hours; ARGS="--count 50 --file adaptive"
	$(VENV)/bin/python -m tests.mutants $(ARGS)

lint: $(VENV)/ready-to-lint  ## Format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

dist: $(VENV)/ready-to-release  ## The sdist, and the wheel that is built from it, with their contents checked: dist/
	rm -rf dist
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*
	$(VENV)/bin/python -m tests.helpers.distributions dist

sdist-test: dist  ## The sdist in an empty folder, tested by its own tests; ARGS=tests/fusion for some of them
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && tar -xzf dist/*.tar.gz -C "$$folder" --strip-components 1 \
	    && $(MAKE) -C "$$folder" test

lowest: $(LOWEST)/ready  ## The fast tests on the lowest versions of everything; ARGS=tests/fusion for some of them
	$(LOWEST)/bin/python -m pytest --numprocesses $(JOBS) -m 'not slow' $(ARGS)

docs: $(VENV)/ready-to-docs  ## The site: docs/_build/html/index.html; a warning is an error
	$(VENV)/bin/sphinx-build -W --keep-going -n -q $(ARGS) docs docs/_build/html
	$(VENV)/bin/python docs/check_site.py docs/_build/html

docs-links: $(VENV)/ready-to-docs  ## Asks the network for every address on the site
	$(VENV)/bin/sphinx-build -b linkcheck -q docs docs/_build/links

bench: $(VENV)/ready-to-bench  ## Time and memory beside other ways: docs/results/performance.md; ARGS=--quick for less
	$(VENV)/bin/python -m benchmarks.speed.run $(ARGS)

effect: $(VENV)/ready-to-bench  ## The pages of docs/results on data in DATA; trains networks, which takes hours
	$(VENV)/bin/python -m benchmarks.effect --data $(DATA) $(ARGS)

notebooks: $(VENV)/ready-to-test-all  ## The notebooks of docs/notebooks, executed in place; ARGS=docs/notebooks/1-first-steps.ipynb for one
	$(VENV)/bin/python -m benchmarks.guide.notebooks $(ARGS)

gpu:  ## The GPU's tests and speed, with the torch of $(PYTHON)
	$(PYTHON) -m pytest tests/ops/test_gpu.py tests/wrapper/test_gpu.py || test $$? -eq 5  # 5: all of it was skipped
	$(PYTHON) -m benchmarks.speed.gpu $(ARGS)

clean:  ## Remove the environments and what was built
	rm -rf $(VENV) $(LOWEST) build dist demo_out docs/_build

$(VENV)/ready: pyproject.toml constraints.txt
	@echo "Installing the package into $(VENV): torch is most of it."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) constraints.txt --editable .
	touch $@

$(VENV)/ready-to-test: $(VENV)/ready
	@echo "Installing the test tools and the packages of the extras into $(VENV): 0.3 GB."
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[test]'
	touch $@

# Triton alone is 1 GB. The page's tests also need a Chromium of the system; without one they are skipped.
$(VENV)/ready-to-test-all: $(VENV)/ready-to-test
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[notebooks,onnx,raster,test-app,test-kernels]'
	touch $@

$(VENV)/ready-to-lint: $(VENV)/ready
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[lint]'
	touch $@

$(VENV)/ready-to-docs: $(VENV)/ready
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/ready-to-release: $(VENV)/ready
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[release]'
	touch $@

# pydensecrf2 is compiled on the spot; where that fails, its row is left out.
$(VENV)/ready-to-bench: $(VENV)/ready-to-test
	$(VENV)/bin/python $(PIP) constraints.txt --editable '.[bench]'
	-$(VENV)/bin/python $(PIP) constraints.txt pydensecrf2
	touch $@

$(LOWEST)/ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python $(PIP) constraints-lowest.txt torch==$(LOWEST_TORCH) --editable '.[test]'
	touch $@
