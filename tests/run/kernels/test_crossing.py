"""Neurons that fire between two events: at the exact crossing, and in every loop at the same microsecond."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers.programs import assert_same, fast
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.convert.nir import read_nir
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Linear, Output, Spike
from deploytool.map.group import group
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.reference.crossings import NEVER, first_crossing, reaches, response
from deploytool.run.reference.specification import run_reference

CELLS = st.builds(
    lambda v, current, v_leak, tau_us, tau_syn_us, same: (
        1.0,
        float(np.float32(v)),
        float(np.float32(current)),
        v_leak,
        tau_us,
        tau_us * same if same else tau_syn_us,
    ),
    st.floats(-2, 1.5),
    st.floats(-8, 8),
    st.sampled_from([0.0, 0.5, 1.0, 1.2, -1.0]),
    st.floats(0.5, 200),
    st.floats(0.5, 200),
    st.sampled_from([0.0, 1.0, 1 + 1e-9]),
)


@given(CELLS)
@example((1.0, 0.375, 5.625, 0.0, 4.5, 1.0))  # at its threshold in the microsecond after the last one of rising alone
@example((1.0, 1.0, 1.5, 0.0, 0.5, 0.5))  # above its threshold, rising, and below it within the microsecond
@settings(max_examples=200)
def test_the_crossing_is_the_first_microsecond_at_the_threshold(cell: tuple[float, ...]) -> None:
    found = first_crossing(cell)
    by_one = next((k for k in range(1, 4000) if reaches(k, cell)), NEVER)
    assert found == by_one or min(found, by_one) >= 4000


@given(st.integers(1, 10**6), st.floats(1, 1e6), st.floats(1, 1e6))
def test_the_response_solves_the_equation(passed_us: int, tau_us: float, tau_syn_us: float) -> None:
    x, x_syn = passed_us / tau_us, passed_us / tau_syn_us
    assume(abs(x - x_syn) > 1e-3)
    wanted = (math.exp(-x) - math.exp(-x_syn)) * x / (x_syn - x)
    assert response(passed_us, tau_us, tau_syn_us) == pytest.approx(wanted, rel=1e-9, abs=1e-200)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(("tau_ms", "tau_syn_ms"), [(2.0, 0.5), (0.5, 2.0), (1.0, 1.0)])
def test_spikes_are_those_of_the_differential_equation(reset: str, tau_ms: float, tau_syn_ms: float) -> None:
    """Those found by steps of 0.05 us, of which each is second order, looked at once in a microsecond."""
    weight = np.array([[6.0]], np.float32)
    spike = Spike(1.0, None, reset, tau_ms, tau_syn_ms=tau_syn_ms)
    graph = chain([("in", Input((1, 1, 1))), ("w", Linear(weight)), ("s", spike), ("out", Output())])
    events = np.zeros(4, EVENT)
    events["t"] = [100, 180, 1500, 1510]
    found = fast(group(graph), EventStream(events, (1, 1, 1), 6000)).spikes["w"]["t"]
    v = current = 0.0
    dt, wanted, arrivals = 0.05, [], events["t"].tolist()
    for step in range(int(6000 / dt)):
        if arrivals and step * dt >= arrivals[0]:
            current += 6.0
            arrivals.pop(0)
        middle = current * (1 - dt / 2 / 1000 / tau_syn_ms)
        v += dt / 1000 / tau_ms * (middle - v - dt / 2 / 1000 / tau_ms * (current - v))
        current -= dt / 1000 / tau_syn_ms * middle
        if v >= 1.0 and (step + 1) % 20 == 0:
            wanted.append((step + 1) // 20)
            v = v - 1.0 if reset == "subtract" else 0.0
    assert len(found) == len(wanted) > 3
    assert np.abs(found - np.array(wanted)).max() <= 1


def test_a_leak_above_the_threshold_is_a_clock() -> None:
    """V = 2 (1 - exp(-t / tau)) is at 1 after tau ln 2, again and again."""
    nodes = [("in", Input((1, 1, 1))), ("w", Linear(np.zeros((1, 1), np.float32))), ("out", Output())]
    graph = chain([*nodes[:2], ("s", Spike(1.0, None, "zero", 1.0, v_leak=2.0)), nodes[2]])
    stream = EventStream(np.zeros(0, EVENT), (1, 1, 1), 4000)
    period = math.ceil(1000 * math.log(2))
    assert fast(group(graph), stream).spikes["w"]["t"].tolist() == [period * n for n in range(1, 6)]


def test_several_spikes_at_once_are_refused() -> None:
    graph = chain(
        [("in", Input((1, 1, 1))), ("s", Spike(tau_ms=1.0, tau_syn_ms=1.0, at_most_one=False)), ("out", Output())]
    )
    with pytest.raises(UnsupportedError, match="several spikes per update, in neurons that can fire between events"):
        run_reference(group(graph), EventStream(np.zeros(0, EVENT), (1, 1, 1), 10))


def test_with_short_steps_the_clock_driven_run_gives_as_many_spikes() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(1.0, 2.0, (4, 3, 1, 1)).astype(np.float32)
    spike = Spike(1.0, None, "subtract", tau_ms=3.0, tau_syn_ms=1.0)
    graph = chain([("in", Input((3, 1, 1))), ("w", Conv(weights)), ("s", spike), ("out", Output())])
    events = np.zeros(60, EVENT)
    events["t"], events["c"] = np.sort(rng.integers(0, 30_000, 60)), rng.integers(0, 3, 60)
    stream = EventStream(events, (3, 1, 1), 40_000)
    wanted = fast(group(graph), stream).counts["w"]
    assert wanted.sum() > 50
    for how in ("exact", "euler"):
        found = run_clocked(group(graph), [stream], TimeSteps(4000, many=False, how=how)).counts["w"][0]
        assert np.abs(found - wanted).max() <= 2


def test_a_recurrent_network_of_the_field_runs(shared_data: Path) -> None:
    """The braille network of the NIR paper: 12 inputs, 40 recurrent neurons with synapses, 7 outputs."""
    path = shared_data / "nir" / "braille_noDelay_noBias_subtract.nir"
    program = group(read_nir(path, "subtract", dt_ms=0.1, delay_us=100))
    rng = np.random.default_rng(0)
    events = np.zeros(200, EVENT)
    events["t"], events["c"] = np.sort(rng.integers(0, 25_000, 200)), rng.integers(0, 12, 200)
    stream = EventStream(events, (12, 1, 1), 25_600)
    wanted = run_reference(program, stream)
    assert len(wanted.spikes["fc1"]) > 50
    assert_same(fast(program, stream), wanted)
    clocked = run_clocked(program, [stream], TimeSteps(256, many=False, how="euler"))
    assert clocked.counts["fc1"].sum() > 50
