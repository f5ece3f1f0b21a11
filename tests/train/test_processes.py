"""Two processes train as one does: the same batches and draws, sums over both, and only the first writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploytool.base.messages import Messages
from deploytool.base.tensors import read_tensors
from deploytool.recipe import load_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.workflow.train import train

ROOT = Path(__file__).parents[2]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}
"""Two halves of a batch are summed in another order than the whole; in four steps that is what becomes of it."""

RECIPE = """
name = "pair"
[data]
set = "digits"
train_samples = 40
test_samples = 20
[network]
input = [2, 16, 16]
layers = [
    { type = "conv", out = 4, kernel = 3, stride = 2 }, { type = "batchnorm" }, { type = "spike" },
    { type = "flatten" }, { type = "linear", out = 10 }, { type = "spike" },
]
[constraints]
fan_in = 12
[train]
method = "mtt"
draws = 2
time_steps = 4
epochs = 2
batch = 5
learning_rate = 1e-3
average = 0.5
rate_penalty = 0.1
shift = 1
drop = 0.2
[train.base]
epochs = 1
learning_rate = 1e-3
"""
"""36 samples are trained on; the last batch is one of them, of which the second process has none."""


def launched(store: Path, recipe: Path) -> str:
    """What ``torchrun`` says of training ``recipe`` on two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["deploytool", "train", str(recipe), "--store", str(store), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def model(store: Path) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    (folder,) = Store(store).folders("model")
    return read_tensors(folder / "weights.safetensors"), json.loads((folder / "history.json").read_text())


def test_two_processes_give_the_model_of_one(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    train(StageCache(Store(tmp_path / "one"), Messages(quiet=True)), load_recipe(path))
    said = launched(tmp_path / "two", path)
    assert json.loads(said)["artifact"].startswith("model-")
    (one, history), (two, other) = model(tmp_path / "one"), model(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], **TOLERANCE, err_msg=name)
    for row, another in zip(history, other, strict=True):
        assert row == pytest.approx(another, rel=1e-4)
    (only,) = (tmp_path / "two").iterdir()
    assert only == Store(tmp_path / "two").folders("model")[0]
