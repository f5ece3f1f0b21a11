import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.ir.events import (
    EVENT,
    EventStream,
    as_events,
    at_neurons,
    at_places,
    bounds_of,
    cells_of,
    count,
    events_of,
    frames_of,
    from_channels_last,
    neurons_of,
    places_of,
    starts_of,
    steps_of,
    to_channels_last,
)


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
    with pytest.raises(InputError, match="field t has dtype float64"):
        as_events(np.zeros(1, [("t", "f8"), ("c", "i2"), ("y", "i2"), ("x", "i2")]), "a")
    with pytest.raises(InputError, match=r"field x spans -1\.\.-1"):
        as_events(np.array([(1, 0, 0, -1)], [("t", "i8"), ("c", "i2"), ("y", "i2"), ("x", "i2")]), "a")


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)))
    duration_us = draw(st.integers(1, 60))
    coordinates = [st.integers(0, size - 1) for size in (duration_us, *shape)]
    rows = draw(st.lists(st.tuples(*coordinates), max_size=40))
    return EventStream(events(sorted(rows, key=lambda row: row[0])), shape, duration_us)


@given(streams())
def test_numbers_of_neurons_are_places_in_arrays(stream: EventStream) -> None:
    channels, height, width = stream.shape
    for (_, c, y, x), place, neuron in zip(
        stream.events.tolist(),
        places_of(stream.events, stream.shape).tolist(),
        neurons_of(stream.events, stream.shape).tolist(),
        strict=True,
    ):
        assert place == np.arange(channels * height * width).reshape(stream.shape)[c, y, x]
        assert neuron == np.arange(channels * height * width).reshape(height, width, channels)[y, x, c]
    times = stream.events["t"]
    for back, number in ((at_places, places_of), (at_neurons, neurons_of)):
        assert np.array_equal(back(times, number(stream.events, stream.shape), stream.shape), stream.events)


@given(streams(), st.integers(1, 3))
def test_values_go_to_channels_last_and_back(stream: EventStream, samples: int) -> None:
    counts = np.stack([count(stream.events, stream.shape) * k for k in range(samples)])
    last = to_channels_last(counts)
    assert last.flags.c_contiguous
    assert not np.shares_memory(last, counts)
    for sample, values in enumerate(last):
        for neuron in neurons_of(stream.events, stream.shape):
            ((_, c, y, x),) = at_neurons(0, np.array([neuron]), stream.shape).tolist()
            assert values[neuron] == counts[sample, c, y, x]
    assert np.array_equal(from_channels_last(last, stream.shape), counts)


@given(streams(), st.integers(1, 9), st.integers(1, 50))
def test_counts_per_time_step_become_events_at_its_start(stream: EventStream, time_steps: int, step_us: int) -> None:
    frames = frames_of(stream, time_steps)
    found = EventStream(events_of(frames, step_us), stream.shape, time_steps * step_us)
    assert np.array_equal(frames_of(found, time_steps), frames)
    assert not (found.events["t"] % step_us).any()
    assert len(found) == len(stream)


@given(streams(), st.integers(1, 9), st.sampled_from(["time", "count"]))
def test_events_are_counted_in_time_steps(stream: EventStream, time_steps: int, bins: str) -> None:
    wanted = np.zeros((time_steps, *stream.shape), np.int64)
    for number, (t, c, y, x) in enumerate(stream.events.tolist()):
        step = t * time_steps // stream.duration_us if bins == "time" else number * time_steps // len(stream)
        wanted[step, c, y, x] += 1
    frames = frames_of(stream, time_steps, bins)
    assert np.array_equal(frames, wanted)
    assert np.array_equal(frames.sum(0), count(stream.events, stream.shape))
    assert np.array_equal(np.bincount(cells_of(stream, time_steps, bins), minlength=frames.size), frames.ravel())
    bounds = bounds_of(stream, time_steps, bins)
    assert np.array_equal(np.diff(bounds), frames.sum((1, 2, 3)))
    assert np.array_equal(np.repeat(np.arange(time_steps), np.diff(bounds)), steps_of(stream, time_steps, bins))
    starts, times = starts_of(stream, time_steps, bins), stream.events["t"]
    assert (np.diff(starts) >= 0).all()
    assert ((starts >= 0) & (starts < stream.duration_us)).all()
    if bins == "count":
        assert np.ptp(np.diff(bounds)) <= 1
        for start, first, end in zip(starts, bounds, bounds[1:], strict=False):
            assert first == end or start == times[first]
    else:
        assert np.array_equal(starts, [step * stream.duration_us // time_steps for step in range(time_steps)])
