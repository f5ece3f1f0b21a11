from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deploytool.base.errors import RecipeError  # noqa: E402
from deploytool.data.augment import Changes, _moves_of, change_images, check, draw  # noqa: E402
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
        flip_vertical=draw(SHARE),
        shift=draw(st.integers(0, 4)),
        cutout=draw(st.integers(0, 4)),
        erase=draw(SHARE),
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
@given(several(), augments(), st.booleans(), st.booleans())
def test_the_generator_alone_decides_and_nothing_else_changes(
    streams: list[EventStream], augment: AugmentSection, of_images: bool, turned: bool
) -> None:
    more = {"rotate": 40.0, "scale": 0.3, "shear": 0.5} if turned else {}
    augment = augment.model_copy(update=more | ({"autoaugment": "cifar10"} if of_images else {}))
    samples = pictures(np.random.default_rng(0), len(streams), (3, 5, 4)) if of_images else streams
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
        expected = expected[..., ::-1] if changes.mirrored[index] else expected
        expected = (expected[..., ::-1, :] if changes.upside_down[index] else expected).copy()
        dy, dx = (int(by) for by in changes.moves[index])
        _, height, width = item.shape
        padded = np.pad(expected, [(0, 0), (0, 0), (4, 4), (4, 4)])
        expected = padded[:, :, 4 - dy : 4 - dy + height, 4 - dx : 4 - dx + width].copy()
        inside = [(slice(max(at, 0), max(at + changes.hole, 0))) for at in changes.holes[index].tolist()]
        expected[:, :, inside[0], inside[1]] = 0
        if changes.erased is not None:
            top, start, tall, wide = changes.erased[index]
            expected[:, :, top : top + tall, start : start + wide] = 0
        assert np.array_equal(found[:, index], expected)


@given(st.integers(1, 4), augments())
def test_images_change_as_events_do(count: int, augment: AugmentSection) -> None:
    """An image of which every pixel is its value in events at step 0 gives the same frame."""
    augment = augment.model_copy(update={"drop": 0.0, "flip_time": 0.0, "flip_polarity": 0.0, "erase": 0.0})
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


QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
"""A quarter turn of (row, column): the row below the middle goes to the right of it."""


def turned_by(matrix: np.ndarray, shape: tuple[int, int, int], count: int) -> Changes:
    return replace(draw(AugmentSection(rotate=1), shape, count, seed=0), turns=np.repeat(matrix[None], count, 0))


def test_a_quarter_turn_is_one_of_events_and_of_images() -> None:
    rng = np.random.default_rng(0)
    binned = bin_events([stream(rng, (2, 7, 7), 0, 90) for _ in range(3)], 2)
    before = frames(binned, np.arange(3)).numpy()
    found = frames(binned, np.arange(3), turned_by(QUARTER, (2, 7, 7), 3)).numpy()
    wanted = np.zeros_like(before)
    for y, x in np.ndindex(7, 7):
        wanted[..., 6 - x, y] = before[..., y, x]
    assert np.array_equal(found, wanted)
    images = rng.integers(0, 256, (3, 2, 7, 7)).astype(np.uint8)
    changed = change_images(images, turned_by(QUARTER, (2, 7, 7), 3))
    for y, x in np.ndindex(7, 7):
        assert np.abs(changed[..., 6 - x, y].astype(int) - images[..., y, x]).max() <= 1


@pytest.mark.parametrize("keys", [{"rotate": 60.0}, {"scale": 0.5}, {"shear": 0.6}, {"rotate": 30, "scale": 0.2}])
def test_events_and_images_turn_alike(keys: dict[str, float]) -> None:
    """The middle of a blob goes where the matrix moves it, by hand, on a map that is not square."""
    shape, at = (1, 41, 61), np.array([26.0, 38.0])
    image = np.zeros(shape, np.uint8)
    image[0, 25:28, 37:40] = 200
    events = np.zeros(9, EVENT)
    events["y"], events["x"] = (axis.ravel() + first for axis, first in zip(np.indices((3, 3)), (25, 37), strict=True))
    binned = bin_events([EventStream(events, shape, 10, 0)] * 20, 1)
    changes = draw(AugmentSection(**keys), shape, 20, seed=5)
    assert changes.turns is not None
    of_events = frames(binned, np.arange(20), changes).numpy()[0, :, 0]
    of_images = change_images(np.repeat(image[None], 20, 0), changes)[:, 0].astype(float)
    for matrix, *maps in zip(changes.turns, of_events, of_images, strict=True):
        wanted = np.array([20.0, 30.0]) + [matrix[i, 0] * (at[0] - 20) + matrix[i, 1] * (at[1] - 30) for i in range(2)]
        for found in maps:
            assert found.sum() > 0
            centre = [(found * place).sum() / found.sum() for place in np.indices(found.shape)]
            assert np.abs(np.array(centre) - wanted).max() < 0.6


