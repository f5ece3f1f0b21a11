"""The sweep: how accuracy, spike difference and synaptic updates change with one quantity, for one or more networks.

A verdict answers for one setting of a network; a sweep is the same judgement over many settings. Shares, differences
and intervals are in %; `deploytool.ir.sweep_file.UNITS` has the unit of every figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from deploytool.ir.recording import RungName
from deploytool.ir.verdict import TYPED

QuantityName: TypeAlias = Literal[
    "time_steps", "events", "until_ms", "bits", "order", "drop", "threshold", "weights", "margin", "entropy", "spikes"
]
How: TypeAlias = Literal["run", "cut", "perturb", "exit"]
"""How a curve gets its points: ``run`` is a run for each value; ``cut`` one event-driven run, as if it had ended there;
``perturb`` perturbed runs; ``exit`` the same run as for ``cut``, which ends where an early-exit policy decides."""


@dataclass(frozen=True)
class Quantity:
    """Something that a sweep varies. ``label`` names it on an axis, with its ``unit`` ("" if it is a number).

    Values are from ``least`` to ``most``, whole numbers if ``whole``. ``log``: a logarithmic axis suits it.
    """

    name: QuantityName
    how: How
    label: str
    unit: str
    whole: bool
    least: float
    most: float
    log: bool

    @property
    def axis(self) -> str:
        """The label of an axis, with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


_LARGE: Final = 1e9
QUANTITIES: Final[Mapping[QuantityName, Quantity]] = MappingProxyType(
    {
        quantity.name: quantity
        for quantity in (
            Quantity("time_steps", "run", "time steps per sample", "", True, 1, 1e6, True),
            Quantity("events", "cut", "input events", "", True, 1, _LARGE, True),
            Quantity("until_ms", "cut", "duration of the input", "ms", False, 0.001, _LARGE, True),
            Quantity("bits", "run", "bits per weight", "", True, 2, 8, False),
            Quantity("order", "perturb", "window of reordering", "µs", False, 0, _LARGE, False),
            Quantity("drop", "perturb", "input events lost", "%", False, 0, 100, False),
            Quantity("threshold", "perturb", "mismatch of thresholds, sd", "%", False, 0, _LARGE, False),
            Quantity("weights", "perturb", "mismatch of weights, sd", "%", False, 0, _LARGE, False),
            Quantity("margin", "exit", "lead of the first class", "spikes", True, 1, _LARGE, True),
            Quantity("entropy", "exit", "entropy of the classes", "", False, 0, 1, False),
            Quantity("spikes", "exit", "spikes of the first class", "", True, 1, _LARGE, True),
        )
    }
)


@dataclass(frozen=True, config=TYPED)
class Point:
    """The figures of a network at one ``value`` of the quantity.

    ``accuracy`` is of ``right`` out of ``labelled`` samples, with its ``interval_95``; with ``draws`` of a perturbation
    it is the mean over them, ``right`` is rounded, and ``range`` is the (lowest, highest) accuracy of a draw.
    ``spike_difference`` (pooled) and ``spike_difference_mean`` are at the output, from the reference of the curve;
    ``agreement`` is the share of samples with the reference's prediction. ``synops``, ``events`` and ``ms`` are the
    means over samples of synaptic updates, input events used, and input time used. None stands for not known.
    ``recordings`` are the names of the artifacts that the point was computed from.
    """

    value: int | float
    samples: int
    labelled: int
    right: int
    accuracy: float | None
    interval_95: tuple[float, float] | None
    silent: int | None
    spike_difference: float | None
    spike_difference_mean: float | None
    agreement: float | None
    synops: float | None
    events: float | None
    ms: float | None
    recordings: tuple[str, ...]
    draws: int = 1
    range: tuple[float, float] | None = None


@dataclass(frozen=True, config=TYPED)
class Curve:
    """The ``points`` of one network, in ascending order of their values.

    ``model`` is its name in legends, ``source`` the artifact that it came from, ``on`` what ran it. ``reference`` says
    what the spike difference is from.
    """

    model: str
    source: str
    quantity: QuantityName
    on: RungName
    reference: str
    points: Annotated[tuple[Point, ...], Field(min_length=1)]

    @property
    def of(self) -> Quantity:
        """The quantity that is varied."""
        return QUANTITIES[self.quantity]

    def band(self, point: Point) -> tuple[float, float] | None:
        """(low, high) around the accuracy of ``point``: of the draws of a perturbation, or else the interval."""
        if self.of.how == "perturb" and point.accuracy is not None:
            return point.range or (point.accuracy, point.accuracy)
        return point.interval_95


Curves: TypeAlias = Annotated[tuple[Curve, ...], Field(min_length=1)]


@dataclass(frozen=True, config=TYPED)
class Sweep:
    """One or more ``curves`` over the same ``samples`` of ``data``."""

    data: str
    samples: int
    curves: Curves

    @property
    def bands(self) -> str:
        """What the bands around accuracies cover."""
        return "lowest and highest of the draws" if self.varying("perturb") else "95 % intervals (Wilson)"

    def varying(self, how: How) -> tuple[Curve, ...]:
        """The curves whose points come about in the way ``how``."""
        return tuple(curve for curve in self.curves if curve.of.how == how)
