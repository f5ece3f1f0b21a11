"""Samples from everything that a script has events in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from numpy.typing import NDArray

import deploytool as dt
from deploytool.ir.events import frames_of
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike

SHAPE = (2, 4, 5)


def array(*rows: tuple[int, int, int, int], polarity: str = "p") -> NDArray[np.void]:
    """Events (t, x, y, p) as tonic gives them: with fields in another order than ours."""
    made = np.zeros(len(rows), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), (polarity, "i1")])
    for field, column in zip(("t", "x", "y", polarity), zip(*rows, strict=True), strict=True):
        made[field] = column
    return made


END = (("spike", Spike()), ("out", Output()))
ROWS = ((10, 4, 3, 1), (12, 0, 1, 0), (20, 2, 2, 1))


class Set:
    """A data set as those of tonic are: samples on demand, with the size of the sensor."""

    sensor_size = (5, 4, 2)

    def __init__(self, number: int) -> None:
        self.number = number
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[NDArray[np.void], int]:
        if not 0 <= index < self.number:
            raise IndexError
        self.read.append(index)
        return array(*((t, x, y, p) for t, x, y, p in ROWS[: index + 1])), index % 2


@pytest.mark.parametrize("polarity", ["p", "c"])
def test_a_structured_array(polarity: str) -> None:
    (stream,) = dt.events(array(*ROWS, polarity=polarity), SHAPE)
    assert stream.shape == SHAPE
    assert stream.label == -1
    assert stream.events.tolist() == [(0, 1, 3, 4), (2, 0, 1, 0), (10, 1, 2, 2)]
    assert stream.duration_us == 11


def test_the_duration_and_the_zero_of_time_can_be_stated() -> None:
    (stream,) = dt.events(array(*ROWS), SHAPE, duration_ms=0.05, absolute_time=True)
    assert stream.events["t"].tolist() == [10, 12, 20]
    assert stream.duration_us == 50


def test_a_plain_array_with_its_columns() -> None:
    plain = np.array([[t, x, y, p] for t, x, y, p in ROWS])
    (stream,) = dt.events(plain, SHAPE, columns="txyp")
    assert stream.events.tolist() == dt.events(array(*ROWS), SHAPE)[0].events.tolist()
    with pytest.raises(dt.DeployError, match=r"order of its columns .* Add columns= "):
        dt.events(plain, SHAPE)


def test_a_sample_with_its_label_and_a_list_of_them() -> None:
    assert dt.events((array(*ROWS), 7), SHAPE)[0].label == 7
    assert dt.events((array(*ROWS), torch.tensor(7)), SHAPE)[0].label == 7
    found = dt.events([(array(*ROWS), np.int64(1)), array(*ROWS[:1])], SHAPE)
    assert [(len(each), each.label, each.name) for each in found] == [(3, 1, "sample 0"), (1, -1, "sample 1")]
    assert [each.label for each in dt.events([array(*ROWS)] * 2, SHAPE, labels=[3, 4])] == [3, 4]


def test_two_arrays_in_a_tuple_are_two_samples() -> None:
    assert len(dt.events((array(*ROWS), array(*ROWS)), SHAPE)) == 2


def test_a_data_set_is_read_on_demand() -> None:
    data = Set(3)
    found = dt.events(data)
    assert not data.read
    assert (found[2].label, len(found[2]), found[2].shape, found[2].name) == (0, 3, SHAPE, "Set 2")
    assert data.read == [2]
    assert [each.label for each in found] == [0, 1, 0]
    assert [each.label for each in found[1:]] == [1, 0]


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_counts_per_time_step(kind: Any) -> None:
    frames = np.random.default_rng(0).integers(0, 3, (6, *SHAPE))
    (stream,) = dt.events(kind(frames), dt_ms=0.5)
    np.testing.assert_array_equal(frames_of(stream, 6), frames)
    assert stream.duration_us == 3000
    assert set(np.diff(np.unique(stream.events["t"])).tolist()) == {500}
    several = dt.events(kind(np.stack([frames, frames[::-1]])), dt_ms=0.5, labels=[0, 1])
    assert [each.label for each in several] == [0, 1]
    np.testing.assert_array_equal(frames_of(several[1], 6), frames[::-1])


def test_targets_of_windows() -> None:
    found = dt.events([array(*ROWS)] * 2, SHAPE, targets=[[1.5, -2], [[0, 1], [2, 3]]])
    assert [each.targets.tolist() for each in found if each.targets is not None] == [[[1.5, -2]], [[0, 1], [2, 3]]]
    plain = dt.events([array(*ROWS)] * 2, SHAPE)
    assert plain.source.fingerprint != found.source.fingerprint


def test_a_stream_stays_as_it_is() -> None:
    stream = dt.events(array(*ROWS), SHAPE)[0]
    assert dt.events(stream)[0] is stream
    assert dt.events(stream, labels=2)[0].label == 2
    found = dt.events([stream])
    assert dt.events(found) is found


def test_a_file_and_a_data_set_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array(*ROWS))
    found = dt.events(tmp_path / "a.npy", SHAPE)
    assert found[0].events.tolist() == dt.events(array(*ROWS), SHAPE)[0].events.tolist()
    assert repr(found) == "Events(a.npy)"
    assert len(dt.events("digits", count=7)) == 7
    assert dt.events("digits", count=7)[0].shape == (2, 16, 16)


def test_a_table_of_pandas() -> None:
    table = pandas.DataFrame(array(*ROWS))
    assert dt.events(table, SHAPE)[0].events.tolist() == dt.events(array(*ROWS), SHAPE)[0].events.tolist()
    assert [each.label for each in dt.events([(table, 4), table], SHAPE)] == [4, -1]


def test_samples_of_another_sensor_are_refused() -> None:
    """Whoever states the map of events is believed: the sensor of a data set, and the caller."""
    net = dt.load(chain([("in", Input((2, 8, 8))), ("conv", Conv(np.ones((1, 2, 3, 3)))), *END]))
    program = dt.compile(net)
    assert len(dt.emulate(program, array(*ROWS)).value) == 1
    for given in (Set(2), dt.events(Set(2)), dt.events(array(*ROWS), SHAPE)):
        with pytest.raises(dt.DeployError, match=r"events on a map of 2x4x5; need 2x8x8, the input of this program"):
            dt.emulate(program, given)


def test_a_network_of_one_feature_merges_the_polarities_of_a_data_set() -> None:
    net = dt.load(chain([("in", Input((1, 4, 5))), ("conv", Conv(np.ones((1, 1, 3, 3)))), *END]))
    found = dt.emulate(dt.compile(net), Set(3), rasters=3)
    assert found.spikes["input"]["c"].tolist() == [0] * 6


REFUSED = {
    "what is no sample": (3.5, {}, r"events: a float; need a structured array or table"),
    "a dictionary": ({"t": [1]}, {"shape": SHAPE}, r"events: a dict; need a structured array"),
    "a class by name": ([(array(*ROWS), "cat")], {"shape": SHAPE}, r"sample 0: the label 'cat'; need a whole number"),
    "a list of what is none": ([array(*ROWS), "a"], {"shape": SHAPE}, r"sample 1: a str; need a structured array"),
    "no map": (array(*ROWS), {}, r"sample 0: events without the size of their map; need shape=\(C, H, W\)"),
    "no time step": (np.zeros((2, 1, 3, 3)), {}, r"sample 0: counts per time step \(2, 1, 3, 3\).*need dt_ms="),
    "fractions": (np.full((1, 1, 2, 2), 0.5), {"dt_ms": 1.0}, r"sample 0: counts of dtype float64 that are not"),
    "no time": (np.zeros((0, 1, 2, 2)), {"dt_ms": 1.0}, r"sample 0: counts of no time step"),
    "a step below 1 us": (np.zeros((1, 1, 2, 2)), {"dt_ms": 1e-5}, r"dt_ms=1e-05: not a whole number"),
    "outside the map": (array((0, 9, 0, 1)), {"shape": SHAPE}, r"sample 0: .* x = 9"),
    "labels for others": ([array(*ROWS)], {"shape": SHAPE, "labels": [1, 2]}, r"labels: 2 for 1 samples"),
    "targets for others": ([array(*ROWS)], {"shape": SHAPE, "targets": [[1], [2]]}, r"targets: 2 for 1 samples"),
    "no such path": ("nothing.here", {}, r"nothing\.here: neither a data set nor a file"),
    "a folder for arrays": (array(*ROWS), {"shape": SHAPE, "root": "a"}, r"root=, count=: given with samples"),
    "an image": (
        np.zeros((3, 4, 5)),
        {"shape": SHAPE},
        r"sample 0: an array \(3, 4, 5\) of float64; need a structured",
    ),
}


@pytest.mark.parametrize(("source", "stated", "says"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_in_a_sentence(source: object, stated: dict[str, Any], says: str) -> None:
    with pytest.raises(dt.DeployError, match=says):
        len(dt.events(source, **stated))


def test_tonics_own_classes(tmp_path: Path) -> None:
    """Samples, frames of its transforms, and its caches."""
    tonic = pytest.importorskip("tonic", reason="tonic is not installed")

    class Recordings(tonic.Dataset):
        """Samples as those of tonic's data sets, from memory."""

        sensor_size = (5, 4, 2)

        def __init__(self, transform: Any = None) -> None:
            super().__init__(str(tmp_path), transform=transform)

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[Any, int]:
            t, x, y, p = zip(*ROWS[: index + 1], strict=True)
            events = tonic.io.make_structured_array(x, y, t, p)
            return (events if self.transform is None else self.transform(events)), index

    plain = dt.events(Recordings())
    assert [(each.shape, each.label, len(each)) for each in plain] == [(SHAPE, 0, 1), (SHAPE, 1, 2), (SHAPE, 2, 3)]
    assert plain[2].events.tolist() == dt.events(array(*ROWS), SHAPE)[0].events.tolist()
    frames = Recordings(tonic.transforms.ToFrame(Recordings.sensor_size, n_time_bins=4))
    for stream, (theirs, label) in zip(dt.events(frames, dt_ms=1), [frames[index] for index in range(3)], strict=True):
        np.testing.assert_array_equal(frames_of(stream, 4), theirs)
        assert (stream.label, stream.duration_us) == (label, 4000)
    cached = tonic.MemoryCachedDataset(Recordings())
    assert [each.label for each in dt.events(cached, SHAPE)] == [0, 1, 2]


def test_real_recordings(shared_data: Path) -> None:
    """An array read by another program gives the events of its file."""
    tonic = pytest.importorskip("tonic", reason="tonic is not installed")
    file = shared_data / "event_formats" / "nmnist_sample.bin"
    theirs = tonic.io.read_mnist_file(str(file), dtype=tonic.io.events_struct)
    (ours,) = dt.events(file, (2, 34, 34))
    (found,) = dt.events(theirs, (2, 34, 34))
    assert len(ours) > 1000
    np.testing.assert_array_equal(found.events, ours.events)
    assert found.duration_us == ours.duration_us
