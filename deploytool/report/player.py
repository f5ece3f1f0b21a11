"""The data of the sample player: which neurons fired in which frame, for every layer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.base.printable import printable
from deploytool.ir.events import places_of

FRAMES: Final = 100
ROOM: Final = 220_000
"""The maximum number of (frame, neuron) pairs in a page, in all samples together."""


def player_data(
    layers: Mapping[str, tuple[Shape, NDArray[Any]]], outputs: Sequence[str], duration_us: int, room: int = ROOM
) -> str:
    """JSON of {layer: (map (C, H, W), spikes)} for page.js: "frames", "ms", "layers" in order, and "outputs" by name.

    "so_far" of a layer is the number of its spikes up to the end of each frame. "spikes" is base64 of little-endian
    uint32, frame * neurons + place: every spike of an output, and of another layer each neuron at most once in a frame.
    It is null for the layers that do not fit into ``room`` such numbers: outputs come first, then the smallest.
    """
    packed = {name: _packed(*layer, duration_us, name in outputs) for name, layer in layers.items()}
    kept: set[str] = set()
    for name in sorted(packed, key=lambda name: (name not in outputs, len(packed[name]))):
        if len(packed[name]) <= room:
            kept.add(name)
            room -= len(packed[name])
    found = [
        {
            "name": printable(name),
            "shape": list(shape),
            "so_far": _so_far(spikes, duration_us),
            "spikes": base64.b64encode(packed[name].tobytes()).decode("ascii") if name in kept else None,
        }
        for name, (shape, spikes) in layers.items()
    ]
    data = {"frames": FRAMES, "ms": duration_us / 1000, "layers": found, "outputs": list(map(printable, outputs))}
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _frames(spikes: NDArray[Any], duration_us: int) -> NDArray[np.int64]:
    """(N,): the frame of each spike."""
    frames: NDArray[np.int64] = np.minimum(spikes["t"].astype(np.int64) * FRAMES // max(duration_us, 1), FRAMES - 1)
    return frames


def _packed(shape: Shape, spikes: NDArray[Any], duration_us: int, every: bool) -> NDArray[np.uint32]:
    """Sorted frame * neurons + place of the spikes; without repetitions unless ``every`` spike counts."""
    numbers = _frames(spikes, duration_us) * int(np.prod(shape)) + places_of(spikes, shape)
    return (np.sort(numbers) if every else np.unique(numbers)).astype("<u4")


def _so_far(spikes: NDArray[Any], duration_us: int) -> list[int]:
    counts: list[int] = np.cumsum(np.bincount(_frames(spikes, duration_us), minlength=FRAMES)).tolist()
    return counts
