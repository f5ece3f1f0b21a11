"""Quantisation of a program: one scale per layer, nothing lost silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.base.errors import FitError
from deploytool.chip.chips import CHIPS
from deploytool.chip.integers import dequantise
from deploytool.chip.integers import quantise as quantise_layer
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.program import Program
from deploytool.map.group import group
from deploytool.map.quantise import layer_report, quantise

FMT = CHIPS["speck2e"].integers


def _program(weight: np.ndarray, spike: Spike, bias: np.ndarray | None = None) -> Program:
    nodes = [("in", Input((weight.shape[1], 4, 4))), ("conv", Conv(weight, bias)), ("spike", spike), ("out", Output())]
    return group(chain(nodes))


weights = arrays(np.float32, (3, 2, 2, 2), elements=st.floats(-2, 2, width=32)).filter(lambda w: np.abs(w).max() > 1e-3)


@given(weights, st.floats(0.25, 4), st.sampled_from([None, 0.0, -1.0, -1e9]))
def test_the_graph_of_a_quantised_network_gives_its_integers_again(
    weight: np.ndarray, threshold: float, floor: float | None
) -> None:
    trained = quantise_layer(weight, None, threshold, floor, FMT)
    effective, theta, low = dequantise(trained)
    layer = quantise(_program(effective, Spike(theta, low)), FMT).layers["conv"]
    np.testing.assert_array_equal(layer.single.weights, trained.weights)
    assert (layer.neurons.threshold, layer.neurons.floor) == (trained.threshold, trained.floor)


@given(weights, st.floats(0.25, 4))
def test_the_report_says_what_integers_did(weight: np.ndarray, threshold: float) -> None:
    before = _program(weight, Spike(threshold, -1.0))
    after = quantise(before, FMT)
    (report,) = layer_report(before, after, FMT)
    layer = after.layers["conv"]
    assert layer.single.weights.dtype == np.int8
    assert (
        np.abs(layer.single.weights / layer.scale - before.layers["conv"].single.weights).max() <= 0.501 / layer.scale
    )
    assert report.levels == len(np.unique(layer.single.weights))
    assert report.zeros == pytest.approx(np.mean(layer.single.weights == 0))
    assert report.relative_error >= 0
    assert report.weight_max == pytest.approx(weight.max() / threshold)
    assert (report.threshold, report.floor) == (layer.neurons.threshold, layer.neurons.floor)


def test_fine_weights_lose_little() -> None:
    weight = np.random.default_rng(0).normal(0, 0.2, (8, 2, 3, 3)).astype(np.float32)
    before = _program(weight, Spike(1.0, -1.0))
    (report,) = layer_report(before, quantise(before, FMT), FMT)
    assert report.relative_error < 0.02
    assert report.levels > 80
    assert report.warnings == ()


def _warnings(weight: np.ndarray, spike: Spike, bias: np.ndarray | None = None) -> str:
    before = _program(weight, spike, bias)
    return " ".join(layer_report(before, quantise(before, FMT), FMT)[0].warnings)


def test_what_is_doubtful_is_warned_of() -> None:
    weight = np.random.default_rng(0).normal(0, 0.05, (8, 2, 3, 3)).astype(np.float32)
    outlier = weight.copy()
    outlier[0, 0, 0, 0] = 20
    assert "because one weight sets the scale: 20 (from" in _warnings(outlier, Spike(1.0))
    assert "is 20.00 thresholds" in _warnings(outlier, Spike(1.0))
    assert "the threshold sets the scale: it is 5000" in _warnings(weight, Spike(5e3))
    assert "different weights are left" in _warnings(weight, Spike(500.0))
    assert "holds the largest (-0.1" in _warnings(weight, Spike(500.0))
    assert "the floor becomes -1 instead of 0" in _warnings(weight, Spike(1.0, floor=0.0))
    assert "is clipped to 16 bits" in _warnings(weight, Spike(1.0), np.full(8, 1e3))
    assert _warnings(weight, Spike(1.0), np.full(8, 0.5)) == ""


def test_the_outlier_is_told_by_its_value() -> None:
    def outlier(weight: np.ndarray, spike: Spike) -> float | None:
        before = _program(weight, spike)
        return layer_report(before, quantise(before, FMT), FMT)[0].outlier

    weight = np.random.default_rng(0).normal(0, 0.05, (8, 2, 3, 3)).astype(np.float32)
    alone = weight.copy()
    alone[3, 1, 2, 0] = -20
    assert outlier(alone, Spike(1.0)) == -20
    assert outlier(weight, Spike(1.0)) is None
    assert outlier(weight, Spike(500.0)) is None, "here the threshold chose the scale"


def test_layers_that_would_vanish_are_refused_by_name() -> None:
    zeros = np.zeros((1, 1, 1, 1), np.float32)
    tiny = np.full((1, 1, 1, 1), 1e-6, np.float32)
    nodes = [("in", Input((1, 4, 4))), ("a", Conv(zeros)), ("sa", Spike()), ("b", Conv(tiny)), ("sb", Spike())]
    with pytest.raises(FitError) as caught:
        quantise(group(chain([*nodes, ("out", Output())])), FMT)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a", "b"]
    assert "every weight becomes 0 (the largest is 1e-06, the threshold 1)" in caught.value.problems[1]


def test_neurons_with_their_own_thresholds_are_refused() -> None:
    mixed = Spike(np.linspace(1, 2, 16).reshape(1, 4, 4))
    with pytest.raises(FitError, match="thresholds from 1 to 2"):
        quantise(_program(np.ones((1, 1, 1, 1), np.float32), mixed), FMT)


def test_biases_share_the_scale_and_have_16_bits(nmnist: Graph) -> None:
    layer = quantise(_program(np.full((2, 1, 1, 1), 0.5, np.float32), Spike(), np.array([0.5, -2.0])), FMT).layers[
        "conv"
    ]
    assert layer.bias is not None
    assert layer.bias.tolist() == [127, -508]
    assert quantise(group(nmnist), replace(FMT, weight_bits=4)).layers["fc1"].single.weights.max() <= 7


def test_the_network_measured_on_silicon_gets_threshold_72(shared_data: Path) -> None:
    with h5py.File(shared_data / "chip" / "cnn_sinabs.nir") as file:
        weight = np.asarray(file["node/nodes/0/weight"], np.float32)
        stride, padding = (tuple(int(v) for v in file[f"node/nodes/0/{key}"]) for key in ("stride", "padding"))
    conv = Conv(weight, None, stride, padding)
    program = group(chain([("in", Input((2, 34, 34))), ("0", conv), ("1", Spike(1.0, -1.0)), ("out", Output())]))
    layer = quantise(program, FMT).layers["0"]
    assert (layer.neurons.threshold, layer.neurons.floor) == (72, -72)
