"""Augmentations: what is drawn for the samples of an epoch, and how it changes events in time steps or images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import RecipeError
from deploytool.ir.events import EventStream, at_places, cells_of
from deploytool.recipe import AugmentSection

Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to B samples, in this order.

    ``left_out`` (B,) is the share of events left out, by ``generator`` (event drop: Gu et al. 2021, "EventDrop: data
    augmentation for event-based learning"); ``backwards``, ``exchanged`` and ``mirrored`` (B,) say whose time,
    polarity and columns are reversed; ``moves`` (B, 2) are rows down and columns to the right; what moves off
    the map is lost; ``holes`` (B, 2) are the first row and column of a hole, ``hole`` pixels wide and high, in which
    everything is removed (cutout: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks
    with cutout").
    """

    left_out: NDArray[np.float64]
    backwards: Flags
    exchanged: Flags
    mirrored: Flags
    moves: Ints
    holes: Ints
    hole: int
    generator: np.random.Generator

    def of(self, span: slice) -> Changes:
        """The changes of the samples in ``span``."""
        return Changes(
            self.left_out[span],
            self.backwards[span],
            self.exchanged[span],
            self.mirrored[span],
            self.moves[span],
            self.holes[span],
            self.hole,
            self.generator,
        )


def draw(spec: AugmentSection, shape: Shape, count: int, seed: int) -> Changes:
    """Changes of ``count`` samples on maps of ``shape``, which depend only on ``seed``."""
    first, second = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    moves = first.integers(-spec.shift, spec.shift, (count, 2), endpoint=True)
    left_out = spec.drop * first.random(count)
    flips = second.random((3, count))
    holes = second.integers((0, 0), shape[1:], (count, 2)) - spec.cutout // 2
    return Changes(
        left_out,
        flips[0] < spec.flip_time,
        flips[1] < spec.flip_polarity,
        flips[2] < spec.flip,
        moves,
        holes,
        spec.cutout,
        first,
    )


def check(spec: AugmentSection, shape: Shape, of_images: bool) -> None:
    """Raises RecipeError with every key of ``spec`` that cannot be applied to samples of ``shape``."""
    if problems := list(_problems(spec, shape, of_images)):
        raise RecipeError.together(problems)


def _problems(spec: AugmentSection, shape: Shape, of_images: bool) -> Iterator[RecipeError]:
    for key in ("drop", "flip_time"):
        if of_images and getattr(spec, key):
            yield RecipeError(f"train.augment.{key}", "above 0 with direct coding", "0: images have no events")
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
    row = cells // width
    dy, dx = changes.moves[sample].T
    y, x = row % height + dy, cells - row * width + dx
    left = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    if changes.hole:
        top, start = changes.holes[sample].T
        left &= (y < top) | (y >= top + changes.hole) | (x < start) | (x >= start + changes.hole)
    return (cells + dy * width + dx)[left], sample[left]


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


def change_images(images: NDArray[Any], changes: Changes) -> NDArray[Any]:
    """``images`` (B, C, H, W) mirrored, moved and with holes, in a new array."""
    height, width = images.shape[2:]
    mirrored = np.where(changes.mirrored[:, None, None, None], images[..., ::-1], images)
    changed = np.zeros_like(images)
    for before, after, (dy, dx), (top, start) in zip(mirrored, changed, changes.moves, changes.holes, strict=True):
        rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
        came_from = slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0))
        after[:, rows, columns] = before[:, came_from[0], came_from[1]]
        after[:, max(top, 0) : max(top + changes.hole, 0), max(start, 0) : max(start + changes.hole, 0)] = 0
    return changed
