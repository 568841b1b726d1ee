# Every target sets up what it needs in .venv; Python 3.11, 3.12 or 3.13 with pip is all that must be there.
# On Linux pip may take torch's CUDA build, 5 GB: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo
PYTHON ?= python3
BIN := .venv/bin
UNIT := $(addprefix tests/,messages storage reports data handlers/text handlers/request/test_protocol.py \
  handlers/request/test_inference_protocol.py models/recipes models/heads evaluation/test_metrics.py \
  evaluation/test_tasks.py evaluation/test_bootstrap.py serving/test_plan.py serving/test_properties.py \
  serving/test_versions.py loadtest/test_objectives.py)

.PHONY: demo test test-unit test-full check docs bench gpu-check clean

demo: .venv/installed
	$(BIN)/python -m lexport demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long"

# What needs no server and no training that takes long: to run between two edits.
test-unit: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" $(UNIT)

test-full: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# mypy sees the checkout as the package `lexport` through a link, whatever the folder is called.
check: .venv/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports
	mkdir -p .venv/typing && ln -sfn ../.. .venv/typing/lexport
	cd .venv/typing && ../bin/python -m mypy --config-file lexport/pyproject.toml -p lexport

# The site, in build/site; a link that leads nowhere is an error.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	$(BIN)/python docs/generate
	$(BIN)/python -m mkdocs build --strict

bench: .venv/installed
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/robustness.py
	$(BIN)/python benchmarks/joint.py
	$(BIN)/python benchmarks/dimension.py
	$(BIN)/python benchmarks/claims.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/text_in.py --recipes bag,hashed
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/request_path.py
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/memory.py

# On a machine with CUDA: parity on the device, where it overtakes the CPU, the load test. Elsewhere it says so.
gpu-check: .venv/installed
	$(BIN)/python -m pytest tests/chain/test_gpu.py
	$(BIN)/python benchmarks/gpu.py

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is %d.%d. Name one that you have, for example: make PYTHON=python3.11" % sys.version_info[:2])'
	@echo "Installing lexport and what it needs into .venv: 2 GB, a few minutes; 6 GB where pip takes torch's CUDA build (README.md)"
	@# A venv whose making was interrupted has no pip.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all,dev]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis lexport-demo
