"""Digests: equal values have equal digests, and what differs in anything that counts has another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.digest import digest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@dataclass(frozen=True)
class Place:
    x: int
    y: int


@given(VALUES, VALUES)
def test_values_have_the_same_digest_exactly_when_they_read_the_same(a: object, b: object) -> None:
    assert (digest(a) == digest(b)) == (repr(a) == repr(b))


def test_what_counts_of_an_array_is_type_shape_and_values() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.copy())
    others = (array.astype(np.int64), array.reshape(3, 2), array + 1, array.tolist())
    assert len({digest(array), *map(digest, others)}) == 5


def test_what_counts_of_a_dataclass_is_its_name_and_fields() -> None:
    assert digest(Point(1, 2)) == digest(Point(1, 2))
    assert len({digest(Point(1, 2)), digest(Point(2, 1)), digest(Place(1, 2)), digest({"x": 1, "y": 2})}) == 4


def test_a_tuple_counts_as_a_list_and_a_number_of_numpy_as_a_number() -> None:
    assert digest((1, 2)) == digest([1, 2])
    assert digest(np.float64(0.5)) == digest(0.5)
    assert digest(np.int16(3)) == digest(3)


def test_a_value_without_an_exact_name_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot digest a set"):
        digest({"a": {1}})
