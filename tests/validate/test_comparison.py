"""The comparison of two recordings, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deploytool.ir.comparison import ChangedAnswer, Details, NeuronDifference
from deploytool.ir.divergence import Place
from deploytool.ir.recording import SPIKE, Recording, Setup
from deploytool.validate import comparison, ladder
from deploytool.validate.comparison import TimeScale

ONE = Recording(
    rung="emulator",
    samples=("a", "b", "c"),
    labels=np.array([0, 1, -1]),
    outputs=("fc",),
    counts={
        "conv": np.array([[[[3, 0]]], [[[1, 1]]], [[[0, 0]]]]),
        "fc": np.array([[[[4]], [[0]]], [[[1]], [[3]]], [[[0]], [[0]]]]),
    },
    synops=np.array([1, 1, 1]),
    spikes={},
    aliases={},
    setup=Setup(network="1" * 64),
)
OTHER = replace(
    ONE,
    rung="simulator",
    counts={
        "conv": np.array([[[[3, 2]]], [[[0, 1]]], [[[0, 0]]]]),
        "fc": np.array([[[[4]], [[5]]], [[[1]], [[3]]], [[[1]], [[0]]]]),
    },
)
LAYERS = ("conv", "fc")


def test_changed_answers() -> None:
    assert comparison.changed_answers(ONE, OTHER) == (
        ChangedAnswer(0, "a", 0, 0, 1),
        ChangedAnswer(2, "c", -1, -1, 0),
    )


def test_without_output_no_answer_is_changed() -> None:
    silent = replace(OTHER, outputs=(), counts={"conv": OTHER.counts["conv"]})
    assert comparison.changed_answers(ONE, silent) == ()
    assert comparison.differing_samples(ONE, silent, ("conv",)) == [0, 1, 2]
    found = ladder.compare({"one": ONE, "other": silent}, "one", "other", nothing()).differences[0]
    assert (found.agreement, found.output.pooled, found.not_compared) == (None, None, ("fc",))


def test_maps_and_worst_neurons() -> None:
    found = comparison.difference_map(ONE, OTHER, "conv")
    assert (found.shape, found.distance, found.change) == ((1, 1, 2), (1, 2), (-1, 2))
    assert comparison.worst_neurons(ONE, OTHER, LAYERS) == (
        NeuronDifference(Place("conv", 0, 0, 1), 1, 3, 2, 1),
        NeuronDifference(Place("conv", 0, 0, 0), 4, 3, 1, 1),
        NeuronDifference(Place("fc", 1, 0, 0), 3, 8, 5, 1),
        NeuronDifference(Place("fc", 0, 0, 0), 5, 6, 1, 1),
    )
    assert [each.neuron.layer for each in comparison.worst_neurons(ONE, OTHER, LAYERS, 1)] == ["conv", "fc"]
    assert comparison.worst_neurons(ONE, ONE, LAYERS) == ()


def test_samples_in_the_order_in_which_they_are_worth_a_look() -> None:
    """a and c have another answer, and a differs more; b differs in conv only."""
    assert comparison.differing_samples(ONE, OTHER, LAYERS) == [0, 2, 1]


def test_layers_are_shared_by_name_and_shape() -> None:
    other = replace(
        OTHER, counts={**OTHER.counts, "conv": np.zeros((3, 1, 1, 3), np.int64), "more": OTHER.counts["fc"]}
    )
    assert comparison.shared_layers(ONE, other) == ("fc",)
    found = ladder.compare({"one": ONE, "other": other}, "one", "other", nothing())
    assert found.differences[0].not_compared == ("conv", "more")
    assert [layer.layer for layer in found.differences[0].layers] == ["fc"]
    assert [(run.name, run.recording) for run in found.rungs] == [("emulator", "one"), ("simulator", "other")]
    assert found.checks == ()


def nothing() -> Details:
    return Details("", (), (), (), None, "", (), "")


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("1" * 64, "Both runs are of one network."),
        ("2" * 64, "different networks, 111111111111 and 222222222222"),
        ("", "Not known whether"),
    ],
)
def test_networks(network: str, says: str) -> None:
    assert says in comparison.networks(ONE, replace(OTHER, setup=Setup(network=network)))


def test_kept_spikes_of_samples_that_both_kept() -> None:
    """Sample 0 fires at 1 and 3 ms in one run and at 2 ms in the other; sample 1 was kept by one run only."""
    one = replace(ONE, spikes={"fc": np.array([(0, 1000, 0, 0, 0), (0, 3000, 1, 0, 0), (1, 0, 0, 0, 0)], SPIKE)})
    other = replace(OTHER, spikes={"fc": np.array([(0, 2000, 0, 0, 0)], SPIKE)})
    pairs = comparison.kept_spikes(one, other)
    assert list(pairs) == [0]
    found = comparison.timing(pairs, {"fc": (2, 1, 1)}, TimeScale(0.1, 10))
    (layer,) = found.layers
    assert (found.samples, found.q_per_ms, found.tau_ms) == ((0,), 0.1, 10)
    assert (layer.spikes, layer.victor_purpura, layer.victor_purpura_percent) == (3, 1.1, pytest.approx(36.6667))
    assert layer.van_rossum == pytest.approx(0.5 + 1 - np.exp(-0.1), abs=1e-4)


def test_without_spikes_the_share_is_undefined() -> None:
    pairs = {0: ({"fc": np.zeros(0, SPIKE)}, {"fc": np.zeros(0, SPIKE)})}
    (layer,) = comparison.timing(pairs, {"fc": (2, 1, 1)}, TimeScale()).layers
    assert (layer.victor_purpura, layer.victor_purpura_percent, layer.van_rossum) == (0, None, 0)
