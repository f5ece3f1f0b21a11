"""Trained weights to a Graph that computes exactly what training saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import ArtifactError, RecipeError
from deploytool.chip.chips import CHIPS, chip_named
from deploytool.chip.integers import quantise
from deploytool.convert.model import blank_weights, to_graph
from deploytool.convert.nir import read_nir, write_nir
from deploytool.ir.nodes import Conv, Linear, Spike
from deploytool.map.compile import compile_graph
from deploytool.recipe import ConstraintsSection, NetworkSection

NETWORK = NetworkSection.model_validate(
    {
        "input": (2, 9, 9),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3, "stride": 2, "padding": 1},
            {"type": "spike"},
            {"type": "avgpool", "kernel": 2},
            {"type": "conv", "out": 4, "kernel": 2, "name": "middle"},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 5},
            {"type": "spike"},
        ],
    }
)
SHAPES = {"conv1": (3, 2, 3, 3), "middle": (4, 3, 2, 2), "fc1": (5, 4)}


def latent(seed: int = 0, spread: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: (spread * rng.normal(size=shape)).astype(np.float32) for name, shape in SHAPES.items()}


def test_blank_weights_have_the_shapes_of_the_network() -> None:
    blank = blank_weights(NETWORK)
    assert {name: array.shape for name, array in blank.items()} == SHAPES
    assert to_graph(blank, NETWORK, ConstraintsSection()).shapes["output"] == (5, 1, 1)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    spread=st.floats(1e-3, 1e3),
    threshold=st.floats(1e-2, 1e2),
    floor=st.none() | st.floats(-1e2, 0),
    bits=st.integers(2, 8),
)
def test_quantising_the_graph_gives_the_integers_of_training(
    seed: int, spread: float, threshold: float, floor: float | None, bits: int
) -> None:
    constraints = ConstraintsSection(threshold=threshold, floor=floor, weight_bits=bits)
    integers = replace(CHIPS["speck2e"].integers, weight_bits=bits)
    weights = latent(seed, spread)
    graph = to_graph(weights, NETWORK, constraints)
    for name, spike_name in (("conv1", "spike1"), ("middle", "spike2"), ("fc1", "spike3")):
        layer, spike = graph.nodes[name], graph.nodes[spike_name]
        assert isinstance(layer, Conv | Linear)
        assert isinstance(spike, Spike)
        assert layer.weight.dtype == np.float32
        trained = quantise(weights[name], None, threshold, floor, integers)
        again = quantise(layer.weight, None, spike.threshold, spike.floor, integers)
        np.testing.assert_array_equal(again.weights, trained.weights)
        assert (again.threshold, again.floor) == (trained.threshold, trained.floor)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    spread=st.floats(1e-2, 1e2),
    threshold=st.floats(1e-1, 1e1),
    floor=st.none() | st.floats(-10, 0),
    bits=st.integers(2, 8),
)
def test_converted_and_mapped_weights_are_the_integers_of_training(
    tmp_path_factory: pytest.TempPathFactory, seed: int, spread: float, threshold: float, floor: float | None, bits: int
) -> None:
    constraints = ConstraintsSection(threshold=threshold, floor=floor, weight_bits=bits)
    chip = chip_named("speck2e")
    weights = latent(seed, spread)
    path = tmp_path_factory.getbasetemp() / "trained.nir"
    write_nir(to_graph(weights, NETWORK, constraints), path)
    program = compile_graph(read_nir(path), chip).program
    for name, array in weights.items():
        trained = quantise(array, None, threshold, floor, chip.integers_of(bits))
        pooled = 4 if name == "middle" else 1
        assume(pooled * trained.threshold <= chip.integers.threshold_max)
        np.testing.assert_array_equal(program.layers[name].single.weights.ravel(), trained.weights.ravel())
        assert program.layers[name].neurons.threshold == pooled * trained.threshold


def test_a_network_in_real_numbers_states_no_width_and_gets_the_chips() -> None:
    graph = to_graph(latent(), NETWORK, ConstraintsSection(weight_bits=32))
    assert graph.weight_bits is None
    mapped = compile_graph(graph, chip_named("speck2e")).program.layers["fc1"].single.weights
    assert np.abs(mapped.astype(int)).max() >= 127
    assert to_graph(latent(), NETWORK, ConstraintsSection(weight_bits=3)).weight_bits == 3


def test_the_graph_goes_through_a_file(tmp_path: Path) -> None:
    graph = to_graph(latent(), NETWORK, ConstraintsSection(floor=None, reset="zero"), dt_ms=10.0)
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert graph.dt_ms == 10.0


def test_wrong_weights_are_told_all_at_once() -> None:
    weights = latent() | {"fc1": np.ones((5, 3), np.float32), "fc9": np.ones(1, np.float32)}
    weights["middle"][0, 0, 0, 0] = np.nan
    del weights["conv1"]
    with pytest.raises(ArtifactError) as error:
        to_graph(weights, NETWORK, ConstraintsSection())
    assert [problem.split("'")[1] for problem in error.value.problems] == ["conv1", "fc1", "fc9", "middle"]


def test_a_network_whose_shapes_do_not_match_is_the_recipe_s_fault() -> None:
    unflattened = {"input": (2, 9, 9), "layers": [{"type": "linear", "out": 5}, {"type": "spike"}]}
    with pytest.raises(RecipeError, match=r"network.layers: 'fc1': .*Check whether a Flatten is missing"):
        blank_weights(NetworkSection.model_validate(unflattened))
