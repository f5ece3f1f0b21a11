"""What readers find becomes events of one kind: polarities however they are written, both as one where asked."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.data.formats.reading import AS_IT_IS, RawEvents
from deploytool.data.formats.uniform import Uniform, polarities, uniform


def raw(p: np.ndarray, features: bool = False, sensor: tuple[int, int] | None = None) -> RawEvents:
    count = np.arange(len(p))
    return RawEvents(10 * count, count, count, np.asarray(p), features=features, sensor=sensor)


def of(events: RawEvents, features: int = 2) -> Uniform:
    return uniform(events, AS_IT_IS, (features, 9, 9), "a.npy")


@pytest.mark.parametrize(
    "p",
    [
        np.array([1, 0, 1], np.uint8),
        np.array([1, 0, 1], np.int64),
        np.array([True, False, True]),
        np.array([1, -1, 1], np.int8),
        np.array([1.0, -1.0, 1.0]),
        np.array([1.0, 0.0, 1.0], np.float32),
    ],
)
def test_polarities_in_every_spelling(p: np.ndarray) -> None:
    assert of(raw(p)).events["c"].tolist() == [1, 0, 1]


def test_one_polarity_alone() -> None:
    assert polarities(np.array([-1, -1]), "a").tolist() == [0, 0]
    assert polarities(np.array([1, 1]), "a").tolist() == [1, 1]
    assert polarities(np.array([], np.int8), "a").tolist() == []


@pytest.mark.parametrize(
    ("p", "says"),
    [
        ([-1, 0, 1], "polarities from -1 to 1; need 1 and 0, or 1 and -1"),
        ([-1, 0], "polarities from -1 to 0"),
        ([-2, 1], "polarities from -2 to 1"),
        ([1, 2, 1], "polarities 1 and 2; need 1 and 0, or 1 and -1. Subtract 1 from them."),
        ([0.5, 1], "polarities of dtype float64"),
        (["a", "b"], "polarities of dtype <U1"),
        ([0, 70_000], "field p spans 0..70000; need 0..65535"),
    ],
)
def test_what_is_no_polarity(p: list[object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        of(raw(np.array(p)))


def test_one_input_feature_merges_both_polarities() -> None:
    merged = of(raw(np.array([1, 0, 1])), features=1)
    assert merged.events["c"].tolist() == [0, 0, 0]
    assert merged.seen.merged
    assert not of(raw(np.array([1, 0, 1])), features=2).seen.merged
    assert not of(raw(np.array([0, 0])), features=1).seen.merged


def test_more_features_are_left_to_the_check_of_the_map() -> None:
    many = of(raw(np.array([0, 1, 2]), features=True), features=1)
    assert many.events["c"].tolist() == [0, 1, 2]
    assert not many.seen.merged


def test_events_beyond_the_map_name_the_camera() -> None:
    found = raw(np.zeros(12, np.int64), sensor=(720, 1280))
    with pytest.raises(
        InputError, match=r"a camera of 720x1280 pixels, up to row 11 and column 11; need .* 2x9x9\. Crop"
    ):
        of(found)
    assert len(of(raw(np.zeros(9, np.int64), sensor=(720, 1280))).events) == 9


def test_places_are_whole_numbers_that_fit() -> None:
    t = np.arange(2)
    for x, says in (
        ([0.5, 1], "field x has fractions"),
        ([-1, 0], r"field x spans -1\.\.0"),
        (["a", "b"], "field x has dtype"),
    ):
        with pytest.raises(InputError, match=says):
            of(RawEvents(t, np.array(x), t, t))
    for kind in (np.float64, np.float16, np.longdouble):
        assert of(RawEvents(t, np.array([3.0, 4.0], kind), t, t)).events["x"].tolist() == [3, 4]


def test_a_recording_lasts_until_its_last_event_is_over() -> None:
    assert of(raw(np.zeros(3, np.int64))).seen.duration_us == 21
    assert of(raw(np.zeros(0, np.int64))).seen.duration_us == 1
