"""Neurons: equal neurons are one value."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.digest import digest
from deploytool.ir.neurons import Leak, Neurons
from deploytool.ir.nodes import Spike

SHAPE = 2, 1, 3
DIFFERENT = np.arange(6.0).reshape(SHAPE)


@pytest.mark.parametrize(("number", "kind"), [(-3, np.int16), (2.5, np.float32), (0.1, np.float64)])
def test_equal_values_of_neurons_are_one_number(number: float, kind: type) -> None:
    each = np.full(SHAPE, number, kind)
    found = Neurons(threshold=each, v_init=each, v_reset=each, leak=Leak(each, each, each))
    one = each.flat[0].item()
    wanted = Neurons(threshold=one, v_init=one, v_reset=one, leak=Leak(one, one, one))
    assert digest(found) == digest(wanted)
    assert (found.v_init, type(found.v_init)) == (one, type(number))


def test_arrays_of_different_values_stay_and_cannot_be_edited() -> None:
    neurons = Neurons(v_init=DIFFERENT, leak=Leak(1 + DIFFERENT))
    assert np.array_equal(neurons.v_init, DIFFERENT)
    assert np.array_equal(neurons.leak.tau_ms, 1 + DIFFERENT)
    with pytest.raises(ValueError, match="read-only"):
        neurons.v_init[0] = 1


def test_a_change_is_made_to_every_array() -> None:
    neurons = Neurons(threshold=DIFFERENT, floor=-1.0, v_init=0.5, leak=Leak(1 + DIFFERENT, tau_syn_ms=3.0))
    part = neurons.each(lambda array: array[1:])
    assert np.array_equal(part.threshold, DIFFERENT[1:])
    assert np.array_equal(part.leak.tau_ms, 1 + DIFFERENT[1:])
    assert (part.floor, part.v_init, part.leak.tau_syn_ms) == (-1.0, 0.5, 3.0)
    assert digest(
        neurons.each(lambda array: array.reshape(6, 1, 1)).each(lambda array: array.reshape(SHAPE))
    ) == digest(neurons)


def test_the_neurons_of_a_spike_are_what_it_says() -> None:
    spike = Spike(1 + DIFFERENT, -2.0, "zero", 5.0, False, 3.0, 0.25, -0.5, DIFFERENT)
    neurons = spike.neurons
    assert np.array_equal(neurons.threshold, 1 + DIFFERENT)
    assert np.array_equal(neurons.v_init, DIFFERENT)
    assert (neurons.floor, neurons.reset, neurons.at_most_one, neurons.v_reset) == (-2.0, "zero", False, -0.5)
    assert (neurons.leak.tau_ms, neurons.leak.v_leak, neurons.leak.tau_syn_ms) == (5.0, 0.25, 3.0)
    assert Spike().neurons.leak is None


@pytest.mark.parametrize(
    ("leak", "threshold", "between"),
    [
        (None, 1.0, False),
        (Leak(2.0), 1.0, False),
        (Leak(2.0, tau_syn_ms=1.0), 1.0, True),
        (Leak(2.0, v_leak=1.0), 1.0, True),
        (Leak(2.0, v_leak=DIFFERENT), 1.5 + DIFFERENT, False),
        (Leak(2.0, v_leak=DIFFERENT), 4.0, True),
    ],
)
def test_which_neurons_fire_between_inputs(leak: Leak | None, threshold: float, between: bool) -> None:
    assert Neurons(threshold, leak=leak).fires_between == between
