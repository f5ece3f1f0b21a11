"""The slow clock and the output decimators of a mapped network."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deploytool.base.errors import FitError, UnsupportedError, UsageError
from deploytool.chip.chips import CHIPS
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Output, Spike
from deploytool.map.compile import compile_graph
from deploytool.map.cores import Extras, with_extras
from deploytool.map.group import group

CHIP = CHIPS["speck2e"]


def network(bias: float = 0.5, dt_ms: float | None = None) -> Graph:
    """Two layers, the first with a bias of each feature."""
    conv = Conv(np.full((3, 1, 3, 3), 0.4, np.float32), np.full(3, bias, np.float32))
    linear = Linear(np.full((2, 48), 0.3, np.float32))
    nodes = [("in", Input((1, 6, 6))), ("conv", conv), ("s1", Spike(floor=-1.0)), ("flat", Flatten())]
    return chain([*nodes, ("fc", linear), ("s2", Spike(floor=-1.0)), ("out", Output())], dt_ms)


@pytest.mark.parametrize(("dt_ms", "hz", "per_tick"), [(None, 100, 0.5), (10.0, 100, 0.5), (10.0, 400, 0.125)])
def test_a_tick_adds_its_share_of_the_bias_of_a_time_step(dt_ms: float | None, hz: int, per_tick: float) -> None:
    program = with_extras(group(network()), Extras(hz), dt_ms)
    bias = program.layers["conv"].bias
    assert bias is not None
    assert (bias.dtype, bias.tolist()) == (np.float32, [per_tick] * 3)
    assert program.slow_clock_hz == hz
    assert program.biased == ("conv",)


def test_the_integers_of_a_bias_are_those_of_its_share() -> None:
    mapped = compile_graph(network(dt_ms=10.0), CHIP, extras=Extras(400))
    layer = mapped.program.layers["conv"]
    assert layer.bias is not None
    assert layer.bias.tolist() == [round(0.125 * layer.scale)] * 3
    assert not CHIP.cores[mapped.program.core_of["conv"]].parallel_lanes


@pytest.mark.parametrize(
    ("bias", "says"),
    [
        (1e-5, "conv: the bias of 3 of 3 features becomes 0 in integers"),
        (1e5, "conv: the largest bias, .* in integers, is clipped to 16 bits"),
    ],
)
def test_a_bias_that_vanishes_or_saturates_is_told(bias: float, says: str) -> None:
    mapped = compile_graph(network(bias, dt_ms=10.0), CHIP, extras=Extras(100))
    warnings = [text for layer in mapped.quantisation for text in layer.warnings]
    assert any(re.search(says, text) for text in warnings)


def test_a_decimator_goes_to_the_layer_of_a_node_and_to_all_its_parts() -> None:
    mapped = compile_graph(network(0.0), CHIP, extras=Extras(decimate={"s1": 4})).program
    assert [layer.decimation for layer in mapped.layers.values()] == [4, 1]
    with pytest.raises(UsageError, match="--decimate x=4: no layer 'x'"):
        compile_graph(network(0.0), CHIP, extras=Extras(decimate={"x": 4}))
    with pytest.raises(FitError, match="output decimators of 2, 4, 8"):
        compile_graph(network(0.0), CHIP, extras=Extras(decimate={"conv": 5}))


def test_a_balancer_goes_to_the_layer_of_a_node_and_is_refused_where_none_is_documented() -> None:
    mapped = compile_graph(network(0.0), CHIP, extras=Extras(balance={"s1": 5000})).program
    assert [layer.balancer for layer in mapped.layers.values()] == [5000, None]
    with pytest.raises(UsageError, match="--balance x: no layer 'x'"):
        compile_graph(network(0.0), CHIP, extras=Extras(balance={"x": 1}))
    with pytest.raises(UnsupportedError, match="--balance: DynapCNN, whose congestion balancers are not documented"):
        compile_graph(network(0.0), CHIPS["dynapcnn"], extras=Extras(balance={"conv": 1}))


def test_without_a_clock_a_bias_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="conv: has a bias, and no slow clock"):
        compile_graph(network(), CHIP)


def test_ticks_are_at_whole_multiples_of_the_period_within_the_sample() -> None:
    program = with_extras(group(network()), Extras(3000))
    assert program.ticks_us(1001).tolist() == [333, 666, 1000]
    assert program.ticks_us(1000).tolist() == [333, 666]
    assert program.ticks_us(0).tolist() == []
    assert with_extras(group(network(0.0)), Extras(3000)).ticks_us(1000).tolist() == []
