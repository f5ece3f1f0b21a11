"""The verdict: what recordings say of each other, rung by rung, and whether that is what was asked for.

Shares, differences and intervals are in %; `deploytool.ir.verdict_file.UNITS` has the unit of every figure. The
dataclasses are pydantic's, which refuse a value of another type: in this program, and in a file that is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self, TypeAlias

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

Status: TypeAlias = Literal["run", "not run"]
Potential: TypeAlias = Literal["measured", "bound", "not known"]
"""What the lowest and highest V of a layer are."""

TYPED: Final = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=TYPED)
class Check:
    """One requirement. ``passed`` None means not run, which is never the same as passed.

    ``value`` is what was found (None when not run), ``limit`` what was asked for, both in ``unit``.
    """

    id: str
    value: float | None
    limit: float
    unit: str
    passed: bool | None
    says: str


@dataclass(frozen=True, config=TYPED)
class LayerFigures:
    """What a recording says of one layer; what it cannot tell is None.

    ``spikes_per_sample`` are those of all neurons together, ``rate_hz`` is per neuron and second of the samples'
    duration; ``synops_per_sample`` are synaptic updates. ``silent_neurons`` have no spike in any sample,
    ``saturated_neurons`` fire on nearly every update (`deploytool.validate.activity.SATURATED`). ``v_lowest`` and
    ``v_highest`` are before reset, in int16, measured or a bound, as ``v_is`` says. ``weights_above`` weights are
    larger than the threshold.
    """

    layer: str
    neurons: int
    spikes_per_sample: float | None
    synops_per_sample: float | None
    rate_hz: float | None
    silent_neurons: int
    saturated_neurons: int | None
    v_lowest: int | None
    v_highest: int | None
    v_is: Potential
    weights_above: int | None


@dataclass(frozen=True, config=TYPED)
class Decision:
    """Time from the first input event to the decision, over ``samples`` samples; None where there is no sample."""

    samples: int
    median_ms: float | None
    min_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, config=TYPED)
class Rung:
    """A rung of the ladder, and what its recording says; a rung that was not run has None for every figure.

    ``right`` of ``labelled`` samples are predicted right, ``silent`` samples have no output spike. ``interval_95`` is
    (low, high) of the accuracy. ``synops`` are synaptic updates per sample and ``spikes`` {layer: spikes per sample},
    both means. ``confusion`` has a row per label and a column per prediction, the last of which is "no spike".
    """

    name: str
    status: Status
    samples: int
    accuracy: float | None
    interval_95: tuple[float, float] | None
    right: int | None
    labelled: int | None
    silent: int | None
    synops: float | None
    spikes: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...] | None
    layers: tuple[LayerFigures, ...]
    decision: Decision | None
    energy: str | None
    perturbation: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spikes", MappingProxyType(dict(self.spikes)))

    @classmethod
    def not_run(cls, name: str) -> Self:
        """The rung called ``name``, of which there is no recording."""
        empty = ("name", "status", "samples", "spikes", "layers")
        unknown = {field.name: None for field in dataclasses.fields(cls) if field.name not in empty}
        return cls(name, "not run", samples=0, spikes={}, layers=(), **unknown)


@dataclass(frozen=True, config=TYPED)
class SpikeDifference:
    """How far spike counts are from reference counts; `deploytool.validate.metrics.spike_difference` has the equations.

    ``pooled`` and ``mean`` are in %, None where the reference has no spike. ``exact_neurons`` of ``neurons`` have
    equal counts on every one of ``samples`` samples; ``exact_counts`` is the share, in %, of all counts, one per
    neuron and sample, that are equal (None without samples).
    """

    pooled: float | None
    mean: float | None
    exact_neurons: int
    neurons: int
    exact_counts: float | None
    samples: int


@dataclass(frozen=True, config=TYPED)
class LayerDifference(SpikeDifference):
    """The spike difference of one layer."""

    layer: str


@dataclass(frozen=True, config=TYPED)
class Difference:
    """How far the rung ``test`` is from the rung ``reference``; ``says`` is what the difference is made of.

    ``agreement`` is the share of samples with the same prediction. Layers that only one of the two recorded are
    ``not_compared``.
    """

    reference: str
    test: str
    says: str
    agreement: float | None
    output: SpikeDifference
    layers: tuple[LayerDifference, ...]
    not_compared: tuple[str, ...]


@dataclass(frozen=True, config=TYPED)
class Verdict:
    """Every rung of the ladder, the differences between those that were run, and the checks that were asked for."""

    rungs: tuple[Rung, ...]
    differences: tuple[Difference, ...]
    checks: tuple[Check, ...]

    @property
    def ran(self) -> Mapping[str, Rung]:
        """{name: rung} of the rungs that were run, in the order of the ladder."""
        return {rung.name: rung for rung in self.rungs if rung.status == "run"}

    @property
    def passed(self) -> bool | None:
        """True when all that was asked for was run and holds, False when a check failed, None otherwise.

        None says that nothing was asked for, or that a check was not run and those that were run hold.
        """
        if any(check.passed is False for check in self.checks):
            return False
        return True if self.checks and all(check.passed for check in self.checks) else None

    @property
    def negative(self) -> bool:
        """True when something was asked for and not shown to hold: a check that failed, or was not run."""
        return bool(self.checks) and not self.passed

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        total = len(self.checks)
        failed = sum(check.passed is False for check in self.checks)
        not_run = sum(check.passed is None for check in self.checks)
        if not total:
            return "No check was asked for."
        if not failed and not not_run:
            return "The one check holds." if total == 1 else f"All {total} checks hold."
        parts = [f"{failed} failed"] * bool(failed) + [f"{not_run} not run"] * bool(not_run)
        return f"Of {total} check{'s' * (total > 1)}, {' and '.join(parts)}."
