# Every target makes the environment that it needs under .venv/, and makes it anew when its inputs change.

.DEFAULT_GOAL = help

PYTHON ?= python3
VENV ?= .venv
# Without --no-compile, more than half of the time of an installation goes to modules that are never imported.
BARE_PIP = -m pip --disable-pip-version-check install --quiet --no-compile
PIP = $(BARE_PIP) --constraint constraints.txt
INPUTS = pyproject.toml constraints.txt
SOURCES = $(shell find advantages backends adapters -name '*.py')

# Tests start many processes: without compiled modules kept, each spends ten seconds on compiling torch and transformers.
export PYTHONDONTWRITEBYTECODE =

# Tests run in two processes, each of which must not start threads for all cores.
WORKERS ?= 2
TEST = OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n $(WORKERS) --dist worksteal --durations 15

FOUND = $(sort $(patsubst tests/adapters/%/requirements.txt,%,$(wildcard tests/adapters/*/requirements.txt)))
SLOWEST = openrlhf trl verl
# The slowest come first: where two are tested at a time, one of them would end alone.
ADAPTERS = $(filter $(SLOWEST),$(FOUND)) $(filter-out $(SLOWEST),$(FOUND))

.PHONY: help bench demo test test-thorough test-adapters test-numpy test-triton lint types laboratory vectors docs study clean

help:  ## what can be made
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/demo/ready  ## train a tiny model with GRPO and with LamPO, and compare
	$(VENV)/demo/bin/advantages train --estimator grpo,lampo --seeds 3 --runs runs/demo

# XLA compiles each of thousands of small programs once: without its passes over them, that takes half of the time.
# `make test-thorough` compiles as users do.
test: export XLA_FLAGS = --xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0
test: $(VENV)/test/ready  ## the whole test suite of the core, doctests included
	$(call TEST,$(VENV)/test)

lint: $(VENV)/test/ready  ## style, and who may import whom
	$(VENV)/test/bin/ruff check .
	$(VENV)/test/bin/ruff format --check .
	$(VENV)/test/bin/lint-imports

types: $(VENV)/test/ready  ## the type checkers mypy and pyright
	$(VENV)/test/bin/mypy
	$(VENV)/test/bin/pyright --pythonpath $(VENV)/test/bin/python

# Strict: a warning, a link that leads nowhere, an undocumented public name or a formula that cannot be read fails it.
docs: $(VENV)/docs/ready  ## the site, in build/docs/site, looked at in chromium where there is one
	$(VENV)/docs/bin/python docs/generate build/docs/source
	$(VENV)/docs/bin/python -m sphinx -W --keep-going -q -E -c docs/generate build/docs/source build/docs/site
	$(VENV)/docs/bin/python -m pytest -q tests/docs/test_generate.py tests/docs/test_site.py

test-numpy: $(VENV)/numpy/ready  ## the properties of all estimators where numpy alone is installed
	$(call TEST,$(VENV)/numpy) tests/estimators tests/bug_zoo

test-triton: $(VENV)/triton/ready  ## the kernels for GPUs, in Triton's interpreter on the CPU
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 $(VENV)/triton/bin/python -m pytest -n $(WORKERS) tests/core/test_triton.py

test-thorough: $(VENV)/test/ready  ## the whole test suite, with 300 examples for each property, not 8
	$(call TEST,$(VENV)/test) --hypothesis-profile=thorough

test-adapters: $(ADAPTERS:%=test-adapter-%)  ## each adapter in an environment of its own, against the real package

# tests/adapters/trl-1.8 has requirements alone: another version of TRL, for those tests of tests/adapters/trl that its
# tests.txt names. The environments of all of them take some 12 GB; with ONCE=1 each goes when its tests have passed.
test-adapter-%: $(VENV)/adapter-%/ready
	$(VENV)/adapter-$*/bin/python -m pytest -o filterwarnings=default $(or $(patsubst %,@%,$(wildcard tests/adapters/$*/tests.txt)),tests/adapters/$*)
	$(if $(ONCE),rm -rf $(VENV)/adapter-$*)

laboratory: $(VENV)/test/ready  ## the table of docs/laboratory.md anew, whole
	$(VENV)/test/bin/advantages lab --into docs/laboratory.md

vectors: $(VENV)/test/ready  ## the golden vectors of docs/vectors anew
	$(VENV)/test/bin/advantages vectors --out docs/vectors

study: $(VENV)/demo/ready  ## LamPO's family on tiny models, about 90 minutes on two cores; goes on where it was stopped
	$(VENV)/demo/bin/python benchmarks/lampo/study.py
	$(VENV)/demo/bin/python benchmarks/lampo/report.py

# OpenRLHF imports two packages that need CUDA, and calls nothing of them here: as in its tests, there are stand-ins.
# One thread each, as torchrun has it: threads that wait for each other measure the machine's other work.
bench: $(VENV)/bench/ready  ## time ours beside other packages on this machine, and make docs/benchmarks.md
	OMP_NUM_THREADS=1 PYTHONPATH=tests/adapters/openrlhf/stubs $(VENV)/bench/bin/python -m advantages bench --page docs/benchmarks.md

clean:  ## remove the environments and what was built
	rm -rf $(VENV) build *.egg-info

# torch comes first and pinned: where a CPU build lies on the machine, pip takes that. It is installed once: linking the
# files takes a second and no room, where pip takes half a minute and a gigabyte for each environment.
$(VENV)/torch/ready:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP) --upgrade pip
	$(@D)/bin/python $(PIP) torch
	touch $@

$(VENV)/%/python: $(VENV)/torch/ready
	$(PYTHON) -m venv --clear --without-pip $(@D)
	cp -al $(VENV)/torch/lib/. $(@D)/lib/ || cp -a $(VENV)/torch/lib/. $(@D)/lib/
	touch $@

$(VENV)/demo/ready: $(VENV)/demo/python $(INPUTS) $(SOURCES)
	$(VENV)/demo/bin/python $(PIP) '.[cli,train]'
	touch $@

$(VENV)/test/ready: $(VENV)/test/python $(INPUTS)
	PYTHONWARNINGS=ignore $(VENV)/test/bin/python $(PIP) --editable '.[dev]'
	touch $@

# Packages that would pull in CUDA, or another torch, come without their requirements, which are listed beside them.
$(VENV)/adapter-%/ready: $(VENV)/adapter-%/python tests/adapters/%/requirements.txt pyproject.toml
	list=tests/adapters/$*/requirements-no-deps.txt; \
		[ ! -f $$list ] || $(@D)/bin/python $(BARE_PIP) --no-deps --requirement $$list
	PYTHONWARNINGS=ignore $(@D)/bin/python $(BARE_PIP) --requirement tests/adapters/$*/requirements.txt --editable .
	touch $@

$(VENV)/bench/ready: $(VENV)/bench/python $(wildcard benchmarks/requirements*.txt) pyproject.toml
	PYTHONWARNINGS=ignore $(@D)/bin/python $(BARE_PIP) --requirement benchmarks/requirements.txt --editable .
	$(@D)/bin/python $(BARE_PIP) --no-deps --requirement benchmarks/requirements-no-deps.txt
	touch $@

$(VENV)/triton/ready: $(VENV)/triton/python $(INPUTS)
	PYTHONWARNINGS=ignore $(VENV)/triton/bin/python $(PIP) pytest-xdist --editable '.[gpu,testing]'
	touch $@

$(VENV)/numpy/ready: $(INPUTS)
	$(PYTHON) -m venv $(VENV)/numpy
	PYTHONWARNINGS=ignore $(VENV)/numpy/bin/python $(PIP) pytest-xdist --editable '.[testing]'
	touch $@

$(VENV)/docs/ready: $(INPUTS)
	$(PYTHON) -m venv --clear $(VENV)/docs
	PYTHONWARNINGS=ignore $(VENV)/docs/bin/python $(PIP) --editable '.[docs]'
	touch $@

.PRECIOUS: $(VENV)/torch/ready $(VENV)/%/python $(VENV)/adapter-%/ready
