"""Calibration: closer to the float network than the plain rule, on samples it has not seen, or the plain rule."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.layers import changed, make_layer
from helpers.programs import programs, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.arrays import Shape
from deploytool.base.errors import UnsupportedError
from deploytool.base.numbers import figure
from deploytool.chip.chips import CHIPS
from deploytool.data.recordings.chosen import read_events
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.program import Program
from deploytool.map import rounding
from deploytool.map.calibrate import Calibrated, Calibration, calibrate
from deploytool.map.group import group
from deploytool.map.quantise import quantise
from deploytool.map.rounding import compensated, second_moments
from deploytool.run.targets.table import make_target

FMT = CHIPS["speck2e"].integers
FOUR_BITS = replace(FMT, weight_bits=4)
SIMULATOR = make_target("simulator")


def _network(grid: float | None = None) -> Program:
    """Three layers with random weights, on a ``grid`` where one is given."""
    rng = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        drawn = rng.normal(0.1, 0.3, shape)
        return np.asarray(drawn if grid is None else np.rint(drawn / grid) * grid, np.float32)

    spike = Spike(threshold=1.0, floor=-1.0)
    nodes: list[tuple[str, Node]] = [
        ("input", Input((2, 8, 8))),
        ("conv1", Conv(weight(4, 2, 3, 3), padding=(1, 1))),
        ("spike1", spike),
        ("pool1", SumPool((2, 2), (2, 2))),
        ("conv2", Conv(weight(6, 4, 3, 3), padding=(1, 1))),
        ("spike2", spike),
        ("flatten1", Flatten()),
        ("fc1", Linear(weight(5, 96))),
        ("spike3", spike),
        ("output", Output()),
    ]
    return group(chain(nodes))


def _streams(count: int, seed: int, shape: Shape = (2, 8, 8), events: int = 400) -> list[EventStream]:
    """Samples whose events lie on a moving bar, so that neighbouring weights are used together."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        array = np.zeros(events, EVENT)
        array["t"] = np.sort(rng.integers(0, 100_000, events))
        array["c"] = rng.integers(0, shape[0], events)
        array["y"] = rng.integers(0, shape[1], events)
        array["x"] = (array["t"] * shape[2] // 100_000 + rng.integers(0, 2, events) + index) % shape[2]
        samples.append(EventStream(array, shape, 100_000, name=f"{seed}-{index}"))
    return samples


@pytest.fixture(scope="module")
def found() -> Calibrated:
    return calibrate(_network(), FOUR_BITS, Calibration(SIMULATOR, _streams(6, 1), _streams(8, 2)))


def test_the_answer_is_closer_on_samples_it_was_not_searched_on(found: Calibrated) -> None:
    assert found.kept
    others = _streams(10, 3)
    float_program = _network()
    wanted = SIMULATOR.run(float_program, others).output_counts
    plain, calibrated = (
        np.abs(SIMULATOR.run(program, others).output_counts - wanted).sum()
        for program in (quantise(float_program, FOUR_BITS), found.program)
    )
    assert calibrated < 0.6 * plain


def test_what_it_says_it_gained_is_what_its_program_does(found: Calibrated) -> None:
    samples = _streams(8, 2)
    wanted, plain, calibrated = (
        SIMULATOR.run(program, samples) for program in (_network(), quantise(_network(), FOUR_BITS), found.program)
    )
    for row in found.layers:
        total = wanted.counts[row.layer].sum()
        for said, recording in ((row.network_held_out.plain, plain), (row.network_held_out.calibrated, calibrated)):
            distance = np.abs(recording.counts[row.layer] - wanted.counts[row.layer]).sum()
            assert said == pytest.approx(100 * distance / total)
    first, last = found.layers[0], found.layers[-1]
    assert first.alone == first.network
    assert last.network_held_out == found.output_held_out
    assert (found.samples, found.held_out) == (6, 8)
    assert f"to {figure(found.output_held_out.calibrated)} % on 8 held-out samples" in found.says


def test_it_comes_out_the_same_every_time(found: Calibrated) -> None:
    again = calibrate(_network(), FOUR_BITS, Calibration(SIMULATOR, _streams(6, 1), _streams(8, 2)))
    assert again.program.digest == found.program.digest
    assert again.layers == found.layers


def test_a_kept_layer_is_at_the_scale_of_a_whole_threshold(found: Calibrated) -> None:
    for row in found.layers:
        before, after = _network().layers[row.layer], found.program.layers[row.layer]
        assert after.neurons.threshold == row.threshold == pytest.approx(float(before.neurons.threshold) * after.scale)
        assert after.neurons.floor == -row.threshold
        assert np.abs(after.single.weights).max() <= 8
        nearest = np.clip(np.rint(before.single.weights * after.scale), -8, 7)
        assert row.moved == (nearest != after.single.weights).sum()


def test_a_network_that_is_exact_already_stays_as_it_is() -> None:
    exact = _network(grid=2.0**-6)
    weights = {name: layer.single.weights.copy() for name, layer in exact.layers.items()}
    for array in weights.values():
        array.flat[0] = 127 / 64
    exact = exact.with_layers({name: changed(layer, weights=weights[name]) for name, layer in exact.layers.items()})
    found = calibrate(exact, FMT, Calibration(SIMULATOR, _streams(3, 1), _streams(3, 2)))
    assert not found.kept
    assert found.output_held_out.plain == 0
    assert found.program.digest == quantise(exact, FMT).digest
    assert "kept the plain rule: no layer came closer on 3 held-out samples" in found.says


def test_a_silent_network_keeps_the_plain_rule() -> None:
    found = calibrate(_network(), FMT, Calibration(SIMULATOR, _streams(2, 1, events=0), _streams(2, 2, events=0)))
    assert not found.kept
    assert found.output.plain is None
    assert "no output spike on 2 held-out samples" in found.says


@settings(max_examples=25)
@given(st.data())
def test_it_is_never_further_off_than_the_plain_rule(data: st.DataObject) -> None:
    drawn = data.draw(programs(integers=False))
    assume(all(layer.single.groups == 1 and layer.single.weights.any() for layer in drawn.layers.values()))
    program = drawn.with_layers({name: changed(layer, threshold=1.0) for name, layer in drawn.layers.items()})
    groups = [[data.draw(streams(program.input_shape)) for _ in range(2)] for _ in range(2)]
    plain = quantise(program, FOUR_BITS)
    found = calibrate(program, FOUR_BITS, Calibration(SIMULATOR, *groups))
    for samples in groups:
        wanted = SIMULATOR.run(program, samples).output_counts
        distances = [
            np.abs(SIMULATOR.run(quantised, samples).output_counts - wanted).sum()
            for quantised in (found.program, plain)
        ]
        assert distances[0] <= distances[1]
    for row in found.layers:
        assert not row.kept or (row.alone.is_closer and row.alone_held_out.is_closer)


def test_what_the_target_cannot_run_is_refused_in_its_words() -> None:
    biased = {
        name: replace(layer, bias=np.ones(len(layer.single.weights), np.float32))
        for name, layer in _network().layers.items()
    }
    with pytest.raises(UnsupportedError, match="has a bias"):
        calibrate(_network().with_layers(biased), FMT, Calibration(SIMULATOR, _streams(1, 1), _streams(1, 2)))


def test_the_network_measured_on_silicon_loses_less_than_half(shared_data: Path) -> None:
    with h5py.File(shared_data / "chip" / "cnn_sinabs.nir") as file:
        weight = np.asarray(file["node/nodes/0/weight"], np.float32)
    conv = Conv(weight, None, (2, 2), (1, 1))
    graph: Graph = chain([("in", Input((2, 34, 34))), ("0", conv), ("1", Spike(1.0, -1.0)), ("out", Output())])
    files = sorted((shared_data / "chip").glob("*.bin"))
    samples = [stream for file in files for stream in read_events(file, (2, 34, 34))]
    found = calibrate(group(graph), FMT, Calibration(SIMULATOR, samples[:2], samples[2:]))
    (row,) = found.layers
    assert row.threshold_plain == 72
    assert row.kept
    assert row.alone_held_out.plain is not None
    assert row.alone_held_out.calibrated is not None
    assert row.alone_held_out.calibrated < 0.5 * row.alone_held_out.plain


@given(st.tuples(*[st.integers(1, 3)] * 4), st.tuples(*[st.integers(0, 2)] * 2), st.integers(1, 4), st.integers(0, 99))
def test_second_moments_are_those_of_what_neurons_get(
    steps: tuple[int, int, int, int], padding: tuple[int, int], windows: int, seed: int
) -> None:
    stride, dilation = steps[:2], steps[2:]
    layer = make_layer(
        np.ones((1, 2, 2, 3)), 1.0, (2, 8, 8), (1, 1, 1), (), stride=stride, padding=padding, dilation=dilation
    )
    (stream,) = _streams(1, seed, events=12)
    size = [
        (8 + 2 * p - d * (k - 1) - 1) // s + 1 for p, d, k, s in zip(padding, dilation, (2, 3), stride, strict=True)
    ]
    inputs = np.zeros((windows, *size, 2, 2, 3))
    for t, c, y, x in stream.events.tolist():
        for ky, kx in itertools.product(range(2), range(3)):
            row, rest_y = divmod(y + padding[0] - ky * dilation[0], stride[0])
            column, rest_x = divmod(x + padding[1] - kx * dilation[1], stride[1])
            if not rest_y and not rest_x and 0 <= row < size[0] and 0 <= column < size[1]:
                inputs[t * windows // 100_000, row, column, c, ky, kx] += 1
    flat = inputs.reshape(-1, 12)
    (moment,) = second_moments(layer.single, [stream], windows)
    np.testing.assert_array_equal(moment, flat.T @ flat)


def test_errors_of_weights_that_are_used_together_cancel() -> None:
    together = np.ones((4, 4))
    rounded = compensated(np.full((1, 4), 0.4), [together], FMT)
    assert rounded.sum() == 2
    apart = compensated(np.full((1, 4), 0.4), [np.eye(4)], FMT)
    assert apart.tolist() == [[0, 0, 0, 0]]


@given(st.integers(0, 2**32 - 1))
def test_rounding_keeps_zeros_and_whole_numbers_and_stays_in_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.poisson(0.5, (30, 6))
    exact = rng.normal(0, 60, (3, 6)) * rng.integers(0, 2, (3, 6))
    rounded = compensated(exact, [(inputs.T @ inputs).astype(float)], FMT)
    assert (rounded[exact == 0] == 0).all()
    assert rounded.min() >= -128
    assert rounded.max() <= 127
    whole = np.clip(np.rint(exact), -128, 127)
    np.testing.assert_array_equal(compensated(whole, [(inputs.T @ inputs).astype(float)], FMT), whole)


def test_many_weights_are_rounded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, samples = _network().layers["conv2"], _streams(2, 1, (4, 4, 4))
    (whole,) = second_moments(layer.single, samples, 5)
    monkeypatch.setattr(rounding, "BLOCK", 10)
    parts = second_moments(layer.single, samples, 5)
    assert [len(part) for part in parts] == [10, 10, 10, 6]
    np.testing.assert_array_equal(parts[1], whole[10:20, 10:20])
    exact = layer.single.weights.reshape(6, 36).astype(np.float64) * 20
    rounded = compensated(exact, parts, FMT)
    np.testing.assert_array_equal(rounded[:, 10:20], compensated(exact[:, 10:20], parts[1:2], FMT))
