"""Counts on disk read like the array that they are pieces of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploytool.ir import counts
from deploytool.ir.counts import Counts, Stored, concatenated, slices


@st.composite
def split(draw: st.DrawFn) -> tuple[np.ndarray, Counts]:
    """Counts of 0 to 9 samples, and the same in pieces of narrow types."""
    samples = draw(st.integers(0, 9))
    whole = np.random.default_rng(samples).integers(0, 300, (samples, 2, 3, 1))
    cuts = sorted(draw(st.lists(st.integers(0, samples), max_size=4)))
    parts = np.split(whole, cuts)
    return whole, Counts([Stored(len(part), part.astype(np.uint16).copy) for part in parts], (2, 3, 1))


KEYS: list[Any] = [
    slice(None),
    slice(2, 5),
    slice(-3, None),
    slice(None, None, 2),
    (slice(1, 4), 1),
    (slice(None), slice(None), 0),
    ...,
    [0, -1, 0],
    [],
    np.array([0, -1]),
]


@given(split(), st.sampled_from(KEYS))
def test_indexing(both: tuple[np.ndarray, Counts], key: Any) -> None:
    whole, pieces = both
    assume(len(whole) or not isinstance(key, (list, np.ndarray)))
    assert pieces[key].tolist() == whole[key].tolist()


@given(split())
def test_samples_one_by_one(both: tuple[np.ndarray, Counts]) -> None:
    whole, pieces = both
    assert [pieces[i].tolist() for i in range(-len(whole), len(whole))] == [*whole.tolist(), *whole.tolist()]
    assert [pieces[i, 1, 2].tolist() for i in range(len(whole))] == whole[:, 1, 2].tolist()
    with pytest.raises(IndexError):
        pieces[len(whole)]


@given(split(), st.integers(1, 20))
def test_what_arrays_can_do(both: tuple[np.ndarray, Counts], piece: int) -> None:
    whole, pieces = both
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "PIECE", piece)
        assert (pieces.shape, pieces.ndim, pieces.size, len(pieces)) == (whole.shape, 4, whole.size, len(whole))
        assert pieces.dtype == whole.dtype == np.asarray(pieces).dtype
        assert pieces.sum() == whole.sum()
        assert pieces.max() == whole.max(initial=0)
        for axis in (0, 1, (1, 2, 3), (0, 2)):
            assert np.array_equal(pieces.sum(axis=axis), whole.sum(axis=axis))
    assert np.array_equal(pieces - whole, np.zeros(whole.shape))
    assert np.array_equal(-whole < pieces, -whole < whole)
    assert np.array_equal(np.abs(pieces), whole)
    assert pieces.any() == whole.any()
    assert pieces.tolist() == whole.tolist()
    assert np.array_equal(pieces.reshape(len(whole), 6), whole.reshape(len(whole), 6))
    assert np.array_equal(np.concatenate([pieces, whole]), np.concatenate([whole, whole]))
    assert isinstance(concatenated([pieces, whole]), Counts)
    assert np.array_equal(concatenated([pieces, whole]), np.concatenate([whole, whole]))


def test_narrow_types_do_not_wrap() -> None:
    """A piece of uint8 is int64 when it is read: 1 - 2 is -1."""
    one = Counts([Stored(1, lambda: np.ones((1, 1, 1, 1), np.uint8))], (1, 1, 1))
    assert (one[:] - 2).tolist() == [[[[-1]]]]


def test_only_the_piece_that_is_needed_is_read() -> None:
    read: list[int] = []

    def piece(number: int) -> np.ndarray:
        read.append(number)
        return np.full((2, 1, 1, 1), number)

    found = Counts([Stored(2, lambda i=i: piece(i)) for i in range(3)], (1, 1, 1))  # type: ignore[misc]
    assert found[2].item() == found[3].item() == 1
    assert found[[2, 3]].ravel().tolist() == [1, 1]
    assert read == [1]


def test_slices_cover_all_samples_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "PIECE", 20)
    assert [*slices((7, 2, 3, 1))] == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert [*slices((2, 5, 5, 1))] == [slice(0, 1), slice(1, 2)]
