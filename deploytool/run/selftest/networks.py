"""Small programs that the self-test puts on chosen cores, and events for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from deploytool.base.arrays import Array, Shape
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.neurons import Neurons
from deploytool.ir.program import Layer, Program, Route, Synapses

SPACING_US: Final = 1000
"""The time between two events where spikes are compared event by event: the chip has long answered the first one."""
THRESHOLD: Final = 5
SHORT: Final = frozenset({"stride", "padding"})


def layer(weights: ArrayLike, in_shape: Shape, out_shape: Shape, routes: Sequence[Route] = (), **changes: Any) -> Layer:
    """A layer of int8 ``weights`` with threshold 5 and floor -1, unless ``changes`` to its parts say otherwise."""
    synapses = {key: changes.pop(key) for key in SHORT & changes.keys()}
    neurons = {"threshold": THRESHOLD, "floor": -1} | changes
    return Layer(
        (Synapses(np.asarray(weights, np.int8), in_shape, out_shape, **synapses),), Neurons(**neurons), tuple(routes)
    )


def program(
    chip: str, layers: Mapping[str, Layer], cores: Sequence[int], enters: Sequence[Route], last: Sequence[str] = ()
) -> Program:
    """A program of ``layers`` on ``cores``, in their order; the output is ``last``, or the last layer."""
    names = list(layers)
    return Program(
        chip=chip,
        arithmetic="int8/int16",
        input_shape=layers[enters[0].to].single.in_shape,
        input_routes=tuple(enters),
        layers=layers,
        outputs=tuple(last or names[-1:]),
        graph_digest="",
        core_of=dict(zip(names, cores, strict=True)),
    )


def alone(chip: str, core: int, only: Layer) -> Program:
    """One layer on ``core``."""
    return program(chip, {"layer": only}, [core], [Route("layer")])


def another(core: int, *taken: int) -> int:
    """A core other than ``core`` and ``taken``, from the last one down: those compute without parallel lanes."""
    return next(i for i in range(8, -1, -1) if i not in (core, *taken))


def events(shape: Shape, places: Array, spacing_us: int = SPACING_US, name: str = "known answer") -> EventStream:
    """Events at ``places`` (N, 3), each (feature, y, x), ``spacing_us`` apart."""
    places = np.asarray(places).reshape(-1, 3)
    rows = np.zeros(len(places), EVENT)
    rows["t"] = spacing_us * np.arange(len(places))
    for axis, values in zip("cyx", places.T, strict=True):
        rows[axis] = values
    return EventStream(rows, shape, spacing_us * len(places) + 1, name=name)


def random_events(shape: Shape, number: int, seed: int, spacing_us: int = SPACING_US) -> EventStream:
    """``number`` events at random places of ``shape``."""
    rng = np.random.default_rng(seed)
    return events(shape, np.stack([rng.integers(0, size, number) for size in shape], axis=1), spacing_us)


def every_place(shape: Shape, spacing_us: int) -> EventStream:
    """One event at every place of ``shape``, row by row."""
    c, y, x = (axis.ravel() for axis in np.meshgrid(*map(np.arange, shape), indexing="ij"))
    return events(shape, np.stack([c, y, x], axis=1), spacing_us)
