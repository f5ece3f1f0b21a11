"""The table of methods: every name of the recipe is in it, and what it says is known without torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from helpers.tiny import NETWORK, spec

from deploytool.base.errors import UnsupportedError
from deploytool.recipe import ConstraintsSection, TrainSection
from deploytool.recipe.nodes import without_norms
from deploytool.train.methods.table import METHODS, build, method_of
from deploytool.train.network.spiking import SpikingNetwork
from deploytool.train.outside import Needs

BASE = {"epochs": 1, "learning_rate": 0.1}
NORMED = NETWORK.model_validate(
    {"input": (2, 6, 6), "layers": [{"type": "conv", "out": 3, "kernel": 3}, {"type": "batchnorm"}, {"type": "spike"}]}
)


def asked(name: str, **keys: Any) -> TrainSection:
    return spec(method=name, **{"tit": [[2, 1], [4, 3]]} if name == "tit" else {}, **keys)


def test_the_table_has_the_methods_of_the_recipe() -> None:
    assert set(METHODS) == set(get_args(TrainSection.model_fields["method"].annotation))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_builds_a_network(name: str) -> None:
    net = build(NETWORK, ConstraintsSection(floor=None), asked(name))
    assert isinstance(net, SpikingNetwork)
    assert METHODS[name].says


def test_the_table_loads_no_torch() -> None:
    code = "import sys, deploytool.workflow.train, deploytool.workflow.convert; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", METHODS)
def test_batch_norms_are_gone_where_the_method_folds_them_or_a_base_removes_them(name: str) -> None:
    kept = METHODS[name].trained_network(NORMED, asked(name))
    assert kept == (without_norms(NORMED) if name == "ptl" else NORMED)
    if name not in ("ptl", "trev", "events"):
        assert METHODS[name].trained_network(NORMED, asked(name, base=BASE)) == without_norms(NORMED)


def test_what_a_method_needs_from_outside() -> None:
    assert method_of(spec()).needs(spec()) == Needs()
    ptl = spec(method="ptl", loss="mse", ptl={"ann": "net.onnx", "forward": "emulator"})
    assert method_of(ptl).needs(ptl) == Needs("net.onnx", emulator=True, pictures=True)
    assert method_of(ptl).needs(spec(method="ptl")) == Needs()


def test_a_t_revsnn_is_for_training_only() -> None:
    method_of(spec()).require_deployable(spec())
    undone = spec(method="trev")
    method_of(undone).require_deployable(undone)
    staged = spec(method="trev", trev={"on": ["spike1"]})
    with pytest.raises(UnsupportedError, match=r"train\.trev\.on: spike1 keep potentials that leak"):
        method_of(staged).require_deployable(staged)
