"""Training's integers are the exporter's, for any weights and bits."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploytool.chip.integers import dequantise, quantise
from deploytool.recipe import ConstraintsSection
from deploytool.train.network.quantiser import fake_quantise

WEIGHTS = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-3, 3, width=32))
BITS = st.integers(2, 8)
THRESHOLDS = st.floats(0.05, 10)
FLOORS = st.none() | st.floats(-10, 0)


@given(WEIGHTS, BITS, THRESHOLDS, FLOORS)
def test_integers_are_the_exporters(weights, bits, threshold, floor):
    fmt = ConstraintsSection(weight_bits=bits).integers
    ours = fake_quantise(torch.from_numpy(weights), threshold, floor, fmt)
    theirs = quantise(weights, None, threshold, floor, fmt)
    np.testing.assert_array_equal(ours.weights.numpy(), theirs.weights)
    assert (ours.threshold, ours.floor, ours.scale) == (theirs.threshold, theirs.floor, theirs.scale)


@given(WEIGHTS, BITS, THRESHOLDS, FLOORS)
def test_exported_numbers_give_the_same_integers(weights, bits, threshold, floor):
    fmt = ConstraintsSection(weight_bits=bits).integers
    layer = quantise(weights, None, threshold, floor, fmt)
    again = fake_quantise(torch.from_numpy(dequantise(layer)[0]), *dequantise(layer)[1:], fmt)
    np.testing.assert_array_equal(again.weights.numpy(), layer.weights)
    assert (again.threshold, again.floor) == (layer.threshold, layer.floor)


def test_gradient_passes_straight_through():
    weights = torch.tensor([[-0.5, 0.26, 1.0]], requires_grad=True)
    layer = fake_quantise(weights, 1.0, -1.0, ConstraintsSection().integers)
    assert layer.scale == 127
    assert layer.weights.tolist() == [[-64, 33, 127]]  # -63.5 and 33.02: half goes to even
    layer.weights.backward(torch.tensor([[1.0, 2.0, 3.0]]))
    assert weights.grad is not None
    assert weights.grad.tolist() == [[127, 254, 381]]
