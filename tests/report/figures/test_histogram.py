"""A histogram counts every weight."""

from __future__ import annotations

import numpy as np
from helpers import report_example as example
from hypothesis import given
from hypothesis import strategies as st

from deploytool.chip.chips import CHIPS
from deploytool.report.figures import histogram


@given(st.integers(1, 127), st.integers(0, 2**32 - 1))
def test_every_weight_is_in_one_bar(most: int, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(-most, most + 1, 300).astype(np.int8)
    edges, found = histogram.bars_of(weights)
    assert found.sum() == 300
    assert len(found) <= histogram.BINS_MAX + 1
    widths = np.unique(np.diff(edges))
    assert len(widths) == 1


def test_zeros_and_weights_at_the_limit_are_counted() -> None:
    layer = example.program().layers["fc1"]
    values = layer.single.weights
    chart = histogram.weight_histogram("fc1", layer, CHIPS["speck2e"])
    zeros, cut = int((values == 0).sum()), int((np.abs(values.astype(int)) >= 127).sum())
    assert chart.caption.startswith(f"2,560 weights, {zeros} of them 0, {cut} at the limit of ±127")
    assert "the threshold 211 is further out" in chart.caption
