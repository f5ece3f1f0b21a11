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
from deploytool.data.autoaugment import Draws, auto_augmented, draw_any, draw_pairs
from deploytool.ir.events import EventStream, at_places, cells_of
from deploytool.recipe import AugmentSection

Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Reals: TypeAlias = NDArray[np.float64]

ERASED: Final = (0.02, 1 / 3, 1 / 0.3)
"""Random erasing: the least and the largest share of the area, and the largest ratio of the sides."""

GRID: Final = 5
"""Points along each axis of the grid that bends a map."""

COLOURS: Final = (1, 3)
"""Features of pictures: brightness, or red, green and blue."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to B samples, in this order.

    ``left_out`` (B,) is the share of events left out, by ``generator`` (event drop: Gu et al. 2021, "EventDrop: data
    augmentation for event-based learning"); ``backwards``, ``exchanged``, ``mirrored`` and ``upside_down`` (B,) say
    whose time, polarity, columns and rows are reversed; ``bends`` (B, 2, 5, 5), None for nobody, are moves in pixels
    down and to the right at the points of a grid over the map, and between them linear (elastic distortion: Simard,
    Steinkraus and Platt, ICDAR 2003); ``turns`` (B, 2, 2), None for nobody, are the matrices A of (row, column) that
    map p to A (p - m) + m around the middle m of the map; ``moves`` (B, 2) are rows down and columns to the right; what
    moves off the map is lost; ``operations`` are those of AutoAugment and of RandAugment, in this order; ``holes`` (B,
    2) are the first row and column of a hole, ``hole`` pixels wide and high, where all is removed (cutout: DeVries and
    Taylor 2017, "Improved regularization of convolutional neural networks with cutout"); ``erased`` (B, 4), None for
    nobody, are the first row and column, height and width of a rectangle that loses its events, or whose pixels become
    random with the seeds ``noise`` (B,) (random erasing: Zhong et al., AAAI 2020).
    """

    left_out: Reals
    backwards: Flags
    exchanged: Flags
    mirrored: Flags
    upside_down: Flags
    bends: Reals | None
    turns: Reals | None
    moves: Ints
    operations: tuple[Draws, ...]
    holes: Ints
    hole: int
    erased: Ints | None
    noise: Ints
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
            bends=None if self.bends is None else self.bends[span],
            turns=None if self.turns is None else self.turns[span],
            moves=self.moves[span],
            operations=tuple(draws.of(span) for draws in self.operations),
            holes=self.holes[span],
            erased=None if self.erased is None else self.erased[span],
            noise=self.noise[span],
        )


