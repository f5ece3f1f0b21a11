from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.ir.decoder import Decoder
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.windows import OutputWindows, counted, joined, targets_in, windows_in, windows_of

TWO = Decoder(("v",), np.array([[2.0, -1.0]]), np.array([0.5]), window_us=100)


def stream(targets: list[list[float]] | None, duration_us: int = 300) -> EventStream:
    rows = None if targets is None else np.array(targets, np.float32)
    return EventStream(np.zeros(0, EVENT), (1, 2, 2), duration_us, targets=rows)


def test_spikes_are_counted_in_windows_of_equal_duration() -> None:
    t_us, neurons = np.array([0, 99, 100, 250, 299, 299]), np.array([0, 1, 1, 0, 0, 0])
    assert counted(t_us, neurons, 2, 3, 300).tolist() == [[1, 1], [0, 1], [3, 0]]


def test_a_spike_after_the_sample_counts_in_its_last_window() -> None:
    assert counted(np.array([310]), np.array([1]), 2, 3, 300).tolist() == [[0, 0], [0, 0], [0, 1]]


def test_there_are_as_many_windows_as_the_decoder_says_or_as_targets() -> None:
    assert windows_in(stream([[1], [2]]), TWO) == 3
    assert windows_in(stream(None), TWO) == 3
    assert windows_in(stream([[1], [2]]), None) == 2
    assert windows_in(stream(None), None) == 0


def test_finer_targets_are_averaged() -> None:
    assert targets_in(stream([[1, 0], [2, 0], [6, 1], [8, 3]]), 2).tolist() == [[1.5, 0], [7, 2]]
    with pytest.raises(InputError, match="targets of 2 windows, in a sample of 300 us that is decoded in 3"):
        targets_in(stream([[1], [2]]), 3)


def test_windows_of_samples_are_joined_and_missing_targets_are_not_numbers() -> None:
    first = windows_of(stream([[1.0], [2.0]], 200), np.array([[1, 0], [0, 3]]), TWO)
    second = windows_of(stream(None), np.array([[2, 2]]), TWO)
    both = joined([first, second])
    assert both is not None
    assert both.number.tolist() == [2, 1]
    assert both.samples.tolist() == [0, 0, 1]
    assert both.places.tolist() == [0, 1, 0]
    assert both.of(1) == slice(2, 3)
    np.testing.assert_array_equal(both.targets, [[1], [2], [np.nan]])
    assert both.decoded is not None
    assert both.decoded.tolist() == [[2.5], [-2.5], [2.5]]


def test_a_sample_without_windows_has_none_among_others_that_have() -> None:
    one = windows_of(stream([[1.0]]), np.array([[1, 0]]), TWO)
    both = joined([None, one, None])
    assert both is not None
    assert both.number.tolist() == [0, 1, 0]
    assert joined([None, None]) is None


def test_potentials_are_read_where_they_were_measured() -> None:
    decoder = Decoder(**{**vars(TWO), "reads": "potential"})
    number, counts = np.array([1]), np.array([[9, 9]])
    assert OutputWindows(number, counts, decoder=decoder).decoded is None
    found = OutputWindows(number, counts, potentials=np.array([[0.25, 1]], np.float32), decoder=decoder).decoded
    assert found is not None
    assert found.tolist() == [[0.0]]


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="counts of 1 windows"):
        OutputWindows(np.array([2]), np.array([[1, 0]]))
    with pytest.raises(InputError, match="3 outputs; need 2"):
        OutputWindows(np.array([1]), np.array([[1, 0, 0]]), decoder=TWO)
    with pytest.raises(InputError, match="targets of 2 values"):
        OutputWindows(np.array([1]), np.array([[1, 0]]), np.zeros((1, 2), np.float32), decoder=TWO)


def test_infinite_values_are_refused() -> None:
    number, counts = np.array([1]), np.array([[1, 0]])
    assert len(OutputWindows(number, counts, np.array([[np.nan]], np.float32))) == 1
    with pytest.raises(InputError, match="infinite targets"):
        OutputWindows(number, counts, np.array([[np.inf]], np.float32))
    with pytest.raises(InputError, match="potentials that are not finite"):
        OutputWindows(number, counts, potentials=np.array([[np.nan, 1]], np.float32))


@pytest.mark.parametrize("targets", [[[np.nan]], [[]], [[1.0]] * 301])
def test_targets_of_a_stream_are_numbers_in_windows_of_a_microsecond_or_longer(targets: list[list[float]]) -> None:
    with pytest.raises(InputError, match="targets"):
        stream(targets)