def test_matrices_rotate_scale_and_shear_as_far_as_asked() -> None:
    def turns(**keys: float) -> np.ndarray:
        found = draw(AugmentSection(**keys), (2, 9, 9), 4000, seed=1).turns
        assert found is not None
        return found

    rotated = turns(rotate=30)
    assert np.allclose(rotated @ rotated.transpose(0, 2, 1), np.eye(2))
    angles = np.rad2deg(np.arctan2(rotated[:, 1, 0], rotated[:, 0, 0]))
    assert 29 < angles.max() <= 30
    assert -30 <= angles.min() < -29
    assert abs(angles.mean()) < 1
    scaled = turns(scale=0.25)
    assert np.allclose(scaled, scaled[:, :1, :1] * np.eye(2))
    assert scaled[:, 0, 0].min() == pytest.approx(0.75, abs=0.01)
    assert scaled[:, 0, 0].max() == pytest.approx(1.25, abs=0.01)
    sheared = turns(shear=0.5)
    assert np.allclose(sheared[:, 0], [1, 0])
    assert np.allclose(sheared[:, 1, 1], 1)
    assert np.abs(sheared[:, 1, 0]).max() == pytest.approx(0.5, abs=0.01)
    every = turns(rotate=30, scale=0.25, shear=0.5)
    assert np.allclose(every, np.einsum("nij,njk->nik", rotated * scaled[:, :1, :1], sheared))
    assert draw(AugmentSection(shift=3), (2, 9, 9), 4, seed=1).turns is None


def test_every_change_comes_up_as_often_as_asked() -> None:
    augment = AugmentSection(flip_time=0.25, flip_polarity=0.5, flip=0.75, flip_vertical=0.4, shift=2, cutout=3)
    changes = draw(augment, (2, 5, 7), 4000, seed=0)
    for flags, share in (
        (changes.backwards, 0.25),
        (changes.exchanged, 0.5),
        (changes.mirrored, 0.75),
        (changes.upside_down, 0.4),
    ):
        assert abs(flags.mean() - share) < 0.03
    assert np.array_equal(np.unique(changes.moves), np.arange(-2, 3))
    assert [sorted(set(axis)) for axis in (changes.holes + 1).T.tolist()] == [list(range(5)), list(range(7))]


def test_what_an_augmentation_does_not_decide_it_leaves_alone() -> None:
    """Recipes from before the later augmentations train as they did."""
    plain = draw(AugmentSection(shift=3, drop=0.4), (2, 9, 9), 20, seed=7)
    others = {
        "flip": 0.5,
        "cutout": 2,
        "flip_vertical": 0.5,
        "rotate": 10,
        "autoaugment": "cifar10",
        "randaugment": 3,
        "erase": 0.5,
    }
    more = draw(AugmentSection.model_validate({"shift": 3, "drop": 0.4, **others}), (2, 9, 9), 20, seed=7)
    two = draw(AugmentSection(shift=3, drop=0.4, flip=0.5, cutout=2), (2, 9, 9), 20, seed=7)
    assert np.array_equal(more.holes, two.holes)
    assert np.array_equal(more.mirrored, two.mirrored)
    assert np.array_equal(plain.moves, more.moves)
    assert np.array_equal(plain.left_out, more.left_out)
    rng = np.random.default_rng(7)
    assert np.array_equal(plain.moves, rng.integers(-3, 3, (20, 2), endpoint=True))
    assert np.array_equal(plain.left_out, 0.4 * rng.random(20))


def test_a_crop_fills_the_map_and_keeps_a_rectangle_of_the_picture() -> None:
    shape, count = (1, 40, 60), 400
    ramp = np.broadcast_to(np.arange(4, 244, 4), shape).astype(np.uint8)
    changes = draw(AugmentSection(crop=0.3), shape, count, seed=2)
    assert changes.turns is not None
    factors = changes.turns[:, (0, 1), (0, 1)]
    assert np.array_equal(changes.turns, factors[:, :, None] * np.eye(2))
    areas = 1 / factors.prod(1)
    assert 0.28 < areas.min() < 0.35
    assert 0.9 < areas.max() <= 1
    found = change_images(np.repeat(ramp[None], count, 0), changes)[:, 0, 20].astype(float)
    for row, (_, along) in zip(found, factors, strict=True):
        assert (row[2:-2] > 0).all()
        assert np.median(np.diff(row[2:-2])) == pytest.approx(4 / along, abs=1)