def draw(spec: AugmentSection, shape: Shape, count: int, seed: int) -> Changes:
    """Changes of ``count`` samples on maps of ``shape``, which depend only on ``seed``."""
    sources = (np.random.default_rng([seed, more] if more else seed) for more in range(6))
    first, second, third, fourth, last, bending = sources
    moves = first.integers(-spec.shift, spec.shift, (count, 2), endpoint=True)
    left_out = spec.drop * first.random(count)
    flips = second.random((3, count))
    holes = second.integers((0, 0), shape[1:], (count, 2)) - spec.cutout // 2
    upside_down = third.random(count) < spec.flip_vertical
    turns = _turns(spec, *third.uniform(-1, 1, (3, count)))
    operations = [draw_pairs(fourth, count)] if spec.autoaugment != "none" else []
    if spec.randaugment:
        operations.append(draw_any(fourth, count, spec.randaugment))
    erased = np.where(last.random((count, 1)) < spec.erase, _rectangles(last, shape, count, *ERASED), 0)
    if spec.crop < 1:
        turns, moves = _cropped(turns, moves, _rectangles(last, shape, count, spec.crop, 1.0, 4 / 3), shape)
    return Changes(
        left_out=left_out,
        backwards=flips[0] < spec.flip_time,
        exchanged=flips[1] < spec.flip_polarity,
        mirrored=flips[2] < spec.flip,
        upside_down=upside_down,
        bends=spec.bend * bending.normal(size=(count, 2, GRID, GRID)) if spec.bend else None,
        turns=turns,
        moves=moves,
        operations=tuple(operations),
        holes=holes,
        hole=spec.cutout,
        erased=erased if spec.erase else None,
        noise=last.integers(0, 2**62, count),
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


def _rectangles(
    generator: np.random.Generator, shape: Shape, count: int, least: float, most: float, longest: float
) -> Ints:
    """(B, 4): first row and column, height and width of rectangles on maps of ``shape``.

    Their areas are uniform between the shares ``least`` and ``most`` of the map, and the logarithm of their height
    over their width is so up to that of ``longest``; they end at the edge of the map.
    """
    sides = np.array(shape[1:])
    area, ratio = generator.uniform(least, most, count), generator.uniform(-1, 1, count) * math.log(longest)
    share = np.sqrt(area)[:, None] * np.exp(np.stack([ratio, -ratio], 1) / 2)
    size = np.rint(share * sides).astype(np.int64).clip(1, sides)
    corner = np.floor(generator.random((count, 2)) * (sides - size + 1)).astype(np.int64)
    return np.concatenate([corner, size], 1)


def _cropped(turns: Reals | None, moves: Ints, kept: Ints, shape: Shape) -> tuple[Reals, Ints]:
    """``turns`` and ``moves`` (in whole pixels) that also scale the rectangles ``kept`` (B, 4) to the whole map."""
    sides = np.array(shape[1:])
    factor = sides / kept[:, 2:]
    off_centre = kept[:, :2] + (kept[:, 2:] - 1) / 2 - (sides - 1) / 2
    scaling = factor[:, :, None] * np.eye(2)
    return scaling if turns is None else scaling @ turns, moves - np.rint(factor * off_centre).astype(np.int64)


def check(spec: AugmentSection, shape: Shape, of_images: bool) -> None:
    """Raises RecipeError with every key of ``spec`` that cannot be applied to samples of ``shape``."""
    if problems := list(_problems(spec, shape, of_images)):
        raise RecipeError.together(problems)


def _problems(spec: AugmentSection, shape: Shape, of_images: bool) -> Iterator[RecipeError]:
    for key in ("drop", "flip_time"):
        if of_images and getattr(spec, key):
            yield RecipeError(f"train.augment.{key}", "above 0 with direct coding", "0: images have no events")
    for key, off in (("autoaugment", "none"), ("randaugment", 0)):
        if (value := getattr(spec, key)) == off:
            continue
        if not of_images:
            found, need = f"{value!r} for events", f"{off!r}, or pictures: data.coding = 'direct'"
            yield RecipeError(f"train.augment.{key}", found, need)
        elif shape[0] not in COLOURS:
            found = f"{value!r} on a map of {format_shape(shape)}"
            yield RecipeError(f"train.augment.{key}", found, f"{off!r}, or one feature, or three: red, green, blue")
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
    y, x = _placed(*before, sample, changes, (height, width))
    y, x = y + changes.moves[sample, 0], x + changes.moves[sample, 1]
    left = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    if changes.hole:
        top, start = changes.holes[sample].T
        left &= (y < top) | (y >= top + changes.hole) | (x < start) | (x >= start + changes.hole)
    if changes.erased is not None:
        top, start, tall, wide = changes.erased[sample].T
        left &= (y < top) | (y >= top + tall) | (x < start) | (x >= start + wide)
    return (cells + (y - before[0]) * width + x - before[1])[left], sample[left]


def _placed(y: Ints, x: Ints, sample: Ints, changes: Changes, size: tuple[int, int]) -> tuple[Ints, Ints]:
    """The nearest (rows, columns) to where the bends and turns move those of N events, on a map of ``size``."""
    if changes.bends is None and changes.turns is None:
        return y, x
    places, middle = np.stack([y, x], 1).astype(np.float64), (np.array(size) - 1) / 2
    if changes.bends is not None:
        places += _moves_of(changes.bends, size)[sample, :, y, x]
    if changes.turns is not None:
        places = np.einsum("nij,nj->ni", changes.turns[sample], places - middle) + middle
    placed = np.rint(places).astype(np.int64)
    return placed[:, 0], placed[:, 1]


def _moves_of(bends: Reals, size: tuple[int, int]) -> Reals:
    """(B, 2, H, W): the moves of every pixel of a map of ``size``, from those at the points of a grid."""
    down, across = (_between(side) for side in size)
    moves: Reals = down @ bends @ across.T
    return moves


def _between(side: int) -> Reals:
    """(side, GRID): the share of each point of the grid in the moves of each of ``side`` rows, or columns."""
    at = np.linspace(0, GRID - 1, side)
    shares: Reals = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(GRID)))
    return shares


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
    if changes.bends is not None:
        turned = _bent_images(turned, changes.bends)
    changed = np.zeros_like(images)
    for index, (dy, dx) in enumerate(changes.moves):
        if changes.turns is not None:
            changed[index] = _turned_image(turned[index], changes.turns[index], changes.moves[index])
        else:
            rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
            came_from = slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0))
            changed[index][:, rows, columns] = turned[index][:, came_from[0], came_from[1]]
        for draws in changes.operations:
            changed[index] = auto_augmented(changed[index], draws, index, top)
        top_row, first = changes.holes[index]
        hole = (slice(max(start, 0), max(start + changes.hole, 0)) for start in (top_row, first))
        changed[index][:, *hole] = 0
        if changes.erased is not None:
            _erase(changed[index], changes.erased[index], int(changes.noise[index]), top)
    return changed


