import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.data.formats.files import file_events
from deploytool.data.formats.reading import AT_CLOCK
from deploytool.data.transforms import Denoise, First, Resize
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
