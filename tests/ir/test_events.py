import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.ir.events import EVENT, EventStream, as_events


def events(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array(rows, EVENT)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 1), st.integers(0, 4), st.integers(0, 6))))
def test_valid_events_are_kept_as_they_are(rows: list[tuple[int, int, int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    stream = EventStream(events(rows), (2, 5, 7), 1000)
    assert stream.events.tolist() == rows
    assert not stream.events.flags.writeable


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([(5, 0, 0, 0), (4, 0, 0, 0)], "time goes back at event 1, from 5 to 4 us"),
        ([(-1, 0, 0, 0)], "the first event is at -1 us"),
        ([(1, 2, 0, 0)], "event 0 has c = 2"),
        ([(1, 0, 0, 0), (1, 0, 5, 0)], "event 1 has y = 5"),
        ([(1, 0, 0, 7)], "need x in 0..6 on a map of 2x5x7"),
        ([(1000, 0, 0, 0)], "the sample lasts 1000 us"),
    ],
)
def test_ill_formed_events_are_refused(rows: list[tuple[int, int, int, int]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        EventStream(events(rows), (2, 5, 7), 1000, name="a.npy")


def test_times_that_would_wrap_around_are_refused() -> None:
    with pytest.raises(InputError, match=r"lasts \d+ us; need at most 4503599627370496 us. Give times from"):
        EventStream(events([(2**62, 0, 0, 0)]), (1, 1, 1), 2**62 + 1)
    array = np.array([(2**63 + 5, 0, 0, 0)], [("t", "u8"), ("c", "i2"), ("y", "i2"), ("x", "i2")])
    with pytest.raises(InputError, match="field t goes up to 9223372036854775813; need signed 64-bit"):
        as_events(array, "a")


def test_polarity_becomes_the_feature() -> None:
    array = np.array([(3, 4, 10, True)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", bool)])
    assert as_events(array, "a").tolist() == [(10, 1, 4, 3)]


def test_wrong_fields_are_refused() -> None:
    with pytest.raises(InputError, match="need a one-dimensional structured array"):
        as_events(np.zeros(3, [("t", "i8"), ("x", "i2")]), "a")
    with pytest.raises(InputError, match="field t is of float64"):
        as_events(np.zeros(1, [("t", "f8"), ("c", "i2"), ("y", "i2"), ("x", "i2")]), "a")
    with pytest.raises(InputError, match=r"field x spans -1\.\.-1"):
        as_events(np.array([(1, 0, 0, -1)], [("t", "i8"), ("c", "i2"), ("y", "i2"), ("x", "i2")]), "a")
