"""The membrane at the start, from a model to the chip's configuration: one value, whatever it passes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploytool.base.arrays import Array
from deploytool.base.errors import ArtifactError, InputError
from deploytool.chip.chips import CHIPS
from deploytool.chip.integers import integer_start
from deploytool.convert.model import blank_weights, to_graph
from deploytool.convert.nir import read_nir, write_nir
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.program_file import load_program, save_program
from deploytool.map.compile import compile_graph
from deploytool.map.emit import configuration
from deploytool.map.group import group
from deploytool.map.quantise import layer_report, quantise
from deploytool.map.readout import widen
from deploytool.map.split import split
from deploytool.recipe import ConstraintsSection, NetworkSection

CHIP = CHIPS["speck2e"]
NETWORK = NetworkSection.model_validate(
    {
        "input": (2, 6, 6),
        "layers": [
            {"type": "conv", "out": 3, "kernel": 3, "padding": 1},
            {"type": "spike"},
            {"type": "flatten"},
            {"type": "linear", "out": 4},
            {"type": "spike"},
        ],
    }
)
FREE = ConstraintsSection(floor=None)


def one_layer(v_init: float | Array, floor: float | None = None) -> Graph:
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(0, 0.3, (4, 2, 3, 3)).astype(np.float32), padding=(1, 1))
    spike = Spike(1.0, floor, v_init=v_init)
    return chain([("input", Input((2, 5, 6))), ("conv", conv), ("spike", spike), ("output", Output())])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.7, "some", "each"]))
@settings(max_examples=20)
def test_the_integers_of_the_start_follow_the_rule(seed: int, kind: float | str) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 2, (4, 5, 6))
    v_init = (
        kind if isinstance(kind, float) else values * rng.integers(0, 2, values.shape) if kind == "some" else values
    )
    mapped = compile_graph(one_layer(v_init), CHIP)
    layer = mapped.program.layers["conv"]
    found = np.broadcast_to(layer.neurons.v_init, layer.out_shape)
    assert np.array_equal(found, np.rint(np.broadcast_to(v_init, found.shape) * layer.scale))
    (core,) = [core for core in configuration(mapped.program, CHIP)["cnn_layers"] if core]
    assert np.array_equal(np.transpose(core["neurons_initial_value"], (0, 2, 1)), found)


def test_a_start_that_int16_cannot_hold_is_cut_and_told() -> None:
    program = group(one_layer(1e6))
    quantised = quantise(program, CHIP.integers)
    assert quantised.layers["conv"].neurons.v_init == 32767
    assert "is clipped to 16 bits" in " ".join(layer_report(program, quantised, CHIP.integers)[0].warnings)
    assert integer_start(-1e9, 1.0, CHIP.integers) == -32768


def test_a_start_below_the_floor_is_refused() -> None:
    with pytest.raises(InputError, match=r"v_init is -1.5; need at least the floor, -1.0"):
        one_layer(-1.5, floor=-1.0)
    with pytest.raises(InputError, match="v_init of shape"):
        one_layer(np.arange(3.0).reshape(3, 1, 1))


@pytest.mark.parametrize("v_init", [0.25, np.arange(4 * 5 * 6).reshape(4, 5, 6) / 7])
def test_nir_and_programs_keep_the_start(v_init: float | Array, tmp_path: Path) -> None:
    graph = one_layer(v_init)
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    program = compile_graph(graph, CHIP).program
    save_program(program, tmp_path)
    assert load_program(tmp_path).digest == program.digest
    assert program.digest != compile_graph(one_layer(0.0), CHIP).program.digest


def test_parts_and_the_readout_take_their_features_with_them() -> None:
    program = quantise(group(one_layer(np.arange(4 * 5 * 6).reshape(4, 5, 6) / 100)), CHIP.integers)
    whole = program.layers["conv"].neurons.v_init
    cut = split(program, {"conv": (1, 3)}, CHIP)
    assert np.array_equal(np.concatenate([layer.neurons.v_init for layer in cut.layers.values()]), whole)

    weights = {name: array + np.float32(0.1) for name, array in blank_weights(NETWORK).items()}
    weights["fc1.v_init"] = np.array([1.5, 2, 0, -1], np.float32)
    answer = compile_graph(to_graph(weights, NETWORK, FREE), CHIP).program
    wide = widen(answer, CHIP).layers["fc1"]
    assert np.array_equal(wide.neurons.v_init[::4], np.broadcast_to(answer.layers["fc1"].neurons.v_init, (4, 1, 1)))
    silent = np.delete(wide.neurons.v_init, np.s_[::4], axis=0)
    assert not silent.any()


@example(27129, 2)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
@settings(max_examples=15)
def test_quantising_a_models_graph_again_gives_its_integers(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.3, a.shape).astype(np.float32) for name, a in blank_weights(NETWORK).items()}
    weights["conv1.v_init"] = rng.normal(0, 3, 3).astype(np.float32)
    constraints = FREE.model_copy(update={"weight_bits": bits})
    integers = replace(CHIP.integers, weight_bits=bits)
    program = quantise(group(to_graph(weights, NETWORK, constraints)), integers)
    latent = quantise(group(to_graph(weights, NETWORK, FREE.model_copy(update={"weight_bits": 32}))), integers)
    for name, layer in program.layers.items():
        assert np.array_equal(layer.single.weights, latent.layers[name].single.weights)
        assert np.array_equal(layer.neurons.v_init, latent.layers[name].neurons.v_init)


def test_a_start_of_another_shape_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"layer 'conv1.v_init': shape \(4,\)"):
        to_graph({**blank_weights(NETWORK), "conv1.v_init": np.zeros(4)}, NETWORK, FREE)
