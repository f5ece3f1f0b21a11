"""What a network costs at a rate of events, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.layers import make_layer

from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.map.split import split
from deploytool.validate.expected import InputRate, expected, measured_rate


def program() -> Program:
    """An event makes 4 x 3 x 3 updates in the convolution; a spike of it, pooled or not, 10 in the last layer."""
    conv = make_layer(np.zeros((4, 2, 3, 3), np.int8), 1, (2, 8, 8), (4, 8, 8), (Route("fc", (2, 2)),), padding=(1, 1))
    fc = make_layer(np.zeros((10, 4, 4, 4), np.int8), 1, (4, 4, 4), (10, 1, 1))
    return Program("simulator", "int8/int16", (2, 8, 8), (Route("conv"),), {"conv": conv, "fc": fc}, ("fc",), "")


def test_every_layer_fires_once_per_event() -> None:
    found = expected(program(), InputRate(1000.0, 8000.0))
    rows = [(load.part, load.mean_synops_per_s, load.busiest_ms_synops_per_s) for load in found.load]
    assert rows == [("conv", 36_000, 288_000), ("fc", 10_000, 80_000)]
    assert found.power_mw == pytest.approx(0.42 + 46_000 * 366e-9, abs=1e-4)
    assert found.energy.startswith("at 1,000 events/s, if every layer fires once per event that it gets: ")
    assert "extrapolated to 0.05 M" in found.energy
    assert "conv is the busiest, 0.04 M SynOps/s on average, 0.29 in the busiest ms of its input" in found.busiest_core
    assert found.latency.startswith("about 0.75 us for an event through 2 layers")


def test_a_stride_leaves_out_positions() -> None:
    conv = make_layer(np.zeros((4, 2, 4, 4), np.int8), 1, (2, 8, 8), (4, 3, 3), stride=(2, 2))
    alone = Program("simulator", "int8/int16", (2, 8, 8), (Route("conv"),), {"conv": conv}, ("conv",), "")
    (load,) = expected(alone, InputRate(10.0)).load
    assert (load.mean_synops_per_s, load.busiest_ms_synops_per_s) == (10 * 4 * 4 * 4 / 4, None)


def test_parts_share_the_updates_and_fire_together_once() -> None:
    parts = split(program(), {"conv": (1, 3)}, CHIPS["speck2e"])
    found = expected(parts, InputRate(1000.0))
    assert [load.layer for load in found.load] == ["conv", "conv", "fc"]
    assert [load.mean_synops_per_s for load in found.load] == [9_000, 27_000, 10_000]


def test_above_the_demonstration_it_says_what_to_do() -> None:
    assert "Split" not in expected(program(), InputRate(5e6, 5.5e6)).busiest_core
    assert "Split the layer" in expected(program(), InputRate(5e6, 6e6)).busiest_core


def test_the_rate_of_samples() -> None:
    """Five events in 2 ms and 6 ms; three of them in the second ms of the first sample."""
    events = np.zeros(4, EVENT)
    events["t"] = [999, 1000, 1500, 1999]
    streams = [EventStream(events, (1, 1, 1), 2000), EventStream(events[:1], (1, 1, 1), 6000)]
    assert measured_rate(streams) == InputRate(625.0, 3000.0)
    assert measured_rate([]) == InputRate(0.0, 0.0)
