# Every target sets up what it needs in .venv; Python 3.11, 3.12 or 3.13 with pip is all that must be there.
# On Linux pip may take torch's CUDA build, 5 GB: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo
PYTHON ?= python3
BIN := .venv/bin
UNIT := $(addprefix tests/,messages storage reports data handlers/text handlers/request/test_protocol.py \
  models/recipes models/heads evaluation/test_metrics.py \
  evaluation/test_tasks.py evaluation/test_bootstrap.py serving/test_plan.py serving/settings \
  serving/test_versions.py serving/embedded/test_batching.py serving/embedded/test_versions.py serving/embedded/http \
  loadtest/test_objectives.py)

.PHONY: demo test test-unit test-full check docs bench gpu-check clean

demo: .venv/installed
	$(BIN)/python -m lexport demo

# Compiled modules are kept, whatever the shell says: every worker, command and server would compile all of them again.
test test-unit test-full: export PYTHONDONTWRITEBYTECODE =

# Threads of one worker would wait for the cores that the others use: a sixth of all time.
test test-unit test-full: export OMP_NUM_THREADS = 1

# Three workers on two cores, because a third of the time a test waits for a server to start.
test: .venv/installed
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long"

# What needs no server and no training that takes long: to run between two edits.
test-unit: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" $(UNIT)

test-full: .venv/installed
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

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

# The figures in docs/benchmarks, and the page of them, anew; a limit that is missed ends none of the others.
FIGURES := docs/benchmarks
bench: .venv/installed
	-$(BIN)/python benchmarks/accuracy.py --json $(FIGURES)/accuracy.json
	-$(BIN)/python benchmarks/training.py --json $(FIGURES)/training.json
	-$(BIN)/python benchmarks/commands.py --json $(FIGURES)/commands.json
	-$(BIN)/python benchmarks/robustness.py --json $(FIGURES)/robustness.json
	-$(BIN)/python benchmarks/joint.py --json $(FIGURES)/joint.json
	-$(BIN)/python benchmarks/label_errors.py --json $(FIGURES)/label_errors.json
	-$(BIN)/python benchmarks/dimension.py --dims 4,8,16,32,64 --json $(FIGURES)/dimension-bag-rotten-tomatoes.json
	-$(BIN)/python benchmarks/dimension.py --data bbc-news --dims 4,8,16,32,64 --json $(FIGURES)/dimension-bag-bbc-news.json
	-$(BIN)/python benchmarks/dimension.py --data chinese-reviews --dims 4,8,16,32 --seeds 2 --json $(FIGURES)/dimension-bag-chinese-reviews.json
	-$(BIN)/python benchmarks/dimension.py --data imdb --dims 8,16,32 --seeds 1 --json $(FIGURES)/dimension-bag-imdb.json
	-$(BIN)/python benchmarks/dimension.py --recipe cnn --dims 16,64,128 --seeds 2 --json $(FIGURES)/dimension-cnn-rotten-tomatoes.json
	-$(BIN)/python benchmarks/dimension.py --recipe transformer --dims 16,64 --seeds 1 --json $(FIGURES)/dimension-transformer-rotten-tomatoes.json
	-$(BIN)/python benchmarks/dimension.py --data bbc-news --recipe vectors --dims 16,32,64,128,256 --json $(FIGURES)/dimension-vectors-bbc-news.json
	-$(BIN)/python benchmarks/dimension.py --data chinese-reviews --recipe vectors --dims 16,256 --seeds 1 --json $(FIGURES)/dimension-vectors-chinese-reviews.json
	-$(BIN)/python benchmarks/vectors.py --json $(FIGURES)/vectors.json
	-$(BIN)/python benchmarks/claims.py --write docs/claims.md
	-$(BIN)/python benchmarks/inference.py --json $(FIGURES)/inference.json
	-$(BIN)/python benchmarks/precision.py --json $(FIGURES)/precision.json
	-$(BIN)/python benchmarks/text_in.py --recipes bag,hashed --words 10000 --json $(FIGURES)/text-in-rotten-tomatoes.json
	-$(BIN)/python benchmarks/text_in.py --data chinese-reviews --json $(FIGURES)/text-in-chinese-reviews.json
	-$(BIN)/python benchmarks/serving.py --json $(FIGURES)/serving.json
	-$(BIN)/python benchmarks/request_path.py --variant onnx-fp32 --json $(FIGURES)/request_path.json
	-$(BIN)/python benchmarks/http_servers.py --json $(FIGURES)/http_servers.json
	-$(BIN)/python benchmarks/rivals.py lexport-demo/model_store/movie-reviews-1.0.mar --json $(FIGURES)/rivals.json
	-$(BIN)/python benchmarks/embedded.py lexport-demo/model_store/movie-reviews-1.0.mar --json $(FIGURES)/embedded.json
	-$(BIN)/python benchmarks/ray_cluster.py lexport-demo/model_store/movie-reviews-1.0.mar --json $(FIGURES)/ray_cluster.json
	-$(BIN)/python benchmarks/mixed.py --json $(FIGURES)/mixed.json
	-$(BIN)/python benchmarks/grpc_calls.py lexport-demo/model_store/movie-reviews-1.0.mar --json $(FIGURES)/grpc_calls.json
	-$(BIN)/python benchmarks/open_loop.py --json $(FIGURES)/open_loop.json
	-$(BIN)/python benchmarks/tune.py lexport-demo/model_store/movie-reviews-1.0.mar --json $(FIGURES)/tune.json
	-$(BIN)/python benchmarks/soak.py --json $(FIGURES)/soak.json
	-$(BIN)/python benchmarks/soak.py --engine embedded --json $(FIGURES)/soak-embedded.json
	-$(BIN)/python benchmarks/faults.py --json $(FIGURES)/faults.json
	-$(BIN)/python benchmarks/canary.py --json $(FIGURES)/canary.json
	-$(BIN)/python benchmarks/memory.py --json $(FIGURES)/memory.json
	$(BIN)/python docs/generate

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
