import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.chip.chips import CHIPS
from deploytool.chip.integers import dequantise, integer_floor, quantise, weight_scale

FMT = CHIPS["speck2e"].integers
weights = arrays(np.float32, (4, 2, 3, 3), elements=st.floats(-4, 4, width=32))


@given(weights, st.floats(0.01, 100), st.floats(-50, 0))
def test_integers_stay_in_their_ranges(w: np.ndarray, threshold: float, floor: float) -> None:
    layer = quantise(w, None, threshold, floor, FMT)
    assert layer.weights.dtype == np.int8
    assert 1 <= layer.threshold <= FMT.threshold_max
    assert -(2**15) <= layer.floor <= FMT.floor_max


@given(weights, st.floats(0.1, 10))
def test_one_side_reaches_its_end_unless_the_threshold_binds(w: np.ndarray, threshold: float) -> None:
    scale = weight_scale(float(w.min()), float(w.max()), threshold, FMT)
    assert math.isfinite(scale)
    bound = [w.max() * scale / 127, w.min() * scale / -128, threshold * scale / FMT.threshold_max]
    assert math.isclose(max(bound), 1, rel_tol=1e-6)


@given(weights, st.floats(0.1, 10), st.one_of(st.none(), st.floats(-5, 0)))
def test_quantising_again_changes_nothing(w: np.ndarray, threshold: float, floor: float | None) -> None:
    once = quantise(w, None, threshold, floor, FMT)
    real, theta, low = dequantise(once)
    twice = quantise(real, None, theta, low if floor is not None else None, FMT)
    assert np.array_equal(once.weights, twice.weights)
    if w.any():
        assert (once.threshold, once.floor) == (twice.threshold, twice.floor)


def test_neither_floor_nor_bias_chooses_the_scale() -> None:
    w = np.full((1, 1, 1, 1), 0.1, np.float32)
    plain = quantise(w, None, 1.0, -1.0, FMT)
    assert plain.scale == quantise(w, np.array([10.0]), 1.0, None, FMT).scale
    assert plain.weights.item() == 127


def test_an_absent_floor_is_the_lowest_state_and_none_is_above_minus_one() -> None:
    assert integer_floor(None, 72.0, FMT) == -32768
    assert integer_floor(0.0, 72.0, FMT) == -1
    assert integer_floor(-1e9, 72.0, FMT) == -32768


def test_rounding_is_half_to_even() -> None:
    w = np.array([127, 0.5, 1.5, 2.5, -0.5], np.float32).reshape(5, 1, 1, 1)
    assert quantise(w, None, 10.0, None, FMT).weights.ravel().tolist() == [127, 0, 2, 2, 0]


def test_weights_beyond_float32_become_infinite_in_silence() -> None:
    layer = quantise(np.ones((1, 1), np.float32), None, 1, None, FMT, scale=100)
    assert np.isposinf(dequantise(replace(layer, scale=2.0**-127))[0]).all()
