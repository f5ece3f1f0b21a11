# make setup   .venv with everything the tests and recipes need
# make demo    the main job: real handwritten digits as events, from training to a verdict on the Speck2e emulator
# make test    the tests
# make fuzz    hostile inputs for every reader: N of them, with seeds from SEED on
# make kills   commands killed at N moments, 100 by default, drawn from SEED: what they leave, and what they make then
# make soak    an hour of commands and one long-lived process while faults are injected: build/soak; MINUTES=, SEED=
# make check   lint, format and types
# make bench   the benchmarks, as ratios measured in one run
# make docs    the documentation: site/index.html
# make pictures   the pictures of the report in the documentation (needs chromium)
# make models     the trained models that ship, trained and measured again; N-MNIST too with NMNIST=FOLDER
# make wheel-check   the wheel alone in an empty environment, on CPython 3.11, 3.12 and 3.13 where they exist
# make vendor-check   our rules and configuration against the vendor's own validator (needs CPython 3.10)
# make audit   known vulnerabilities of the pinned dependencies (needs an index)
.PHONY: setup demo test fuzz kills soak check bench docs pictures models wheel-check vendor-check audit clean

PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready
N ?= 100000
SEED ?= $(shell date +%s)000

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,tensorboard,datasets,hdf5,onnx,speech,cluster,dev,browser,docs]'
	@# sinabs serves as a peer in tests. Without its dependencies: one of them, samna, installs itself over the network.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt sinabs nirtorch pbr
	touch $(READY)

demo: $(READY)
	$(BIN)/deploytool pipeline recipes/digits.toml

test: $(READY)
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest hw_tests --device emulator

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --cases $(N) --seed $(SEED)

kills: N = 100
kills: $(READY)
	PYTHONPATH=$(CURDIR)/tests:$(CURDIR) $(BIN)/python -m faults.kills --moments $(N) --seed $(SEED)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/deploytool bench

soak: $(READY)
	PYTHONPATH=$(CURDIR)/tests:$(CURDIR) $(BIN)/python -m soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED)) --output build/soak

docs: $(READY)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs site
	PYTHONPATH=docs $(BIN)/python -m manual.site site

pictures: demo
	PYTHONPATH=docs $(BIN)/python -m manual.pictures docs/images

models: $(READY)
	$(BIN)/python -m deploytool.workflow.ship digits ptl-digits $(if $(NMNIST),nmnist='$(NMNIST)')

wheel-check:
	@.ci/wheel-check

vendor-check: $(READY)
	@.ci/vendor-check

audit:
	@PYTHON=$(PYTHON) .ci/audit

clean:
	rm -rf .venv .venv-vendor build dist site jupyter_execute *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
