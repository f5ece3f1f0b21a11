"""Maps of a layer as small pictures: spikes per neuron, and differences of spikes per neuron.

Each is a PNG with a palette, once for light and once for dark pages.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.program import INPUT

Indices: TypeAlias = NDArray[np.uint8]
"""Pixels as indices into a palette."""

Palette: TypeAlias = NDArray[np.uint8]
"""(N, 3): red, green, blue."""

MAPS_MAX: Final = 16
"""The maximum number of features shown per layer."""
SIDE: Final = 168
"""The width of a picture, in CSS pixels, if its neurons have at least one each: two fit side by side on a phone."""
LEVELS: Final = 41
"""Colours of a map. The middle one of a difference is 0."""
GAP: Final = LEVELS
"""The index of the lines between tiles."""

LIGHT_RAMP: Final = ((255, 255, 255), (196, 217, 237), (107, 160, 209), (31, 95, 153), (10, 37, 71))
DARK_RAMP: Final = ((24, 29, 35), (32, 62, 92), (52, 112, 166), (118, 178, 229), (226, 241, 255))
LIGHT_TWO: Final = ((138, 53, 8), (223, 142, 96), (255, 255, 255), (107, 160, 209), (16, 66, 118))
DARK_TWO: Final = ((255, 190, 150), (190, 98, 48), (24, 29, 35), (52, 112, 166), (160, 210, 250))
LIGHT_GAP: Final = (203, 210, 217)
DARK_GAP: Final = (62, 70, 80)


@dataclass(frozen=True)
class Picture:
    """An image inside the page: its data URIs for light and dark pages, its size in CSS pixels, and what it shows."""

    light: str
    dark: str
    width: int
    height: int
    alt: str
    caption: str


def count_map(counts: NDArray[np.int64], name: str) -> Picture:
    """Spikes per neuron of a layer, ``counts`` (C, H, W), one tile per feature; paper is 0, full colour the maximum.

    A vector (N, 1, 1) becomes one tile, row by row.
    """
    total = int(counts.sum())
    counts, summed = _pooled(counts)
    most = int(counts.max(initial=0))
    tiles, note = _tiles(counts, name)
    shades = np.rint(np.clip(tiles, 0, None) / max(most, 1) * (LEVELS - 1)).astype(np.uint8)
    return _picture(
        _tiled(np.where(tiles < 0, GAP, shades).astype(np.uint8)),
        (LIGHT_RAMP, DARK_RAMP),
        f"Spike counts per neuron, {name}: {total} spikes, at most {most} per {_unit(summed)}",
        f"{name}: {total:,} spikes, 0 … {most} per {_unit(summed)} ({note}{summed})",
    )


def difference_map(reference: NDArray[np.int64], test: NDArray[np.int64], name: str) -> Picture:
    """test - reference per neuron, both (C, H, W): blue where ``test`` has more spikes, brown where it has fewer.

    Of more than `MAPS_MAX` features, those that differ most are shown.
    """
    difference, summed = _pooled(test - reference)
    features = len(difference)
    if features > MAPS_MAX and difference.shape[1:] != (1, 1):
        most_different = np.argsort(-np.abs(difference).sum(axis=(1, 2)), kind="stable")[:MAPS_MAX]
        difference = difference[np.sort(most_different)]
    most = int(np.abs(difference).max(initial=0))
    # -1 marks unused places in tiles, so differences are shifted to start at 0.
    tiles, note = _tiles(difference + most, name)
    if len(difference) < features:
        note = f"the {MAPS_MAX} of {features} features that differ most"
    shades = np.rint(np.clip(tiles, 0, None) / max(2 * most, 1) * (LEVELS - 1)).astype(np.uint8)
    if most == 0:
        shades = np.full_like(shades, LEVELS // 2)
    more, fewer = (int(np.maximum(sign * (test - reference), 0).sum()) for sign in (1, -1))
    extent = f"within ±{most:,} per {_unit(summed)}" if most else "no neuron differs"
    return _picture(
        _tiled(np.where(tiles < 0, GAP, shades).astype(np.uint8)),
        (LIGHT_TWO, DARK_TWO),
        f"Difference of spike counts per neuron, {name}: {more} more, {fewer} fewer, {extent}",
        f"{name}: {more:,} more, {fewer:,} fewer, {extent} ({note}{summed})",
    )


def _tiles(values: NDArray[np.int64], name: str) -> tuple[NDArray[np.int64], str]:
    """(tiles (N, rows, columns), what they are); -1 in unused places."""
    features = values.shape[0]
    if values.shape[1:] == (1, 1):
        return _square(values.reshape(-1)), f"{features} neurons, row by row"
    if name.partition(",")[0] == INPUT and features == 2:
        return values, "OFF left, ON right"
    if features <= MAPS_MAX:
        return values, f"{features} features"
    return values[:MAPS_MAX], f"the first {MAPS_MAX} of {features} features"


def _square(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """``values`` (N,) as one near-square tile (1, rows, columns), -1 in unused places."""
    columns = math.ceil(math.sqrt(len(values)))
    tile = np.full((1, math.ceil(len(values) / columns), columns), -1, np.int64)
    tile.reshape(-1)[: len(values)] = values
    return tile


def _tiled(tiles: Indices) -> Indices:
    """The tiles in a grid, a power of two in each row, with a line of one pixel around each."""
    number, height, width = tiles.shape
    columns = _columns(number)
    rows = math.ceil(number / columns)
    factor = max(1, SIDE // columns // width)
    height, width = height * factor, width * factor
    image = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), GAP, np.uint8)
    for i in range(number):
        y, x = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        image[y : y + height, x : x + width] = tiles[i].repeat(factor, axis=0).repeat(factor, axis=1)
    return image


def _unit(summed: str) -> str:
    return "pixel" if summed else "neuron"


def _columns(tiles: int) -> int:
    """The number of tiles side by side: a power of two."""
    return 1 << ((tiles - 1).bit_length() + 1) // 2


def _pooled(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """(sums of square blocks of neurons, where a map (C, H, W) would be wider than `SIDE`, and a note about that)."""
    features, height, width = values.shape
    side = math.ceil(_columns(min(features, MAPS_MAX)) * width / SIDE)
    if side == 1 or (height, width) == (1, 1):
        return values, ""
    padded = np.pad(values, ((0, 0), (0, -height % side), (0, -width % side)))
    blocks = padded.reshape(features, padded.shape[1] // side, side, padded.shape[2] // side, side)
    sums: NDArray[np.int64] = blocks.sum(axis=(2, 4))
    return sums, f", summed over {side}×{side} neurons"


def _picture(image: Indices, ramps: tuple[tuple[tuple[int, ...], ...], ...], alt: str, caption: str) -> Picture:
    light, dark = (_png(image, palette(ramp, gap)) for ramp, gap in zip(ramps, (LIGHT_GAP, DARK_GAP), strict=True))
    return Picture(light, dark, image.shape[1], image.shape[0], alt, caption)


def palette(ramp: tuple[tuple[int, ...], ...], gap: tuple[int, ...]) -> Palette:
    """`LEVELS` colours, linear between the colours of ``ramp``, and the colour of the lines between tiles."""
    stops = np.array(ramp, float)
    place = np.linspace(0, len(stops) - 1, LEVELS)
    levels = np.stack([np.interp(place, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=-1)
    return np.concatenate([np.rint(levels).astype(np.uint8), np.array([gap], np.uint8)])


def _png(image: Indices, colours: Palette) -> str:
    from PIL import Image

    drawn = Image.fromarray(image)
    drawn.putpalette(colours.reshape(-1).tolist())
    stream = io.BytesIO()
    drawn.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
