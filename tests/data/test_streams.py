"""Batches of events: the same changes as batches of time steps, to the microsecond."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.data.loader import Loader, StreamLoader
from deploytool.ir.events import EVENT, EventStream
from deploytool.recipe import AugmentSection


def samples(seed: int, count: int, least: int) -> list[EventStream]:
    rng = np.random.default_rng(seed)
    found = []
    for label in range(count):
        events = np.zeros(rng.integers(least, 30), EVENT)
        events["t"] = np.sort(rng.integers(0, 400, len(events)))
        for axis, size in zip("cyx", (2, 5, 6), strict=True):
            events[axis] = rng.integers(0, size, len(events))
        found.append(EventStream(events, (2, 5, 6), 400, label, f"sample {label}"))
    return found


def as_counts(streams: list[EventStream], time_steps: int) -> np.ndarray:
    counts = np.zeros((time_steps, len(streams), 2, 5, 6))
    for index, stream in enumerate(streams):
        events = stream.events
        step = events["t"] * time_steps // stream.duration_us
        np.add.at(counts, (step, index, events["c"], events["y"], events["x"]), 1)
    return counts


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=25)
def test_streams_are_changed_as_time_steps_are(seed: int, count: int, batch: int) -> None:
    """With time steps of one microsecond both are the same, but for dropped events, which are drawn batch by batch."""
    streams = samples(seed, count, 0)
    augment = AugmentSection(shift=2, flip=0.5, flip_time=0.5, flip_polarity=0.5, cutout=2)
    frames = Loader(streams, augment)(400, batch, torch.Generator().manual_seed(seed))
    found = StreamLoader(streams, augment)(batch, torch.Generator().manual_seed(seed))
    for (wanted, labels), changed in zip(frames, found, strict=True):
        assert np.array_equal(as_counts(changed, 400), wanted.numpy())
        assert [stream.label for stream in changed] == labels.tolist()


def test_without_a_generator_streams_are_themselves() -> None:
    streams = samples(0, 5, 1)
    found = [stream for batch in StreamLoader(streams, AugmentSection(shift=2))(2) for stream in batch]
    assert all(a is b for a, b in zip(found, streams, strict=True))


def test_events_are_dropped() -> None:
    streams = samples(0, 20, 20)
    kept = [
        len(s) for b in StreamLoader(streams, AugmentSection(drop=0.9))(4, torch.Generator().manual_seed(0)) for s in b
    ]
    assert 0 < sum(kept) < sum(map(len, streams))