def test_crops_of_events_and_images_agree() -> None:
    shape = (1, 41, 61)
    image = np.zeros(shape, np.uint8)
    image[0, 19:22, 29:32] = 200
    events = np.zeros(9, EVENT)
    events["y"], events["x"] = (axis.ravel() + first for axis, first in zip(np.indices((3, 3)), (19, 29), strict=True))
    changes = draw(AugmentSection(crop=0.6), shape, 20, seed=5)
    binned = bin_events([EventStream(events, shape, 10, 0)] * 20, 1)
    of_events = frames(binned, np.arange(20), changes).numpy()[0, :, 0]
    of_images = change_images(np.repeat(image[None], 20, 0), changes)[:, 0].astype(float)
    for maps in zip(of_events, of_images, strict=True):
        centres = [[(found * place).sum() / found.sum() for place in np.indices(found.shape)] for found in maps]
        assert np.abs(np.subtract(*centres)).max() < 0.6


def test_a_map_bends_smoothly_and_as_far_as_asked() -> None:
    changes = draw(AugmentSection(bend=1.5), (1, 33, 33), 500, seed=3)
    assert changes.bends is not None
    assert changes.bends.std() == pytest.approx(1.5, rel=0.02)
    moves = _moves_of(changes.bends, (33, 17))
    assert np.allclose(moves[:, :, ::8, ::4], changes.bends)
    middle = changes.bends[:, :, :2, :2].mean((2, 3))
    assert np.allclose(moves[:, :, 4, 2], middle)


def test_bent_events_and_images_agree() -> None:
    """The middle of a blob goes where the field moves it, which changes by less than half a pixel over the blob."""
    shape, at = (1, 41, 61), (26, 38)
    image = np.zeros(shape, np.uint8)
    image[0, 25:28, 37:40] = 200
    events = np.zeros(9, EVENT)
    events["y"], events["x"] = (axis.ravel() + first for axis, first in zip(np.indices((3, 3)), (25, 37), strict=True))
    changes = draw(AugmentSection(bend=2), shape, 20, seed=5)
    assert changes.bends is not None
    binned = bin_events([EventStream(events, shape, 10, 0)] * 20, 1)
    of_events = frames(binned, np.arange(20), changes).numpy()[0, :, 0]
    of_images = change_images(np.repeat(image[None], 20, 0), changes)[:, 0].astype(float)
    moves = _moves_of(changes.bends, (41, 61))[:, :, at[0], at[1]]
    for move, *maps in zip(moves, of_events, of_images, strict=True):
        for found in maps:
            centre = [(found * place).sum() / found.sum() for place in np.indices(found.shape)]
            assert np.abs(np.array(centre) - at - move).max() < 1


def test_erased_pixels_become_random_in_as_many_pictures_as_asked() -> None:
    changes = draw(AugmentSection(erase=0.25), (3, 20, 30), 2000, seed=1)
    assert changes.erased is not None
    areas = changes.erased[:, 2:].prod(1) / 600
    assert (areas > 0).mean() == pytest.approx(0.25, abs=0.03)
    assert 0.01 < areas[areas > 0].min() < 0.04
    assert 0.3 < areas.max() < 0.36
    assert (changes.erased[:, :2] + changes.erased[:, 2:] <= (20, 30)).all()
    number = int(areas.argmax())
    image = np.full((1, 3, 20, 30), 9, np.uint8)
    found = change_images(image, changes.of(slice(number, number + 1)), top=16)[0]
    top, start, tall, wide = changes.erased[number]
    inside = np.zeros((20, 30), bool)
    inside[top : top + tall, start : start + wide] = True
    assert (found[:, ~inside] == 9).all()
    assert np.unique(found[:, inside]).tolist() == list(range(17))


def test_augmentations_that_do_not_go_with_the_samples_are_refused_together() -> None:
    with pytest.raises(RecipeError) as caught:
        check(AugmentSection(drop=0.1, flip_time=0.5, flip_polarity=0.5, flip=0.5), (3, 8, 8), of_images=True)
    assert list(caught.value.problems) == [
        "train.augment.drop: above 0 with direct coding; need 0: images have no events.",
        "train.augment.flip_time: above 0 with direct coding; need 0: images have no events.",
        "train.augment.flip_polarity: above 0 on a map of 3x8x8; need 0, or two features, OFF and ON.",
    ]
    automatic = AugmentSection(autoaugment="cifar10")
    with pytest.raises(
        RecipeError, match=r"autoaugment: 'cifar10' for events; need 'none', or pictures: data.coding = "
    ):
        check(automatic, (3, 8, 8), of_images=False)
    with pytest.raises(RecipeError, match=r"autoaugment: 'cifar10' on a map of 2x8x8; need 'none', or one feature, or"):
        check(automatic, (2, 8, 8), of_images=True)
    with pytest.raises(RecipeError, match=r"randaugment: 9 for events; need 0, or pictures: data.coding = "):
        check(AugmentSection(randaugment=9), (3, 8, 8), of_images=False)
    images = pictures(np.random.default_rng(0), 2, (1, 4, 4))
    with pytest.raises(RecipeError, match=r"train.augment.drop: above 0 with direct coding"):
        loader(images, DataSection(set="mnist", coding="direct"), AugmentSection(drop=0.1))
