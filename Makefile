# make setup   .venv with everything the tests and recipes need
# make demo    the main job: real handwritten digits as events, from training to a verdict on the Speck2e emulator
# make test    the tests
# make check   lint, format and types
# make bench   the benchmarks, as ratios measured in one run
.PHONY: setup demo test check bench clean

PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,datasets,onnx,dev]'
	@# sinabs serves as a peer in tests. Without its dependencies: one of them, samna, installs itself over the network.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt sinabs
	touch $(READY)

demo: $(READY)
	$(BIN)/deploytool pipeline recipes/digits.toml

test: $(READY)
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest hw_tests --device emulator

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/deploytool bench

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
