"""The data sets with values: the velocity of the image, in simulated and in real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.data.loader import Loader, label_of, targets_of
from deploytool.data.sets import digits_saccades, nmnist_saccades
from deploytool.data.sets.nmnist_saccades import DURATION_US, SACCADE_US, first_saccade, moving
from deploytool.data.sets.table import load_events, promised
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.windows import targets_in
from deploytool.recipe import DataSection


def test_the_image_moves_against_the_eye() -> None:
    path = digits_saccades.paths(3)
    moved = digits_saccades.velocities(path[:, 1])
    assert moved.shape == (100, 2)
    np.testing.assert_allclose(moved.sum(axis=0) / 1000, path[0, 1] - path[-1, 1])
    assert np.abs(path).max() <= digits_saccades.REACH
    assert not np.allclose(path[:, 0], path[:, 1])


def test_a_moving_digit_sends_events_where_it_goes() -> None:
    """ON events lead, OFF events trail, and the events of a window move with the image."""
    data = load_events(DataSection(set="digits-saccades", train_samples=300, test_samples=10), seed=0)
    assert (data.values, data.unit, data.classes) == (("v_y", "v_x"), "px/s", 0)
    agreed = []
    for stream in data.train:
        assert stream.label == -1
        velocity = targets_in(stream, 4)
        for window in range(4):
            events = stream.events[stream.events["t"] * 4 // stream.duration_us == window]
            half = len(events) // 2
            if half > 20 and abs(velocity[window, 1]) > 40:
                shift = events["x"][half:].mean() - events["x"][:half].mean()
                agreed.append(np.sign(shift) == np.sign(velocity[window, 1]))
    assert len(agreed) > 50
    assert np.mean(agreed) > 0.8


def stream(name: str, *times_us: int) -> EventStream:
    events = np.zeros(len(times_us), EVENT)
    events["t"] = times_us
    events["x"] = np.arange(len(times_us))
    return EventStream(events, (2, 34, 34), 320_000, 7, name)


@pytest.mark.parametrize("number", range(6))
def test_a_sample_of_nmnist_begins_with_one_of_its_saccades(number: int) -> None:
    name = f"nmnist/{number}"
    first = first_saccade(name)
    found = moving(stream(name, 10, SACCADE_US + 20, 2 * SACCADE_US + 30, DURATION_US + 1))
    assert found.label == -1
    assert found.duration_us == DURATION_US
    assert found.events["x"].tolist() == np.roll([0, 1, 2], -first).tolist()
    assert (found.events["t"] // SACCADE_US).tolist() == [0, 1, 2]
    moves = np.array([[7, 3.5], [-7, 3.5], [0, -7]])[found.events["x"]] / 0.105
    np.testing.assert_allclose(targets_in(found, 3), moves, rtol=1e-5)
    assert {first_saccade(f"nmnist/{i}") for i in range(6)} == {0, 1, 2}


def test_the_image_of_nmnist_moves_as_its_targets_say(shared_data: Path) -> None:
    """The mean place of the events in the second half of a saccade is further on than in the first."""
    _, test = nmnist_saccades.parts(str(shared_data / "nmnist"))
    shifts, velocities = [], []
    for sample in test[:60]:
        velocity = targets_in(sample, 3)
        for saccade in range(3):
            t = sample.events["t"] - saccade * SACCADE_US
            early, late = (sample.events[(t >= a * 1000) & (t < b * 1000)] for a, b in ((20, 50), (55, 85)))
            shifts.append([late["y"].mean() - early["y"].mean(), late["x"].mean() - early["x"].mean()])
            velocities.append(velocity[saccade])
    for axis in (0, 1):
        assert np.corrcoef(np.array(shifts)[:, axis], np.array(velocities)[:, axis])[0, 1] > 0.9


def test_batches_hold_targets_of_windows_instead_of_labels() -> None:
    data = load_events(DataSection(set="digits-saccades", train_samples=20, test_samples=10), seed=0)
    ((frames, targets),) = Loader(data.test, wanted=targets_of(2))(4, 10)
    assert frames.shape == (4, 10, 2, 16, 16)
    assert targets.shape == (10, 2, 2)
    np.testing.assert_array_equal(targets[3], targets_in(data.test[3], 2))
    with pytest.raises(InputError, match="targets of 100 windows, in a sample of 100000 us that is decoded in 3"):
        next(iter(Loader(data.test, wanted=targets_of(3))(4, 10)))
    with pytest.raises(InputError, match="no targets"):
        targets_of(1)(stream("nmnist/1", 5))
    assert label_of(stream("nmnist/1", 5)) == 7


def test_sets_of_classes_promise_no_values() -> None:
    assert promised(DataSection(set="digits")).values == ()
    assert promised(DataSection(set="nmnist-saccades")).values == ("v_y", "v_x")