def _bent_images(images: NDArray[Any], bends: Reals) -> NDArray[Any]:
    """``images`` (B, C, H, W) after ``bends``: every pixel is interpolated where its own moves come from, 0 outside.

    Where moves change slowly, so do those that led to it.
    """
    height, width = images.shape[2:]
    grid = np.indices((height, width))
    places = grid - _moves_of(bends, (height, width))
    first = np.floor(places).astype(np.int64)
    share = places - first
    padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)]).astype(np.float64)
    found = np.zeros(images.shape)
    batch = np.arange(len(images))[:, None, None]
    for dy, dx in np.ndindex(2, 2):
        y, x = np.clip(first[:, 0] + dy + 1, 0, height + 1), np.clip(first[:, 1] + dx + 1, 0, width + 1)
        weight = np.abs(1 - dy - share[:, 0]) * np.abs(1 - dx - share[:, 1])
        found += weight[:, None] * np.moveaxis(padded[batch, :, y, x], -1, 1)
    return np.rint(found).astype(images.dtype)


def _erase(image: NDArray[Any], rectangle: Ints, seed: int, top: int) -> None:
    """Makes the pixels of ``image`` (C, H, W) in ``rectangle`` random, from 0 to ``top``."""
    first, start, tall, wide = rectangle
    inside = image[:, first : first + tall, start : start + wide]
    inside[...] = np.random.default_rng(seed).integers(0, top, inside.shape, endpoint=True)


def _turned_image(image: NDArray[Any], turn: Reals, move: Ints) -> NDArray[Any]:
    """``image`` (C, H, W) turned by the matrix ``turn``, and moved by ``move``.

    Every pixel is interpolated where it came from, 0 outside.
    """
    from PIL import Image

    (height, width), back = image.shape[1:], np.linalg.inv(turn)
    middle = np.array([height, width]) / 2  # Pillow's coordinates are those of the pixels' corners
    offset = middle - back @ (middle + move)
    of_x, of_y = ((back[i, 1], back[i, 0], offset[i]) for i in (1, 0))
    bands = [
        Image.fromarray(band).transform(
            (width, height), Image.Transform.AFFINE, (*of_x, *of_y), Image.Resampling.BILINEAR
        )
        for band in np.ascontiguousarray(image)
    ]
    return np.stack([np.asarray(band) for band in bands])
