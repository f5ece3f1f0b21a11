"""Where and why two runs part: the first spike that only one of them fired, in which neuron, and the reason.

Potentials and weights are in real units, ``integer / scale``, so that a float32 run and an integer run are on one axis.
These are pydantic dataclasses, part of the verdict's file.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

TYPED: Final = ConfigDict(extra="forbid", strict=True, defer_build=True)

Reason: TypeAlias = Literal[
    "order of simultaneous events",
    "lost input event",
    "added input event",
    "shifted input event",
    "upstream",
    "rounding of weights",
    "different weights",
    "rounding of the threshold",
    "different threshold",
    "perturbation of weights",
    "perturbation of the threshold",
    "initial potential",
    "floor",
    "reset",
    "at_most_one",
    "leak",
    "saturation",
    "float32 rounding",
    "sum over a time step",
    "floor once per time step",
    "spikes per time step",
    "reset once per time step",
    "not known",
]
"""Why two runs part. "upstream": a layer before this one parted earlier, and its spikes make the difference. The last
but one group is about time steps: a clock-driven run sees only the sum of a step."""


@dataclass(frozen=True, config=TYPED)
class Place:
    """A neuron, or a pixel of the input: its layer (or "input"), feature, row and column."""

    layer: str
    feature: int
    row: int
    column: int


@dataclass(frozen=True, config=TYPED)
class Update:
    """One update of the membrane of a neuron, at ``t_us``.

    ``source`` sent the input event of this ``weight``; it is None for a threshold crossing between events, and for a
    time step, whose ``weight`` is the sum over all its events. V is ``before`` the input and ``after`` it, then the
    neuron fires ``spikes`` times, and V is ``end``.
    """

    t_us: int
    source: Place | None
    weight: float
    before: float
    after: float
    spikes: int
    end: float


@dataclass(frozen=True, config=TYPED)
class Side:
    """One run at the divergence: the name of the ``run``, and what the neuron did there.

    ``spikes`` is how often the neuron fired at the event, ``before`` and ``after`` are V around the event, before
    firing. ``trace`` holds the updates of the neuron around the event, in order, and ``at`` is the index of the event
    in it (None if this run did not get the event). ``raster`` holds the spikes (t_us, feature, row, column) of the
    layer around the event, in order. ``threshold`` and ``floor`` are those of the neuron; no floor is None.
    """

    run: str
    spikes: int
    before: float | None
    after: float | None
    threshold: float
    floor: float | None
    trace: tuple[Update, ...]
    at: int | None
    raster: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, config=TYPED)
class LayerDivergence:
    """The first difference of one layer in one sample, or none: then ``t_us`` and ``neuron`` are None.

    ``step`` is the time step, counted from 1, if one of the runs is clock-driven. ``spikes`` are (reference, test) at
    the event, and ``totals`` those of the layer in the whole sample. ``reasons`` are all that is needed together to
    explain the difference, the first first; each of the ``alternatives`` would explain it too. ``says`` is the reason
    in words.
    """

    layer: str
    t_us: int | None
    step: int | None
    neuron: Place | None
    spikes: tuple[int, int]
    totals: tuple[int, int]
    reasons: tuple[Reason, ...]
    alternatives: tuple[tuple[Reason, ...], ...]
    says: str


@dataclass(frozen=True, config=TYPED)
class Explained:
    """Why two runs part in one sample: ``says`` is the sentence.

    ``first`` is the first divergence of the sample, in time and then from the input on; None if no layer differs.
    ``sides`` (reference, test) show its neuron in both runs; they are empty if no layer differs, or if the runs could
    not be run again. ``layers`` has every layer that both runs have, in order.
    """

    sample: int
    name: str
    label: int
    says: str
    first: LayerDivergence | None
    sides: tuple[Side, ...]
    layers: tuple[LayerDivergence, ...]
