import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deploytool.base.errors import InputError  # noqa: E402
from deploytool.data.images import Image  # noqa: E402
from deploytool.data.loader import ImageLoader, Loader, batches, bin_events, frames, loader  # noqa: E402
from deploytool.ir.events import EVENT, EventStream  # noqa: E402
from deploytool.recipe import AugmentSection, DataSection  # noqa: E402


@st.composite
def several(draw: st.DrawFn) -> list[EventStream]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return [stream(rng, shape, label) for label in range(draw(st.integers(1, 6)))]


def stream(rng: np.random.Generator, shape: tuple[int, int, int], label: int, count: int | None = None) -> EventStream:
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


@settings(max_examples=20)
@given(several(), st.integers(1, 7), st.integers(0, 3))
def test_the_generator_alone_decides_the_order(streams: list[EventStream], batch: int, shift: int) -> None:
    binned = bin_events(streams, 3)

    def one_round(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        rounds = [batches(binned, batch, generator, AugmentSection(shift=shift, drop=0.5)) for _ in range(2)]
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
    loader = Loader(streams, AugmentSection(shift=1, drop=0.3))
    assert len(loader) == 5
    for time_steps in (4, 4, 7):
        binned = bin_events(streams, time_steps)
        for seed in (None, 0, 1):
            generators = [None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)]
            expected = batches(binned, 2, generators[0], AugmentSection(shift=1, drop=0.3))
            for one, other in zip(loader(time_steps, 2, generators[1]), expected, strict=True):
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])


def test_every_order_and_every_move_comes_up() -> None:
    event = np.zeros(1, EVENT)
    event["y"] = event["x"] = 2
    streams = [EventStream(event, (1, 5, 5), 1, label) for label in range(200)]
    generator = torch.Generator().manual_seed(0)
    ((counts, labels),) = batches(bin_events(streams, 1), 200, generator, AugmentSection(shift=2))
    assert labels.tolist() != sorted(labels.tolist())
    assert (counts.sum((0, 1, 2)) > 0).all()
    assert counts.sum() == 200


def test_what_cannot_be_binned_together() -> None:
    with pytest.raises(InputError, match="no samples"):
        bin_events([], 3)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="events: a map of 1x4x4; need 2x4x4, the map of the sample before it"):
        bin_events([stream(rng, (2, 4, 4), 0), stream(rng, (1, 4, 4), 0)], 3)


def test_progress_is_told() -> None:
    rng = np.random.default_rng(0)
    told: list[tuple[int, int]] = []
    bin_events([stream(rng, (1, 2, 2), 0)] * 3, 2, lambda done, total, _note: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@given(several(), st.integers(1, 12))
def test_bins_by_count_share_the_events_out_in_order(streams: list[EventStream], time_steps: int) -> None:
    binned = bin_events(streams, time_steps, bins="count")
    counts = frames(binned, np.arange(len(streams))).sum((2, 3, 4))
    for index, item in enumerate(streams):
        assert counts[:, index].max() - counts[:, index].min() <= 1
        size = int(np.prod(item.shape))
        steps = binned.cells(index) // size
        assert np.all(np.diff(steps) >= 0)
        assert np.array_equal(binned.cells(index) % size, bin_events([item], 1).cells(0))


@settings(max_examples=30)
@given(several(), st.integers(0, 100), st.integers(1, 3))
def test_what_is_held_in_memory_changes_nothing(streams: list[EventStream], held_events: int, batch: int) -> None:
    whole, part = bin_events(streams, 3), bin_events(streams, 3, held_events=held_events)
    assert len(whole.held) == len(streams)
    assert sum(map(len, part.held)) <= held_events
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    augment = AugmentSection(shift=1, drop=0.5, flip=0.5)
    pairs = zip(
        batches(whole, batch, generators[0], augment), batches(part, batch, generators[1], augment), strict=True
    )
    assert all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def test_an_image_is_every_time_step() -> None:
    rng = np.random.default_rng(0)
    images = [Image(rng.integers(0, 17, (1, 4, 4)).astype(np.uint8), label, "", top=16) for label in range(5)]
    batches_of = ImageLoader(images)
    assert len(batches_of) == 5
    parts = list(batches_of(3, 2))
    assert [counts.shape for counts, _ in parts] == [(3, 2, 1, 4, 4), (3, 2, 1, 4, 4), (3, 1, 1, 4, 4)]
    assert torch.cat([labels for _, labels in parts]).tolist() == [0, 1, 2, 3, 4]
    shown = torch.cat([counts for counts, _ in parts], 1)
    expected = np.stack([image.pixels for image in images]).astype(np.float32) / 16
    assert all(np.array_equal(step.numpy(), expected) for step in shown)


def test_the_section_chooses_the_loader() -> None:
    rng = np.random.default_rng(0)
    streams = [stream(rng, (2, 4, 4), 0, 9)]
    assert isinstance(
        loader([Image(np.zeros((1, 2, 2), np.uint8), 0, "")], DataSection(set="mnist", coding="direct")), ImageLoader
    )
    for bins in ("time", "count"):
        ((found, _),) = loader(streams, DataSection(set="digits", bins=bins))(4, 1)
        assert torch.equal(found, frames(bin_events(streams, 4, bins=bins), np.arange(1)))
