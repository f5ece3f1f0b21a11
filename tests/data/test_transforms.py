import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.transforms import Crop, Denoise, First, Merge, Pool, Refractory, Resize, Transform
from deploytool.ir.events import EVENT, EventStream


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    height, width = draw(st.integers(1, 5)), draw(st.integers(2, 5))
    count = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random_stream(rng, count, (2, height, width), draw(st.sampled_from([50, 5000, 60_000])))


def random_stream(rng: np.random.Generator, count: int, shape: tuple[int, int, int], last_us: int) -> EventStream:
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, last_us, count))
    for axis, limit in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, limit, count)
    return EventStream(events, shape, last_us)


def slow_denoise(stream: EventStream, filter_us: float) -> np.ndarray:
    """The rule, event by event."""
    last: dict[tuple[int, int], int] = {}
    keep = []
    for t, _, y, x in stream.events.tolist():
        last[y, x] = t
        neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        keep.append(t < filter_us or any(q in last and t - last[q] < filter_us for q in neighbours))
    return stream.events[np.array(keep, bool)]


@given(streams(), st.sampled_from([0.001, 0.5, 10.0]))
def test_denoise_follows_its_rule_and_leaves_its_input(stream: EventStream, filter_ms: float) -> None:
    before = stream.events.copy()
    cleaned = Denoise(filter_ms)(stream)
    assert np.array_equal(cleaned.events, slow_denoise(stream, filter_ms * 1000))
    assert np.array_equal(stream.events, before)
    assert (cleaned.shape, cleaned.duration_us, cleaned.label) == (stream.shape, stream.duration_us, stream.label)


@pytest.fixture(scope="module")
def tonic_denoise():
    return pytest.importorskip("tonic.functional").denoise_numpy


@pytest.mark.parametrize("filter_us", [300, 10_000])
def test_denoise_equals_tonics_on_random_events(tonic_denoise, filter_us: int) -> None:
    for seed in range(20):
        stream = random_stream(np.random.default_rng(seed), 200, (2, 9, 12), 100_000)
        assert np.array_equal(Denoise(filter_us / 1000)(stream).events, tonic_denoise(stream.events, filter_us))


def test_denoise_equals_tonics_on_real_events_and_is_fast(tonic_denoise, shared_data: Path) -> None:
    events = file_events(shared_data / "event_formats" / "nmnist_sample.bin", "bin", (2, 34, 34), AT_CLOCK)
    stream = EventStream(events, (2, 34, 34), 320_000)
    started = time.perf_counter()
    cleaned = Denoise(10.0)(stream)
    assert time.perf_counter() - started < 0.2
    assert np.array_equal(cleaned.events, tonic_denoise(stream.events, 10_000))
    assert len(cleaned) < len(stream)
    again = Denoise(10.0)(cleaned)
    assert len(again) > 0.95 * len(cleaned)


@given(streams(), st.integers(1, 100_000))
def test_first_keeps_the_beginning_and_lasts_as_long_as_asked(stream: EventStream, duration_us: int) -> None:
    before = stream.events.copy()
    first = First(duration_us)(stream)
    assert np.array_equal(first.events, stream.events[stream.events["t"] < duration_us])
    assert (first.duration_us, first.shape, first.label) == (duration_us, stream.shape, stream.label)
    assert np.array_equal(stream.events, before)


@given(streams(), st.integers(1, 12), st.integers(1, 12))
def test_resize_keeps_every_event_in_its_part_of_the_map(stream: EventStream, height: int, width: int) -> None:
    before = stream.events.copy()
    small = Resize(height, width)(stream)
    assert small.shape == (2, height, width)
    assert len(small) == len(stream)
    for axis, to, size in (("y", height, stream.shape[1]), ("x", width, stream.shape[2])):
        assert small.events[axis].tolist() == [value * to // size for value in stream.events[axis].tolist()]
    assert np.array_equal(small.events[["t", "c"]], stream.events[["t", "c"]])
    assert np.array_equal(stream.events, before)
    assert np.array_equal(Resize(*stream.shape[1:])(stream).events, before)


def slow_refractory(stream: EventStream, period_us: float) -> np.ndarray:
    """The rule, event by event."""
    last: dict[tuple[int, int], int] = {}
    keep = []
    for t, _, y, x in stream.events.tolist():
        keep.append((y, x) not in last or t - last[y, x] > period_us)
        last[y, x] = t
    return stream.events[np.array(keep, bool)]


@given(streams(), st.sampled_from([0.001, 0.5, 10.0]))
def test_refractory_follows_its_rule_and_leaves_its_input(stream: EventStream, period_ms: float) -> None:
    before = stream.events.copy()
    passed = Refractory(period_ms)(stream)
    assert np.array_equal(passed.events, slow_refractory(stream, period_ms * 1000))
    assert np.array_equal(stream.events, before)
    assert (passed.shape, passed.duration_us, passed.label) == (stream.shape, stream.duration_us, stream.label)


TONIC = {
    "refractory": (Refractory(3.0), lambda tonic: tonic.RefractoryPeriod(delta=3000)),
    "crop": (Crop(2, 3, 5, 6), lambda tonic: tonic.CenterCrop(sensor_size=(12, 9, 2), size=(6, 5))),
    "pool": (Pool(3), lambda tonic: tonic.Downsample(spatial_factor=1 / 3 + 1e-9)),
    "merge": (Merge(), lambda tonic: tonic.MergePolarities()),
}


@pytest.mark.parametrize("name", TONIC)
def test_a_transform_equals_tonics_of_that_name(name: str) -> None:
    tonic = pytest.importorskip("tonic.transforms")
    ours, theirs = TONIC[name]
    for seed in range(20):
        stream = random_stream(np.random.default_rng(seed), 300, (2, 9, 12), 100_000)
        events = stream.events.astype([("t", "<i8"), ("p", "<u2"), ("y", "<u2"), ("x", "<u2")])
        events["t"] += 1
        found = ours(stream).events
        expected = theirs(tonic)(events)
        assert 0 < len(found) == len(expected)
        assert found["t"].tolist() == (expected["t"] - 1).tolist()
        for mine, its in (("c", "p"), ("y", "y"), ("x", "x")):
            assert found[mine].tolist() == expected[its].tolist()


@given(streams(), st.data())
def test_crop_keeps_what_is_inside(stream: EventStream, data: st.DataObject) -> None:
    before = stream.events.copy()
    _, rows, columns = stream.shape
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    height, width = data.draw(st.integers(1, rows - top)), data.draw(st.integers(1, columns - left))
    cropped = Crop(top, left, height, width)(stream)
    assert cropped.shape == (2, height, width)
    expected = [
        (t, c, y - top, x - left)
        for t, c, y, x in stream.events.tolist()
        if top <= y < top + height and left <= x < left + width
    ]
    assert cropped.events.tolist() == expected
    assert np.array_equal(stream.events, before)
    assert cropped.duration_us == stream.duration_us


EVERY: tuple[Transform, ...] = (
    First(100),
    Denoise(1.0),
    Refractory(1.0),
    Crop(1, 2, 3, 4),
    Pool(2),
    Resize(3, 5),
    Merge(),
)


@pytest.mark.parametrize("transform", EVERY, ids=lambda each: type(each).__name__)
def test_every_transform_knows_the_map_that_it_makes(transform: Transform) -> None:
    stream = random_stream(np.random.default_rng(0), 100, (2, 8, 12), 5000)
    assert transform(stream).shape == transform.shape(stream.shape)
