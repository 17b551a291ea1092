# Two commands do everything, set-up included: `make demo` and `make test`. VENV chooses where the environment lies.
VENV ?= .venv
PYTHON ?= python3
RUN = $(VENV)/bin/python

# `make test-device` builds firmware and runs it on emulated boards: on those of QEMU whose tools are installed, as by
# 'apt-get install gcc-arm-none-eabi qemu-system-arm gcc-riscv64-unknown-elf qemu-system-misc', and by two packages alone.
# `make test-web` builds web pages and drives them in Chromium: 'apt-get install chromium'.
ZIGLANG = ziglang==0.17.1

.PHONY: demo test test-device test-web check format clean

demo: $(VENV)/ready
	$(RUN) examples/demo.py

test: $(VENV)/ready
	$(RUN) -m pytest

test-device: $(VENV)/device
	$(RUN) -m pytest -m device -rs

test-web: $(VENV)/web
	$(RUN) -m pytest -m web -rs

check: $(VENV)/ready
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

format: $(VENV)/ready
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

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

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
