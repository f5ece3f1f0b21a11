"""Where two runs part by their kept spikes, whatever the order within a microsecond."""

from __future__ import annotations

import numpy as np

from deploytool.ir.divergence import Place
from deploytool.ir.recording import SPIKE
from deploytool.validate.divergence.observed import observe

SHAPES = {"conv": (2, 1, 2), "fc": (3, 1, 1)}


def kept(*spikes: tuple[int, int, int]) -> np.ndarray:
    return np.array([(0, t, c, 0, x) for t, c, x in spikes], SPIKE)


def test_the_first_spike_that_one_run_lacks() -> None:
    one = {"conv": kept((1, 0, 0), (5, 1, 1), (5, 0, 0)), "fc": kept((9, 2, 0))}
    other = {"conv": kept((1, 0, 0), (5, 0, 0), (5, 1, 1), (8, 1, 0)), "fc": kept((7, 2, 0), (9, 2, 0))}
    found = observe("a", 4, (one, other), SHAPES)
    assert found.first is not None
    assert (found.first.layer, found.first.t_us, found.first.neuron) == ("fc", 7, Place("fc", 2, 0, 0))
    assert (found.first.spikes, found.first.reasons) == ((0, 1), ("not known",))
    assert [(each.layer, each.t_us) for each in found.layers] == [("conv", 8), ("fc", 7)]
    assert "neuron 2 of fc does not fire in the reference and fires once in the test" in found.says


def test_equal_spikes() -> None:
    spikes = {"conv": kept((1, 0, 0)), "fc": kept()}
    found = observe("a", 4, (spikes, spikes), SHAPES)
    assert found.first is None
    assert found.says == "Sample 4 (a): all kept spikes are the same."
