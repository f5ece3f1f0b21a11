"""Weights that vanish: how many, whose, and what made the scale so small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.chip.chips import chip_named
from deploytool.chip.integers import quantise
from deploytool.map.vanishing import VANISHED_SHARE, Vanished, vanished

CHIP = chip_named("speck2e")
FMT = CHIP.integers


def found(weights: np.ndarray, threshold: float = 1.0, bits: int = 8, scale: float | None = None) -> Vanished:
    fmt = CHIP.integers_of(bits)
    layer = quantise(weights, None, threshold, None, fmt, scale)
    return vanished(weights, layer.weights, threshold, layer.scale, fmt)


def normal(*shape: int, size: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, size, shape).astype(np.float32)


@given(arrays(np.float32, (4, 2, 2, 2), elements=st.floats(-2, 2, width=32)), st.integers(2, 8))
def test_shares_and_features_are_counted_on_weights_that_were_not_0(weights: np.ndarray, bits: int) -> None:
    integers = quantise(weights, None, 1.0, None, CHIP.integers_of(bits)).weights if weights.any() else weights
    assume(integers.any())
    lost = found(weights, bits=bits)
    gone = (weights != 0) & (integers == 0)
    assert lost.share == pytest.approx(gone.sum() / np.count_nonzero(weights))
    silenced = [o for o in range(4) if weights[o].any() and not integers[o].any()]
    assert list(lost.silenced) == silenced
    assert np.abs(weights[gone]).max(initial=0) <= lost.smallest_left * (1 + 1e-6)
    assert np.abs(weights[integers != 0]).min() >= lost.smallest_left * (1 - 1e-6)
    assert lost.worth_a_warning == bool(silenced or lost.share >= VANISHED_SHARE)


def test_weights_of_about_one_size_are_kept_and_nothing_is_said() -> None:
    lost = found(normal(8, 2, 3, 3))
    assert lost.scale_set_by == "all weights"
    assert lost.share < 0.05
    assert not lost.worth_a_warning


@pytest.mark.parametrize("large", [(3,), (2, 5)])
def test_large_features_are_named(large: tuple[int, ...]) -> None:
    weights = normal(8, 2, 3, 3)
    weights[list(large)] *= 600
    lost = found(weights)
    assert (lost.scale_set_by, lost.large, lost.features) == ("features", large, 8)
    assert set(lost.silenced) <= set(range(8)) - set(large)
    assert lost.typical == pytest.approx(0.0674, rel=0.1)
    named = "feature 3" if large == (3,) else "features 2, 5"
    said = lost.says("conv")
    assert f"because the weights of {named} set the scale: up to " in said
    assert f"set gamma and beta of channel{named.removeprefix('feature')} to 0, or train again" in said
    assert "A core has one threshold" in said
    assert "map --quantise calibrated --data SET" in said


@pytest.mark.parametrize("value", [50.0, -50.0])
def test_an_outlier_is_named_by_its_place(value: float) -> None:
    weights = normal(4, 4, 3, 3, size=0.002)
    weights[1, 2, 0, 1] = value
    lost = found(weights)
    assert (lost.scale_set_by, lost.place, lost.weight) == ("few weights", (1, 2, 0, 1), value)
    assert lost.silenced == (0, 2, 3)
    said = lost.says("conv")
    assert "conv: 99% of the nonzero weights become 0, and features 0, 2, 3 of 4 lose all their weights" in said
    assert f"one weight sets the scale: {value:g} (from feature 2 to feature 1, row 0, column 1)" in said


def test_a_single_feature_that_is_large_as_a_whole_is_no_outlier() -> None:
    assert found(10 * normal(1, 2, 3, 3)).scale_set_by == "all weights"


def test_a_heavy_tail_is_not_blamed_on_one_weight() -> None:
    weights = np.random.default_rng(0).laplace(0, 0.1, (16, 16, 3, 3)).astype(np.float32)
    lost = found(weights, bits=4)
    assert lost.scale_set_by == "all weights"
    assert lost.share > VANISHED_SHARE
    assert "use more bits" in lost.says("conv")


def test_a_threshold_far_above_the_weights_is_named() -> None:
    lost = found(normal(8, 2, 3, 3), threshold=1e5)
    assert lost.scale_set_by == "threshold"
    assert "the threshold sets the scale: it is 100000, " in lost.says("conv")
    assert "scaling both has no effect" in lost.says("conv")


def test_a_scale_that_calibration_chose_is_not_blamed_on_a_weight() -> None:
    lost = found(normal(8, 2, 3, 3), scale=2.0)
    assert lost.scale_set_by == "calibration"
    assert lost.worth_a_warning
    assert "because calibration chose the scale" in lost.says("conv")


def test_integers_that_a_network_was_trained_in_lose_nothing() -> None:
    for bits in (2, 4, 8):
        trained = quantise(normal(8, 2, 3, 3), None, 1.0, None, CHIP.integers_of(bits)).weights.astype(np.float32)
        lost = found(trained / 64, bits=bits)
        assert (lost.share, lost.silenced) == (0, ())


def test_many_features_are_cut_short() -> None:
    weights = normal(40, 2, 3, 3)
    weights[7] *= 1e5
    assert "features 0, 1, 2, 3, 4, 5, 6, 8, ... of 40 lose all their weights" in found(weights).says("conv")
