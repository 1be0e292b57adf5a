# Every target makes the environment that it needs under .venv/, and makes it anew when its inputs change.

PYTHON ?= python3
VENV ?= .venv
PIP = -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
INPUTS = pyproject.toml constraints.txt
SOURCES = $(shell find advantages backends adapters -name '*.py')

.PHONY: demo test test-numpy lint types clean

demo: $(VENV)/demo/ready  ## train a tiny model with GRPO and with LamPO, and compare
	$(VENV)/demo/bin/advantages train --estimator grpo,lampo --seeds 2 --runs runs/demo

test: $(VENV)/test/ready  ## the whole test suite of the core, doctests included
	$(VENV)/test/bin/python -m pytest

lint: $(VENV)/test/ready
	$(VENV)/test/bin/ruff check .
	$(VENV)/test/bin/ruff format --check .

types: $(VENV)/test/ready
	$(VENV)/test/bin/mypy
	$(VENV)/test/bin/pyright --pythonpath $(VENV)/test/bin/python

test-numpy: $(VENV)/numpy/ready  ## the properties of all estimators where numpy alone is installed
	$(VENV)/numpy/bin/python -m pytest tests/test_estimators.py tests/test_mathematics.py tests/test_known_bugs.py

clean:
	rm -rf $(VENV) build *.egg-info

# torch comes first and pinned: where a CPU build lies on the machine, pip takes that.
$(VENV)/%/python:
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python $(PIP) --upgrade pip
	$(VENV)/$*/bin/python $(PIP) torch
	touch $@

$(VENV)/demo/ready: $(VENV)/demo/python $(INPUTS) $(SOURCES)
	$(VENV)/demo/bin/python $(PIP) '.[cli,train]'
	touch $@

$(VENV)/test/ready: $(VENV)/test/python $(INPUTS)
	PYTHONWARNINGS=ignore $(VENV)/test/bin/python $(PIP) --editable '.[dev]'
	touch $@

$(VENV)/numpy/ready: $(INPUTS)
	$(PYTHON) -m venv $(VENV)/numpy
	PYTHONWARNINGS=ignore $(VENV)/numpy/bin/python $(PIP) --editable '.[testing]'
	touch $@

.PRECIOUS: $(VENV)/%/python
