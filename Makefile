# Set-up is included: `make demo`, `make quick` (what guards everyday work) and `make test` (all of it) begin with nothing.
# VENV chooses where the environment lies, WORKERS how many processes share the tests.
VENV ?= .venv
PYTHON ?= python3
WORKERS ?= 2
RUN = $(VENV)/bin/python
# Whoever has nothing left takes tests of the other: neighbours, which share fixtures, stay together until then.
PYTEST = $(RUN) -m pytest -n $(WORKERS) --dist worksteal

# `make test-device` builds firmware and runs it on emulated boards: on those of QEMU whose tools are installed, as by
# 'apt-get install gcc-arm-none-eabi qemu-system-arm gcc-riscv64-unknown-elf qemu-system-misc', and by two packages alone.
# `make test-web` builds web pages and drives them in Chromium: 'apt-get install chromium'.
ZIGLANG = ziglang==0.17.1

# `make test-exchange` runs what needs the packages that networks come from and go to: snnTorch, SpikingJelly, Norse, sinabs,
# nir and ONNX Runtime.

.PHONY: demo quick test test-device test-web test-exchange check format house layers docs outputs clean

demo: $(VENV)/ready
	$(RUN) examples/demo.py

quick: $(VENV)/ready
	$(PYTEST) -m "not slow and not device and not web"

test: $(VENV)/ready
	$(PYTEST)

test-device: $(VENV)/device
	$(PYTEST) -m device -rs

test-web: $(VENV)/web
	$(RUN) -m pytest -m web -rs

test-exchange: $(VENV)/exchange
	$(PYTEST) -rs tests/exchange "tests/docs/test_tutorials.py::test_a_tutorial_runs[snntorch]"

check: $(VENV)/ready
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

format: $(VENV)/ready
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

house: $(VENV)/ready
	$(RUN) docs/house.py

layers: $(VENV)/ready
	$(RUN) docs/layers.py

# What the tutorials print, and their pictures, written anew.
outputs: $(VENV)/exchange
	$(RUN) docs/outputs.py

# The site, into build/site: warnings and links between pages that lead nowhere are errors.
docs: $(VENV)/docs
	$(RUN) -m sphinx -q -W --keep-going -b html docs build/site

$(VENV)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10))" || { echo "Python 3.10 or newer is needed: name it with PYTHON=..."; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" || { echo "Python's venv is missing: as with 'apt-get install python3-venv'"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); torch is large, this takes a while"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/device: $(VENV)/ready
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(ZIGLANG) unicorn==2.1.4
	touch $@

$(VENV)/web: $(VENV)/ready
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(ZIGLANG)
	touch $@

$(VENV)/exchange: $(VENV)/ready requirements-exchange.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-exchange.txt
	touch $@

$(VENV)/docs: $(VENV)/ready requirements-docs.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
