# make demo   install everything, run the main job, leave its pictures in demo/
# make test   install everything, check the style, run the tests
# make test-kernels   the tests of numbers again: with plain kernels, and with weights at odd addresses
# make docs   install the documentation tools too, write the documentation site to site/
# All build .venv on first use; remove it to start anew. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALLED := .venv/installed

.PHONY: demo test test-kernels docs format clean

demo: $(INSTALLED)
	$(BIN)/s5-hf demo --output demo

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

# What a matrix product gives to the last digit depends on the processor's kernels and on where the weights lie.
NUMBERS := tests/modeling tests/conversion tests/parity tests/predictors tests/scenes tests/training/test_pretraining.py \
	tests/training/test_pretrain_mae.py tests/training/test_finetuning.py
KERNELS := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(NUMBERS) \
	--ignore=tests/modeling/test_deployment.py

test-kernels: $(INSTALLED)
	ATEN_CPU_CAPABILITY=default $(KERNELS)
	S5_HF_SHIFT_WEIGHTS=1 $(KERNELS)

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python docs/build_site.py --strict

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Reinstalled whenever a file that decides what is installed has changed.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[change,dev,geo,onnx,plots]"
	$(BIN)/python -c "from pathlib import Path; Path('$(INSTALLED)').touch()"

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(path, ignore_errors=True) for path in ('.venv', 'build', 'demo', 'site')]"
