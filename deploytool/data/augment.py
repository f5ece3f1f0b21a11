"""Augmentations: what is drawn for the samples of an epoch, and how it changes events in time steps or images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import RecipeError
from deploytool.data.autoaugment import Draws, auto_augmented, draw_pairs
from deploytool.ir.events import EventStream, at_places, cells_of
from deploytool.recipe import AugmentSection

Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Reals: TypeAlias = NDArray[np.float64]

COLOURS: Final = (1, 3)
"""Features of pictures: brightness, or red, green and blue."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to B samples, in this order.

    ``left_out`` (B,) is the share of events left out, by ``generator`` (event drop: Gu et al. 2021, "EventDrop: data
    augmentation for event-based learning"); ``backwards``, ``exchanged``, ``mirrored`` and ``upside_down`` (B,) say
    whose time, polarity, columns and rows are reversed; ``turns`` (B, 2, 2), None for nobody, are the matrices A of
    (row, column) that map p to A (p - m) + m around the middle m of the map; ``moves`` (B, 2) are rows down and columns
    to the right; what moves off the map is lost; ``pairs`` are the operations of AutoAugment, None for nobody;
    ``holes`` (B, 2) are the first row and column of a hole, ``hole`` pixels wide and high, in which everything is
    removed (cutout: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout").
    """

    left_out: Reals
    backwards: Flags
    exchanged: Flags
    mirrored: Flags
    upside_down: Flags
    turns: Reals | None
    moves: Ints
    pairs: Draws | None
    holes: Ints
    hole: int
    generator: np.random.Generator

    def of(self, span: slice) -> Changes:
        """The changes of the samples in ``span``."""
        return replace(
            self,
            left_out=self.left_out[span],
            backwards=self.backwards[span],
            exchanged=self.exchanged[span],
            mirrored=self.mirrored[span],
            upside_down=self.upside_down[span],
            turns=None if self.turns is None else self.turns[span],
            moves=self.moves[span],
            pairs=self.pairs and self.pairs.of(span),
            holes=self.holes[span],
        )


def draw(spec: AugmentSection, shape: Shape, count: int, seed: int) -> Changes:
    """Changes of ``count`` samples on maps of ``shape``, which depend only on ``seed``."""
    first, second, third, last = (np.random.default_rng([seed, more] if more else seed) for more in range(4))
    moves = first.integers(-spec.shift, spec.shift, (count, 2), endpoint=True)
    left_out = spec.drop * first.random(count)
    flips = second.random((3, count))
    holes = second.integers((0, 0), shape[1:], (count, 2)) - spec.cutout // 2
    return Changes(
        left_out=left_out,
        backwards=flips[0] < spec.flip_time,
        exchanged=flips[1] < spec.flip_polarity,
        mirrored=flips[2] < spec.flip,
        upside_down=third.random(count) < spec.flip_vertical,
        turns=_turns(spec, *third.uniform(-1, 1, (3, count))),
        moves=moves,
        pairs=draw_pairs(last, count) if spec.autoaugment != "none" else None,
        holes=holes,
        hole=spec.cutout,
        generator=first,
    )


def _turns(spec: AugmentSection, angle: Reals, factor: Reals, slope: Reals) -> Reals | None:
    """(B, 2, 2): the matrices of (row, column) that rotate, scale and shear, for draws (B,) in [-1, 1)."""
    if not (spec.rotate or spec.scale or spec.shear):
        return None
    angle = np.deg2rad(spec.rotate) * angle
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shear = np.array([[np.ones_like(slope), np.zeros_like(slope)], [spec.shear * slope, np.ones_like(slope)]])
    turns: Reals = np.einsum("ijb,jkb->bik", (1 + spec.scale * factor) * rotation, shear)
    return turns


def check(spec: AugmentSection, shape: Shape, of_images: bool) -> None:
    """Raises RecipeError with every key of ``spec`` that cannot be applied to samples of ``shape``."""
    if problems := list(_problems(spec, shape, of_images)):
        raise RecipeError.together(problems)


def _problems(spec: AugmentSection, shape: Shape, of_images: bool) -> Iterator[RecipeError]:
    for key in ("drop", "flip_time"):
        if of_images and getattr(spec, key):
            yield RecipeError(f"train.augment.{key}", "above 0 with direct coding", "0: images have no events")
    if spec.autoaugment != "none":
        if not of_images:
            found, need = f"{spec.autoaugment!r} for events", "'none', or pictures: data.coding = 'direct'"
            yield RecipeError("train.augment.autoaugment", found, need)
        elif shape[0] not in COLOURS:
            found = f"{spec.autoaugment!r} on a map of {format_shape(shape)}"
            yield RecipeError("train.augment.autoaugment", found, "'none', or one feature, or three: red, green, blue")
    if spec.flip_polarity and shape[0] != 2:
        found = f"above 0 on a map of {format_shape(shape)}"
        yield RecipeError("train.augment.flip_polarity", found, "0, or two features, OFF and ON")


def change_events(cells: Ints, sample: Ints, changes: Changes, shape: Shape, time_steps: int) -> tuple[Ints, Ints]:
    """(cells, sample) of the remaining events, in new arrays.

    ``cells`` (N,) are those of `deploytool.ir.events.cells_of`, ``sample`` (N,) the sample of each event.
    """
    channels, height, width = shape
    if changes.left_out.any():
        kept = changes.generator.random(len(cells)) >= changes.left_out[sample]
        cells, sample = cells[kept], sample[kept]
    cells = _reversed(cells, sample, changes.backwards, channels * height * width, time_steps)
    cells = _reversed(cells, sample, changes.exchanged, height * width, channels)
    cells = _reversed(cells, sample, changes.mirrored, 1, width)
    cells = _reversed(cells, sample, changes.upside_down, width, height)
    row = cells // width
    before = row % height, cells - row * width
    y, x = before if changes.turns is None else _turned(*before, changes.turns[sample], (height, width))
    y, x = y + changes.moves[sample, 0], x + changes.moves[sample, 1]
    left = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    if changes.hole:
        top, start = changes.holes[sample].T
        left &= (y < top) | (y >= top + changes.hole) | (x < start) | (x >= start + changes.hole)
    return (cells + (y - before[0]) * width + x - before[1])[left], sample[left]


def _turned(y: Ints, x: Ints, turns: Reals, size: tuple[int, int]) -> tuple[Ints, Ints]:
    """The nearest (rows, columns) to where ``turns`` (N, 2, 2) move those of N events, on a map of ``size``."""
    middle = (np.array(size) - 1) / 2
    places = np.stack([y, x], 1) - middle
    moved = np.rint(np.einsum("nij,nj->ni", turns, places) + middle).astype(np.int64)
    return moved[:, 0], moved[:, 1]


def change_stream(stream: EventStream, changes: Changes) -> EventStream:
    """``stream`` after ``changes`` of one sample; the time steps are microseconds."""
    cells = cells_of(stream, stream.duration_us)
    cells, _ = change_events(cells, np.zeros(len(cells), np.int64), changes, stream.shape, stream.duration_us)
    t_us, places = np.divmod(cells, math.prod(stream.shape))
    order = np.argsort(t_us, kind="stable")
    return replace(stream, events=at_places(t_us[order], places[order], stream.shape))


def _reversed(cells: Ints, sample: Ints, which: Flags, stride: int, length: int) -> Ints:
    """``cells`` with the axis of ``length`` and ``stride`` reversed in the samples of ``which``."""
    if not which.any():
        return cells
    place = cells // stride % length
    return cells + which[sample] * (length - 1 - 2 * place) * stride


def change_images(images: NDArray[Any], changes: Changes, top: int = 255) -> NDArray[Any]:
    """``images`` (B, C, H, W) from 0 to ``top``, after ``changes``, in a new array."""
    height, width = images.shape[2:]
    mirrored = np.where(changes.mirrored[:, None, None, None], images[..., ::-1], images)
    turned = np.where(changes.upside_down[:, None, None, None], mirrored[..., ::-1, :], mirrored)
    if changes.turns is not None:
        turned = np.stack([_turned_image(image, turn) for image, turn in zip(turned, changes.turns, strict=True)])
    changed = np.zeros_like(images)
    for index, (dy, dx) in enumerate(changes.moves):
        rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
        came_from = slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0))
        changed[index][:, rows, columns] = turned[index][:, came_from[0], came_from[1]]
        if changes.pairs is not None:
            changed[index] = auto_augmented(changed[index], changes.pairs, index, top)
        top_row, first = changes.holes[index]
        hole = (slice(max(start, 0), max(start + changes.hole, 0)) for start in (top_row, first))
        changed[index][:, *hole] = 0
    return changed


def _turned_image(image: NDArray[Any], turn: Reals) -> NDArray[Any]:
    """``image`` (C, H, W) turned by the matrix ``turn``: every pixel is interpolated where it came from, 0 outside."""
    from PIL import Image

    (height, width), back = image.shape[1:], np.linalg.inv(turn)
    middle = np.array([height, width]) / 2  # Pillow's coordinates are those of the pixels' corners
    offset = middle - back @ middle
    of_x, of_y = ((back[i, 1], back[i, 0], offset[i]) for i in (1, 0))
    bands = [
        Image.fromarray(band).transform(
            (width, height), Image.Transform.AFFINE, (*of_x, *of_y), Image.Resampling.BILINEAR
        )
        for band in np.ascontiguousarray(image)
    ]
    return np.stack([np.asarray(band) for band in bands])
