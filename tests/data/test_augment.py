from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deploytool.base.errors import RecipeError  # noqa: E402
from deploytool.data.augment import check, draw  # noqa: E402
from deploytool.data.images import Image  # noqa: E402
from deploytool.data.loader import ImageLoader, Loader, bin_events, frames, loader  # noqa: E402
from deploytool.ir.events import EVENT, EventStream  # noqa: E402
from deploytool.recipe import AugmentSection, DataSection  # noqa: E402

SHARE = st.sampled_from([0.0, 0.5, 1.0])


@st.composite
def augments(draw: st.DrawFn) -> AugmentSection:
    return AugmentSection(
        drop=draw(st.sampled_from([0.0, 0.5])),
        flip_time=draw(SHARE),
        flip_polarity=draw(SHARE),
        flip=draw(SHARE),
        shift=draw(st.integers(0, 4)),
        cutout=draw(st.integers(0, 4)),
    )


@st.composite
def several(draw: st.DrawFn) -> list[EventStream]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (2, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return [stream(rng, shape, label) for label in range(draw(st.integers(1, 6)))]


def stream(rng: np.random.Generator, shape: tuple[int, int, int], label: int, count: int | None = None) -> EventStream:
    events = np.zeros(rng.integers(0, 50) if count is None else count, EVENT)
    duration_us = int(rng.integers(1, 100_000))
    events["t"] = np.sort(rng.integers(0, duration_us, len(events)))
    for axis, limit in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, limit, len(events))
    return EventStream(events, shape, duration_us, label)


def pictures(rng: np.random.Generator, count: int, shape: tuple[int, int, int] = (2, 5, 4)) -> list[Image]:
    return [Image(rng.integers(0, 256, shape).astype(np.uint8), label, f"image/{label}") for label in range(count)]


def one_round(batches: Loader | ImageLoader, seed: int | None, batch: int = 3) -> Iterator[tuple[bytes, list[int]]]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for counts, labels in batches(4, batch, generator):
        yield counts.numpy().tobytes(), labels.tolist()


@settings(max_examples=40)
@given(several(), augments(), st.booleans())
def test_the_generator_alone_decides_and_nothing_else_changes(
    streams: list[EventStream], augment: AugmentSection, of_images: bool
) -> None:
    samples = pictures(np.random.default_rng(0), len(streams)) if of_images else streams
    before = [(sample.pixels if of_images else sample.events).tobytes() for sample in samples]
    make = ImageLoader if of_images else Loader
    batches = make(samples, augment)
    plain = list(one_round(batches, None))
    first, other = list(one_round(batches, 5)), list(one_round(batches, 6))
    assert first == list(one_round(make(samples, augment), 5))
    assert plain == list(one_round(make(samples), None)) == list(one_round(batches, None))
    for found in (first, other):
        assert sorted(label for _, labels in found for label in labels) == list(range(len(samples)))
    assert before == [(sample.pixels if of_images else sample.events).tobytes() for sample in samples]


@given(several(), st.integers(1, 5), augments())
def test_events_change_as_their_frames_do(streams: list[EventStream], steps: int, augment: AugmentSection) -> None:
    augment = augment.model_copy(update={"drop": 0.0})
    binned = bin_events(streams, steps)
    everyone = np.arange(len(streams))
    changes = draw(augment, binned.shape, len(streams), seed=1)
    found = frames(binned, everyone, changes).numpy()
    for index, item in enumerate(streams):
        expected = frames(binned, np.array([index])).numpy()[:, 0]
        expected = expected[::-1] if changes.backwards[index] else expected
        expected = expected[:, ::-1] if changes.exchanged[index] else expected
        expected = (expected[..., ::-1] if changes.mirrored[index] else expected).copy()
        dy, dx = (int(by) for by in changes.moves[index])
        _, height, width = item.shape
        padded = np.pad(expected, [(0, 0), (0, 0), (4, 4), (4, 4)])
        expected = padded[:, :, 4 - dy : 4 - dy + height, 4 - dx : 4 - dx + width].copy()
        inside = [(slice(max(at, 0), max(at + changes.hole, 0))) for at in changes.holes[index].tolist()]
        expected[:, :, inside[0], inside[1]] = 0
        assert np.array_equal(found[:, index], expected)


