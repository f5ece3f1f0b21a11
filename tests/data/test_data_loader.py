import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deploytool.data.loader import Augmentation, Changes, Loader, batches, bin_events, frames  # noqa: E402
from deploytool.data.transforms import Shift  # noqa: E402
from deploytool.errors import InputError  # noqa: E402
from deploytool.events import EVENT, EventStream  # noqa: E402


@st.composite
def several(draw: st.DrawFn) -> list[EventStream]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return [stream(rng, shape, label) for label in range(draw(st.integers(1, 6)))]


def stream(
    rng: np.random.Generator, shape: tuple[int, int, int], label: int, count: int | None = None
) -> EventStream:  # fmt: skip
    events = np.zeros(rng.integers(0, 50) if count is None else count, EVENT)
    duration_us = int(rng.integers(1, 100_000))
    events["t"] = np.sort(rng.integers(0, duration_us, len(events)))
    for axis, limit in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, limit, len(events))
    return EventStream(events, shape, duration_us, label)


@given(several(), st.integers(1, 40))
def test_every_event_is_counted_once_in_its_step(streams: list[EventStream], time_steps: int) -> None:
    chosen = np.arange(len(streams))[::-1].copy()
    counts = frames(bin_events(streams, time_steps), chosen).numpy()
    assert counts.shape == (time_steps, len(streams), *streams[0].shape)
    expected = np.zeros_like(counts)
    for place, index in enumerate(chosen):
        for t, c, y, x in streams[index].events.tolist():
            expected[t * time_steps // streams[index].duration_us, place, c, y, x] += 1
    assert np.array_equal(counts, expected)
    assert counts.sum() == sum(map(len, streams))


@given(several(), st.integers(1, 5), st.data())
def test_moves_equal_the_shift_transform(streams: list[EventStream], time_steps: int, data: st.DataObject) -> None:
    pair = st.tuples(st.integers(-4, 4), st.integers(-4, 4))
    moves = np.array(data.draw(st.lists(pair, min_size=len(streams), max_size=len(streams))), np.int64)
    moved = [Shift(int(dy), int(dx))(item) for item, (dy, dx) in zip(streams, moves, strict=True)]
    everyone = np.arange(len(streams))
    changes = Changes(moves, np.zeros(len(streams)), np.random.default_rng(0))
    fast = frames(bin_events(streams, time_steps), everyone, changes)
    assert torch.equal(fast, frames(bin_events(moved, time_steps), everyone))


@settings(max_examples=20)
@given(several(), st.integers(1, 7), st.integers(0, 3))
def test_the_generator_alone_decides_the_order(streams: list[EventStream], batch: int, shift: int) -> None:
    binned = bin_events(streams, 3)

    def one_round(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        rounds = [batches(binned, batch, generator, Augmentation(shift, drop=0.5)) for _ in range(2)]
        return [item for batches_of_round in reversed(rounds) for item in batches_of_round]

    first, second = one_round(5), one_round(5)
    assert all(torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
    labels = torch.cat([labels for _, labels in first]).tolist()
    assert sorted(labels) == sorted([*range(len(streams))] * 2)


def test_without_a_generator_samples_keep_their_order_and_place() -> None:
    rng = np.random.default_rng(0)
    streams = [stream(rng, (2, 4, 4), label) for label in range(5)]
    binned = bin_events(streams, 4)
    parts = list(batches(binned, 2))
    assert [len(labels) for _, labels in parts] == [2, 2, 1]
    assert torch.cat([labels for _, labels in parts]).tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(torch.cat([counts for counts, _ in parts], 1), frames(binned, np.arange(5)))


def test_a_loader_gives_the_batches_of_its_streams_at_every_time_step() -> None:
    rng = np.random.default_rng(0)
    streams = [stream(rng, (2, 4, 4), label) for label in range(5)]
    loader = Loader(streams, Augmentation(1, 0.3))
    assert len(loader) == 5
    for time_steps in (4, 4, 7):
        binned = bin_events(streams, time_steps)
        for seed in (None, 0, 1):
            generators = [None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)]
            expected = batches(binned, 2, generators[0], Augmentation(1, 0.3))
            for one, other in zip(loader(time_steps, 2, generators[1]), expected, strict=True):
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])


def test_every_order_and_every_move_comes_up() -> None:
    event = np.zeros(1, EVENT)
    event["y"] = event["x"] = 2
    streams = [EventStream(event, (1, 5, 5), 1, label) for label in range(200)]
    generator = torch.Generator().manual_seed(0)
    ((counts, labels),) = batches(bin_events(streams, 1), 200, generator, Augmentation(shift=2))
    assert labels.tolist() != sorted(labels.tolist())
    assert (counts.sum((0, 1, 2)) > 0).all()
    assert counts.sum() == 200


def test_dropped_events_are_gone_and_nothing_else_changes() -> None:
    rng = np.random.default_rng(0)
    streams = [stream(rng, (2, 4, 4), 0, 1000) for _ in range(50)]
    binned = bin_events(streams, 3)
    whole = frames(binned, np.arange(50))
    left_out = np.linspace(0, 0.5, 50)
    some = frames(binned, np.arange(50), Changes(np.zeros((50, 2), np.int64), left_out, np.random.default_rng(1)))
    assert ((some <= whole) & (some >= 0)).all()
    kept = (some.sum((0, 2, 3, 4)) / whole.sum((0, 2, 3, 4))).numpy()
    assert kept[0] == 1
    assert np.allclose(kept, 1 - left_out, atol=0.08)


def test_what_cannot_be_binned_together() -> None:
    with pytest.raises(InputError, match="no samples"):
        bin_events([], 3)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="events: a map of 1x4x4; need 2x4x4, as the sample before it"):
        bin_events([stream(rng, (2, 4, 4), 0), stream(rng, (1, 4, 4), 0)], 3)


def test_progress_is_told() -> None:
    rng = np.random.default_rng(0)
    told: list[tuple[int, int]] = []
    bin_events([stream(rng, (1, 2, 2), 0)] * 3, 2, lambda done, total, _note: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
