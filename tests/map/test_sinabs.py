"""A second opinion on quantisation: sinabs's own discretisation, loaded by path because its package imports samna."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.chip.chips import CHIPS
from deploytool.chip.integers import QuantisedLayer
from deploytool.chip.integers import quantise as quantise_layer
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.map.group import group
from deploytool.map.quantise import quantise

FMT = CHIPS["speck2e"].integers
NETWORKS = 200


@pytest.fixture(scope="module")
def discretize() -> ModuleType:
    """sinabs/backend/dynapcnn/discretize.py."""
    found = importlib.util.find_spec("sinabs")
    if found is None or not found.submodule_search_locations:
        pytest.skip("sinabs is not installed")
    path = f"{found.submodule_search_locations[0]}/backend/dynapcnn/discretize.py"
    spec = importlib.util.spec_from_file_location("sinabs_discretize", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_sinabs(
    discretize: ModuleType, weight: np.ndarray, threshold: float, floor: float | None, bias: np.ndarray | None = None
) -> tuple[np.ndarray, int, int]:
    """Integer weights, threshold and floor as sinabs finds them."""
    import sinabs.layers as sl
    import torch

    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], bias=bias is not None)
    conv.weight.data = torch.tensor(weight)
    if bias is not None and conv.bias is not None:
        conv.bias.data = torch.tensor(bias)
    spike = sl.IAF(spike_threshold=threshold, min_v_mem=floor)
    conv, spike = discretize.discretize_conv_spike(conv, spike)
    return conv.weight.detach().numpy(), int(spike.spike_threshold), int(spike.min_v_mem)


def by_us(weight: np.ndarray, threshold: float, floor: float | None, bias: np.ndarray | None = None) -> QuantisedLayer:
    """The same from the compiler's own pass, checked against the layer's rule."""
    nodes = [
        ("in", Input((weight.shape[1], 4, 4))),
        ("conv", Conv(weight, bias)),
        ("s", Spike(threshold, floor)),
        ("out", Output()),
    ]
    layer = quantise(group(chain(nodes)), FMT).layers["conv"]
    rule = quantise_layer(weight, bias, threshold, floor, FMT)
    np.testing.assert_array_equal(layer.single.weights, rule.weights)
    assert (layer.neurons.threshold, layer.neurons.floor) == (rule.threshold, rule.floor)
    return rule


@settings(max_examples=NETWORKS, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    out=st.integers(1, 8),
    kernel=st.integers(1, 4),
    skew=st.floats(-1, 1),
    threshold=st.floats(0.25, 8, width=32),
    low=st.floats(-2, -0.125, width=32),
)
def test_integers_equal_those_of_sinabs(
    discretize: ModuleType, seed: int, out: int, kernel: int, skew: float, threshold: float, low: float
) -> None:
    """Bias-free, with a floor of up to two thresholds below zero that would not choose the scale (see below)."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(skew * 0.2, 0.2, (out, 2, kernel, kernel)).astype(np.float32)
    floor = low * threshold
    ours = by_us(weight, threshold, floor)
    assume(ours.floor > FMT.state_range[0])
    weights, theta, lowest = by_sinabs(discretize, weight, threshold, floor)
    np.testing.assert_array_equal(ours.weights, weights)
    assert (ours.threshold, ours.floor) == (theta, lowest)


def test_where_we_differ_on_purpose(discretize: ModuleType) -> None:
    """With sinabs an absent floor, a low one, or a bias choose the scale, and the weights pay; with us they do not."""
    weight = np.random.default_rng(0).normal(0, 0.1, (4, 2, 3, 3)).astype(np.float32)
    weights, *_ = by_sinabs(discretize, weight, 1.0, None)
    assert not weights.any(), "min_v_mem=None, the default of IAFSqueeze, silently makes every weight 0"
    absent, usual = by_us(weight, 1.0, None), by_us(weight, 1.0, -1.0)
    np.testing.assert_array_equal(absent.weights, usual.weights)
    assert absent.floor == -32768

    weights, *_ = by_sinabs(discretize, weight, 1.0, -2000.0)
    assert len(np.unique(weights)) < len(np.unique(by_us(weight, 1.0, -2000.0).weights)) / 4

    bias = np.full(4, 10, np.float32)
    weights, *_ = by_sinabs(discretize, weight, 1.0, -1.0, bias)
    assert np.abs(weights).max() < 8, "a bias in 8 bits leaves few levels"
    ours = by_us(weight, 1.0, -1.0, bias)
    np.testing.assert_array_equal(ours.weights, usual.weights)
    assert ours.bias is not None
    assert ours.bias.tolist() == [round(10 * ours.scale)] * 4


def test_thresholds_stop_before_the_state_can_overflow(discretize: ModuleType) -> None:
    """Where the threshold chooses the scale sinabs goes to 32767, where V + w passes the state; we stop at 32640."""
    weight = np.full((1, 1, 1, 1), 0.01, np.float32)
    _, theta, _ = by_sinabs(discretize, weight, 100.0, -1.0)
    assert (theta, by_us(weight, 100.0, -1.0).threshold) == (32767, 32640)


def test_a_floor_that_no_core_can_hold_becomes_minus_one(discretize: ModuleType) -> None:
    weight = np.full((1, 1, 1, 1), 1.0, np.float32)
    _, _, lowest = by_sinabs(discretize, weight, 1.0, 0.0)
    assert (lowest, by_us(weight, 1.0, 0.0).floor) == (0, -1)
