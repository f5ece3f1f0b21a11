"""Networks from everything that a script has them in, and what else is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from helpers.command import network
from torch import nn

import deploytool as dt
from deploytool.convert.nir import write_nir

sinabs = pytest.importorskip("sinabs", reason="sinabs is not installed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_nir(network(), tmp_path / "net.nir")
    return tmp_path / "net.nir"


def module() -> nn.Module:
    from sinabs.layers import IAFSqueeze

    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, bias=False), IAFSqueeze(batch_size=1), nn.Flatten(), nn.Linear(48, 4, bias=False)]
    return nn.Sequential(*layers, IAFSqueeze(batch_size=1))


def test_a_file(file: Path) -> None:
    found = dt.load(file)
    assert found.value == network() or found.value.digest == network().digest
    assert repr(found) == "Graph(2x16x16 -> 3x7x7, 180 weights)"
    assert found.input_shape == (2, 16, 16)
    assert found == dt.load(str(file))
    assert hash(found) == hash(dt.load(file))


def test_a_graph_of_nir(file: Path) -> None:
    assert dt.load(nir.read(file), "subtract", -1.0).value.digest == network().digest
    weights = np.ones((2, 3), np.float32)
    neurons = nir.IF(r=np.ones(2), v_threshold=np.ones(2))
    made = nir.NIRGraph.from_list(nir.Input({"input": np.array([3])}), nir.Linear(weights), neurons)
    with pytest.raises(dt.DeployError, match=r'NIRGraph: does not say how.*reset="subtract" or "zero"'):
        dt.load(made)
    assert dt.load(made, reset="zero").weights == 6


def test_it_becomes_a_graph_of_nir_and_comes_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dt.load(file).to_nir()
    assert isinstance(found, nir.NIRGraph)
    assert dt.load(found).value.digest == network().digest
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(dt.DeployError, match=r"^to_nir: nir is not installed; need nir\. pip install nir$"):
        dt.load(file).to_nir()


def test_a_module_of_torch_and_sinabs() -> None:
    made = module()
    found = dt.load(made, shape=(2, 6, 6))
    assert (found.weights, found.input_shape) == (54 + 192, (2, 6, 6))
    assert found.originals["conv1"] == "0"
    assert found == dt.load(sinabs.network.Network(None, made), shape=(2, 6, 6))
    with pytest.raises(dt.DeployError, match=r"Sequential: no input shape; need shape=\(C, H, W\)"):
        dt.load(made)
    with pytest.raises(dt.DeployError, match=r"reset=: given with a module, which already states this; need shape= "):
        dt.load(made, reset="zero", shape=(2, 6, 6))


def test_a_state_dict(tmp_path: Path) -> None:
    recipe = tmp_path / "net.toml"
    recipe.write_text(
        'network.input = [2, 6, 6]\nnetwork.layers = [{type="conv", out=3, kernel=3}, {type="spike"}, '
        '{type="flatten"}, {type="linear", out=4}, {type="spike"}]\nconstraints.floor = -inf\n'
    )
    state = {name: tensor for name, tensor in module().state_dict().items() if name.endswith("weight")}
    torch.save(state, tmp_path / "net.pt")
    found = dt.load(state, network=recipe)
    assert found.value.digest == dt.load(tmp_path / "net.pt", network=recipe).value.digest
    with pytest.raises(dt.DeployError, match=r"state_dict: weights without their layers .*; need network=RECIPE"):
        dt.load(state)


def test_results_and_values() -> None:
    found = dt.load(network())
    assert dt.load(found) == found
    with pytest.raises(dt.DeployError, match="reset=: given with an artifact"):
        dt.load(found, reset="subtract")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (3, "source: a int; need a path, an artifact's name, a torch.nn.Module, a nir.NIRGraph, a state dict"),
        (np.zeros(3), "source: a ndarray; need a path"),
        ("nothing.nir", "nothing.nir: no such file or artifact"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(source: Any, says: str) -> None:
    with pytest.raises(dt.DeployError) as refused:
        dt.load(source)
    assert says in str(refused.value)
    assert len(refused.value.problems) == 1


def test_other_functions_say_what_they_take(file: Path) -> None:
    net = dt.load(file)
    program = dt.compile(net)
    sample = dt.events(np.zeros((1, 2, 16, 16)), dt_ms=1)
    for call, says in (
        (lambda: dt.emulate(net, sample), "emulate: a Graph; need a Program, which compile makes of a network"),  # type: ignore[arg-type]
        (lambda: dt.compile(program), "compile: a Program; need a network"),
        (lambda: dt.compare(program, net), "compare: a Program; need a Recording"),  # type: ignore[arg-type]
        (lambda: dt.report(net, "a.html"), "report: a Graph; need a Verdict or a Comparison"),  # type: ignore[arg-type]
        (lambda: dt.save(3), "save: a int; need a Model"),  # type: ignore[type-var]
        (lambda: dt.train(3), "recipe: a int; need a file, a Recipe, or a dictionary"),  # type: ignore[arg-type]
        (lambda: dt.train({}, "train.epochs=1"), "set: found 'train.epochs=1'; need a list of changes"),
        (lambda: dt.validate([]), "validate: no recording; need at least one"),
        (lambda: dt.clock_driven(program, sample), "no number of time steps; need time_steps="),
        (lambda: dt.compile(net, "speck9"), "chip: found 'speck9'; need one of speck2e"),
    ):
        with pytest.raises(dt.DeployError) as refused:
            call()
        assert says in str(refused.value)