@given(st.integers(1, 4), augments())
def test_images_change_as_events_do(count: int, augment: AugmentSection) -> None:
    """An image of which every pixel is its value in events at step 0 gives the same frame."""
    augment = augment.model_copy(update={"drop": 0.0, "flip_time": 0.0, "flip_polarity": 0.0})
    rng = np.random.default_rng(count)
    images = [Image(rng.integers(0, 3, (2, 5, 4)).astype(np.uint8), label, "", top=1) for label in range(count)]
    streams = []
    for image in images:
        place = np.repeat(np.arange(40), image.pixels.ravel())
        events = np.zeros(len(place), EVENT)
        events["c"], events["y"], events["x"] = np.unravel_index(place, image.shape)
        streams.append(EventStream(events, image.shape, 1, image.label))
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    pairs = zip(
        ImageLoader(images, augment)(1, 2, generators[0]), Loader(streams, augment)(1, 2, generators[1]), strict=True
    )
    for (image_frames, image_labels), (event_frames, event_labels) in pairs:
        assert torch.equal(image_frames, event_frames)
        assert torch.equal(image_labels, event_labels)


def shifted(stream: EventStream, dy: int, dx: int) -> EventStream:
    """``stream`` event by event ``dy`` rows down and ``dx`` columns to the right; what leaves the map is gone."""
    _, height, width = stream.shape
    kept = [
        (t, c, y + dy, x + dx) for t, c, y, x in stream.events.tolist() if 0 <= y + dy < height and 0 <= x + dx < width
    ]
    return replace(stream, events=np.array(kept, EVENT))


@given(several(), st.integers(1, 5), st.data())
def test_moves_take_what_stays_on_the_map(streams: list[EventStream], time_steps: int, data: st.DataObject) -> None:
    binned = bin_events(streams, time_steps)
    changes = draw(AugmentSection(shift=data.draw(st.integers(0, 4))), binned.shape, len(streams), seed=0)
    moved = [shifted(item, *map(int, by)) for item, by in zip(streams, changes.moves, strict=True)]
    everyone = np.arange(len(streams))
    assert torch.equal(frames(binned, everyone, changes), frames(bin_events(moved, time_steps), everyone))


def test_dropped_events_are_gone_and_nothing_else_changes() -> None:
    rng = np.random.default_rng(0)
    binned = bin_events([stream(rng, (2, 4, 4), 0, 1000) for _ in range(50)], 3)
    whole = frames(binned, np.arange(50))
    changes = draw(AugmentSection(drop=0.5), binned.shape, 50, seed=1)
    some = frames(binned, np.arange(50), changes)
    assert ((some <= whole) & (some >= 0)).all()
    kept = (some.sum((0, 2, 3, 4)) / whole.sum((0, 2, 3, 4))).numpy()
    assert np.allclose(kept, 1 - changes.left_out, atol=0.08)
    assert changes.left_out.max() > 0.4


def test_every_change_comes_up_as_often_as_asked() -> None:
    augment = AugmentSection(flip_time=0.25, flip_polarity=0.5, flip=0.75, shift=2, cutout=3)
    changes = draw(augment, (2, 5, 7), 4000, seed=0)
    for flags, share in ((changes.backwards, 0.25), (changes.exchanged, 0.5), (changes.mirrored, 0.75)):
        assert abs(flags.mean() - share) < 0.03
    assert np.array_equal(np.unique(changes.moves), np.arange(-2, 3))
    assert [sorted(set(axis)) for axis in (changes.holes + 1).T.tolist()] == [list(range(5)), list(range(7))]


def test_what_an_augmentation_does_not_decide_it_leaves_alone() -> None:
    """Recipes from before the later augmentations train as they did."""
    plain = draw(AugmentSection(shift=3, drop=0.4), (2, 9, 9), 20, seed=7)
    more = draw(AugmentSection(shift=3, drop=0.4, flip=0.5, cutout=2), (2, 9, 9), 20, seed=7)
    assert np.array_equal(plain.moves, more.moves)
    assert np.array_equal(plain.left_out, more.left_out)
    rng = np.random.default_rng(7)
    assert np.array_equal(plain.moves, rng.integers(-3, 3, (20, 2), endpoint=True))
    assert np.array_equal(plain.left_out, 0.4 * rng.random(20))


def test_augmentations_that_do_not_go_with_the_samples_are_refused_together() -> None:
    with pytest.raises(RecipeError) as caught:
        check(AugmentSection(drop=0.1, flip_time=0.5, flip_polarity=0.5, flip=0.5), (3, 8, 8), of_images=True)
    assert list(caught.value.problems) == [
        "train.augment.drop: above 0 with direct coding; need 0: images have no events.",
        "train.augment.flip_time: above 0 with direct coding; need 0: images have no events.",
        "train.augment.flip_polarity: above 0 on a map of 3x8x8; need 0, or two features, OFF and ON.",
    ]
    images = pictures(np.random.default_rng(0), 2, (1, 4, 4))
    with pytest.raises(RecipeError, match=r"train.augment.drop: above 0 with direct coding"):
        loader(images, DataSection(set="mnist", coding="direct"), AugmentSection(drop=0.1))
