"""The open question about the layer of the sensor, which only a board has: does it crop first, or pool first?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import numpy as np

from deploytool.ir.events import Events, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.selftest.networks import alone, events, layer

ASKS: Final = "Does the layer of the sensor crop before or after it pools?"
ASSUMED: Final = "it pools first"
ORIGIN: Final = 8
SEEN: Final = {(True, False): "it pools first", (False, True): "it crops first"}


@runtime_checkable
class Sensing(Protocol):
    """A device with a layer of the sensor: `deploytool.run.targets.board.Board`."""

    def through_sensor(self, program: Program, origin: tuple[int, int], stream: EventStream) -> Mapping[str, Events]:
        """{layer: spikes} for pixels that are sent to the layer of the sensor, which crops from ``origin`` (y, x)."""
        ...


def asked(chip: str, core: int) -> Program:
    """An identity of 8x8 neurons behind a sensor pooled by 2; the crop begins at `ORIGIN` in both axes."""
    identity = alone(chip, core, layer(np.eye(2).reshape(2, 2, 1, 1) * 5, (2, 8, 8), (2, 8, 8)))
    return Program(
        chip=chip,
        arithmetic=identity.arithmetic,
        input_shape=(2, 16, 16),
        input_routes=(Route("layer", (2, 2)),),
        layers=identity.layers,
        outputs=identity.outputs,
        graph_digest="",
        core_of=identity.core_of,
    )


def answer(device: Sensing, chip: str, core: int) -> str:
    """What ``device`` answers: one pixel that is inside only if the crop counts pooled pixels, one only if not."""
    pooled, cropped = np.array([[1, 2 * ORIGIN + 6, 2 * ORIGIN + 6]]), np.array([[1, ORIGIN + 1, ORIGIN + 1]])
    found = [
        len(device.through_sensor(asked(chip, core), (ORIGIN, ORIGIN), events((2, 128, 128), place))["layer"]) > 0
        for place in (pooled, cropped)
    ]
    return SEEN.get((found[0], found[1]), f"neither: spikes {found}")
