"""The transforms that [data] asks for, in their order, and the map of what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from deploytool.base.arrays import Shape, format_shape
from deploytool.base.errors import RecipeError
from deploytool.data.transforms import Crop, Denoise, First, Merge, Pool, Refractory, Resize, Transform
from deploytool.ir.events import EventStream
from deploytool.recipe import DataSection

OF_EVENTS: Final = ("denoise_ms", "refractory_ms", "crop", "pool", "polarity")
"""The keys of [data] that only event sets have."""
OF_RECORDINGS: Final = ("sensor", "split", "test_share", "window_ms", "stride_ms")
"""The keys of [data] that only the set of a user's own recordings has."""
OF_SPEECH: Final = ("rate_hz", "length", "mixtures")
"""The keys of [data] that only sets of speech have."""
NOT_OF_SPEECH: Final = (
    *OF_EVENTS,
    *(key for key in OF_RECORDINGS if key != "test_share"),
    "coding",
    "levels",
    "bins",
    "size",
)
"""The keys of [data] that sets of speech lack."""


def event_steps(spec: DataSection, shape: Shape) -> tuple[Transform, ...]:
    """The transforms of every sample on a map of ``shape`` (C, H, W), in order: filters, then the map, then features.

    Raises RecipeError for a crop that is not inside the map, or a pooling that does not divide it.
    """
    steps: list[Transform] = []
    if spec.duration_ms is not None:
        steps.append(First(round(spec.duration_ms * 1000)))
    if spec.denoise_ms is not None:
        steps.append(Denoise(spec.denoise_ms))
    if spec.refractory_ms is not None:
        steps.append(Refractory(spec.refractory_ms))
    if spec.crop is not None:
        steps.append(_crop(spec.crop, shape))
    if spec.pool is not None:
        steps.append(_pool(spec.pool, map_after(steps, shape)))
    if spec.size is not None:
        steps.append(Resize(*spec.size))
    if spec.polarity == "merge":
        steps.append(Merge())
    return tuple(steps)


def map_after(steps: Sequence[Transform], shape: Shape) -> Shape:
    """The map (C, H, W) after ``steps`` of what was on a map of ``shape``."""
    for step in steps:
        shape = step.shape(shape)
    return shape


def applied(steps: Sequence[Transform], stream: EventStream) -> EventStream:
    """``stream`` after all ``steps``."""
    for step in steps:
        stream = step(stream)
    return stream


def given(spec: DataSection, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(key, its value in TOML) of those of ``keys`` that ``spec`` states."""
    for key in keys:
        if (value := getattr(spec, key)) != type(spec).model_fields[key].default:
            yield key, f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _crop(crop: Sequence[int], shape: Shape) -> Crop:
    """The crop of [height, width] around the middle, or [top, left, height, width], of a map of ``shape``."""
    _, rows, columns = shape
    *corner, height, width = crop
    top, left = corner or ((rows - height) // 2, (columns - width) // 2)
    if min(top, left) < 0 or top + height > rows or left + width > columns:
        need = f"rows and columns inside the map of {format_shape(shape)}"
        raise RecipeError("data.crop", f"found {list(crop)}", need)
    return Crop(top, left, height, width)


def _pool(side: int, shape: Shape) -> Pool:
    _, rows, columns = shape
    if rows % side or columns % side:
        need = f"a divisor of the sides of the map of {format_shape(shape)}"
        raise RecipeError("data.pool", f"found {side}", need, "Crop the map first.")
    return Pool(side)
