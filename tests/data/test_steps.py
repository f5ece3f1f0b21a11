"""The keys of [data] that change events, as transforms in their order."""

import numpy as np
import pytest

from deploytool.base.errors import RecipeError
from deploytool.data.sets.table import load_events, promised
from deploytool.data.steps import applied, event_steps, map_after
from deploytool.data.transforms import Crop, Denoise, First, Merge, Pool, Refractory, Resize
from deploytool.ir.events import EVENT, EventStream
from deploytool.recipe import DataSection


def section(**keys: object) -> DataSection:
    return DataSection.model_validate({"set": "digits", **keys})


def test_steps_come_in_one_order() -> None:
    keys = {"polarity": "merge", "size": [3, 3], "pool": 2, "crop": [0, 2, 12, 12], "refractory_ms": 1}
    steps = event_steps(section(**keys, denoise_ms=2, duration_ms=5), (2, 16, 16))
    assert steps == (First(5000), Denoise(2), Refractory(1), Crop(0, 2, 12, 12), Pool(2), Resize(3, 3), Merge())
    assert map_after(steps, (2, 16, 16)) == (1, 3, 3)
    assert event_steps(section(), (2, 16, 16)) == ()


def test_a_crop_of_two_numbers_is_around_the_middle() -> None:
    assert event_steps(section(crop=[4, 6]), (2, 10, 16)) == (Crop(3, 5, 4, 6),)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"crop": [17, 4]}, "data.crop: found [17, 4]; need rows and columns inside the map of 2x16x16."),
        ({"crop": [2, 13, 4, 4]}, "data.crop: found [2, 13, 4, 4]; need rows and columns inside the map of 2x16x16."),
        ({"pool": 3}, "data.pool: found 3; need a divisor of the sides of the map of 2x16x16. Crop the map first."),
        ({"crop": [6, 8], "pool": 4}, "need a divisor of the sides of the map of 2x6x8"),
    ],
)
def test_steps_that_do_not_suit_the_map_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        promised(section(**keys))
    assert says in str(caught.value)


@pytest.mark.parametrize("crop", [[1, 2, 3], [4], [0, 0, 0, 4]])
def test_a_crop_has_two_or_four_numbers(crop: list[int]) -> None:
    with pytest.raises(ValueError, match=r"need \[H, W\] or \[top, left, H, W\]"):
        section(crop=crop)


def test_samples_of_a_set_go_through_the_steps() -> None:
    pytest.importorskip("sklearn")
    whole = load_events(section(train_samples=10), 0)
    changed = load_events(section(train_samples=10, crop=[2, 4, 8, 12], pool=2, polarity="merge", refractory_ms=0.2), 0)
    assert changed.shape == (1, 4, 6)
    steps = (Refractory(0.2), Crop(2, 4, 8, 12), Pool(2), Merge())
    for part in ("train", "validation", "test"):
        before, after = getattr(whole, part)[0], getattr(changed, part)[0]
        assert np.array_equal(after.events, applied(steps, before).events)
        assert 0 < len(after) < len(before)


def test_keys_of_events_are_refused_for_images_and_keys_of_recordings_for_known_sets() -> None:
    with pytest.raises(RecipeError) as caught:
        promised(DataSection(set="mnist", crop=(2, 2), polarity="merge", refractory_ms=1.5))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "data.refractory_ms",
        "data.crop",
        "data.polarity",
    ]
    assert caught.value.problems[0] == "data.refractory_ms: found 1.5; need none for the set mnist, which holds images."
    with pytest.raises(RecipeError) as caught:
        promised(section(sensor=[16, 16], window_ms=10, split="names", test_share=0.5))
    assert len(caught.value.problems) == 4
    assert "data.sensor: found [16, 16]; need none for the set digits" in str(caught.value)


def test_keys_that_are_not_given_leave_the_section_as_it_was() -> None:
    """So that the keys of stored artifacts stay the same."""
    assert not {"crop", "pool", "sensor", "polarity"} & section().model_dump().keys()
    given = section(crop=[2, 2], polarity="merge").model_dump(mode="json")
    assert (given["crop"], given["polarity"]) == ([2, 2], "merge")
    assert DataSection.model_validate(given) == section(crop=[2, 2], polarity="merge")


def test_nothing_is_lost_by_pooling() -> None:
    events = np.zeros(4, EVENT)
    events["t"], events["x"] = range(4), (0, 1, 2, 3)
    pooled = applied(event_steps(section(pool=2), (2, 2, 4)), EventStream(events, (2, 2, 4), 10))
    assert pooled.events["x"].tolist() == [0, 0, 1, 1]
