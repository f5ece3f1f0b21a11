"""Metrics against values computed by hand, and what must hold for any counts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.ir.recording import Recording, RungName
from deploytool.validate import metrics

COUNTS = arrays(np.int64, array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.integers(0, 50))


def recording(
    counts: object, rung: RungName = "emulator", labels: object = None, synops: object = None, layer: str = "fc1"
) -> Recording:
    """A recording of one layer, which is the output; counts (S, N) or (S, C, H, W)."""
    array: NDArray[np.int64] = np.asarray(counts, np.int64)
    array = array if array.ndim == 4 else array.reshape(*array.shape, 1, 1)
    samples = len(array)
    return Recording(
        rung=rung,
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.full(samples, -1) if labels is None else np.asarray(labels),
        outputs=(layer,),
        counts={layer: array},
        synops=np.zeros(samples) if synops is None else np.asarray(synops),
        spikes={},
        aliases={"spike1": layer},
    )


def test_spike_difference_by_hand() -> None:
    found = metrics.spike_difference(recording([[4, 0], [1, 5]]), recording([[3, 1], [1, 3]]))
    assert found.pooled == pytest.approx(100 * 4 / 10)
    assert found.mean == pytest.approx(100 * (2 / 4 + 2 / 6) / 2)
    assert (found.exact_neurons, found.neurons, found.samples) == (0, 2, 2)
    assert found.exact_counts == 25


def test_one_neuron_equal_on_every_sample() -> None:
    found = metrics.spike_difference(recording([[4, 7], [1, 7]]), recording([[4, 7], [2, 7]]))
    assert (found.exact_neurons, found.exact_counts) == (1, 75)


def test_a_silent_reference_is_undefined_and_not_zero() -> None:
    found = metrics.spike_difference(recording([[0, 0]]), recording([[3, 1]]))
    assert found.pooled is None
    assert found.mean is None


def test_samples_silent_in_the_reference_count_in_pooled_but_not_in_mean() -> None:
    found = metrics.spike_difference(recording([[0], [10]]), recording([[5], [9]]))
    assert found.pooled == pytest.approx(60)
    assert found.mean == pytest.approx(10)


def test_without_an_output_nothing_is_said_of_answers() -> None:
    whole = recording([[4, 0], [1, 5]], labels=[0, 1], synops=[10, 20])
    partial = replace(whole, outputs=(), synops=np.zeros(0))
    found = metrics.spike_difference(whole, partial)
    assert (found.pooled, found.mean, found.exact_counts, found.neurons) == (None, None, None, 0)
    assert metrics.spike_difference(whole, partial, "fc1").pooled == 0
    assert metrics.accuracy(partial) is None
    assert metrics.confidence_interval(metrics.right(partial), metrics.labelled(partial)) is None
    assert metrics.silent(partial) is None
    assert metrics.agreement(whole, partial) is None
    assert metrics.synops_per_sample(partial) is None


@given(COUNTS)
def test_identical_recordings_differ_by_nothing(counts: NDArray[np.int64]) -> None:
    found = metrics.spike_difference(recording(counts), recording(counts, "board"))
    assert found.exact_neurons == found.neurons
    assert found.exact_counts == 100
    assert found.pooled == (0 if counts.any() else None)


@given(COUNTS, st.integers(1, 7), st.randoms(use_true_random=False))
def test_scaling_both_or_permuting_neurons_and_samples_changes_nothing(counts, factor, random) -> None:
    other = np.roll(counts, 1) + (np.arange(counts.size).reshape(counts.shape) % 3)
    before = metrics.spike_difference(recording(counts), recording(other))
    scaled = metrics.spike_difference(recording(counts * factor), recording(other * factor))
    order = list(range(counts.size // len(counts)))
    random.shuffle(order)
    moved = [array.reshape(len(counts), -1)[::-1, order] for array in (counts, other)]
    permuted = metrics.spike_difference(recording(moved[0]), recording(moved[1]))
    for found in (scaled, permuted):
        assert found.exact_neurons == before.exact_neurons
        for name in ("pooled", "mean"):
            value, expected = getattr(found, name), getattr(before, name)
            assert value == expected if expected is None else math.isclose(value, expected, abs_tol=1e-9)


def test_a_layer_may_be_called_by_a_node_it_was_made_from() -> None:
    one, two = recording([[4]]), recording([[3]])
    assert metrics.spike_difference(one, two, "spike1") == metrics.spike_difference(one, two, "fc1")


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InputError, match="conv9"):
        metrics.spike_difference(recording([[4]]), recording([[3]]), "conv9")


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="counts of shape"):
        metrics.spike_difference(recording([[4, 1]]), recording([[3]]))


def test_other_samples_labels_or_order_are_refused() -> None:
    one = recording([[4], [1]], labels=[0, 0])
    with pytest.raises(InputError, match="1 samples against 2"):
        metrics.spike_difference(one, recording([[4]]))
    with pytest.raises(InputError, match="sample 1 has label 3 against 0"):
        metrics.agreement(one, recording([[4], [1]], labels=[0, 3]))
    turned = Recording("board", ("s1", "s0"), one.labels, one.outputs, one.counts, one.synops, {}, {})
    with pytest.raises(InputError, match="sample 0 is 's1' against 's0'"):
        metrics.spike_difference(one, turned)


def test_accuracy_counts_ties_to_the_first_and_silence_as_wrong() -> None:
    found = recording([[2, 2], [0, 0], [0, 1], [1, 0]], labels=[0, 0, 1, -1])
    assert metrics.accuracy(found) == pytest.approx(100 * 2 / 3)
    assert (metrics.right(found), metrics.labelled(found), metrics.silent(found)) == (2, 3, 1)
    assert metrics.accuracy(recording([[2, 2]])) is None


def test_agreement_counts_equal_predictions_right_or_wrong() -> None:
    assert metrics.agreement(recording([[2, 0], [0, 1], [0, 0]]), recording([[9, 1], [5, 1], [0, 0]])) == pytest.approx(
        100 * 2 / 3
    )


def test_confusion_has_a_row_per_label_and_a_last_column_for_silence() -> None:
    found = metrics.confusion(recording([[2, 0], [0, 3], [0, 0], [5, 0]], labels=[0, 0, 1, -1]))
    assert found is not None
    assert found.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_the_confusion_of_very_many_classes_is_not_counted() -> None:
    """A label of 26,820 asked for 5 GB."""
    assert metrics.confusion(recording([[2, 0]], labels=[999])) is not None
    assert metrics.confusion(recording([[2, 0]], labels=[1000])) is None


def test_synops_and_spikes_are_means_over_samples() -> None:
    found = recording([[1, 2], [3, 4]], synops=[10, 15])
    assert metrics.synops_per_sample(found) == 12.5
    assert metrics.spikes_per_sample(found) == {"fc1": 5}


def test_wilson_interval_by_hand() -> None:
    low, high = metrics.confidence_interval(9, 10) or (0, 0)
    assert low == pytest.approx(59.58, abs=0.01)
    assert high == pytest.approx(98.21, abs=0.01)
    assert metrics.confidence_interval(0, 0) is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_stays_in_range(trials: int, part: float) -> None:
    successes = round(trials * part)
    low, high = metrics.confidence_interval(successes, trials) or (0, 0)
    assert 0 <= low <= 100 * successes / trials + 1e-9
    assert 100 * successes / trials - 1e-9 <= high <= 100


def test_no_samples_is_undefined_everywhere() -> None:
    empty = recording(np.zeros((0, 2)))
    assert metrics.accuracy(empty) is None
    assert metrics.synops_per_sample(empty) is None
    assert metrics.agreement(empty, empty) is None
    assert metrics.spikes_per_sample(empty) == {}
    assert metrics.spike_difference(empty, empty).pooled is None
