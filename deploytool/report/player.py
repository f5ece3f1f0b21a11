"""The data of the sample player: which neurons fired in which frame, for every layer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Shape
from deploytool.ir.events import places_of

FRAMES: Final = 100
SPIKES_MAX: Final = 60_000
"""More distinct (frame, neuron) pairs of a layer than this are left out, and the player says so."""


def player_data(layers: Mapping[str, tuple[Shape, NDArray[Any]]], outputs: Sequence[str], duration_us: int) -> str:
    """JSON of {layer: (map (C, H, W), spikes)} for page.js: "frames", "ms", "layers" in order, and "outputs" by name.

    "spikes" of a layer is base64 of little-endian uint32, frame * neurons + place, with one entry per spike; null if
    there are more than `SPIKES_MAX`.
    """
    found = [
        {"name": name, "shape": list(shape), "total": len(spikes), "spikes": _packed(spikes, shape, duration_us)}
        for name, (shape, spikes) in layers.items()
    ]
    data = {"frames": FRAMES, "ms": duration_us / 1000, "layers": found, "outputs": list(outputs)}
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _packed(spikes: NDArray[Any], shape: Shape, duration_us: int) -> str | None:
    if len(spikes) > SPIKES_MAX:
        return None
    neurons = int(np.prod(shape))
    frames = np.minimum(spikes["t"].astype(np.int64) * FRAMES // max(duration_us, 1), FRAMES - 1)
    packed = np.sort(frames * neurons + places_of(spikes, shape)).astype("<u4")
    return base64.b64encode(packed.tobytes()).decode("ascii")
