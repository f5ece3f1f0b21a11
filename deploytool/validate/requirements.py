"""The requirements on a deployment: one record per key of [validate].

Every requirement is on one run, or on a pair of runs. By default that is the run or the pair that its record names.
Where a person names the pairs, with ``--against``, it is every run or every pair that it can be asked of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from deploytool.ir.recording import EVENT_DRIVEN, ON_CHIP, RUNGS, RungName
from deploytool.ir.verdict import CoreLoad, Difference, LayerDifference, Rung

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Two runs and the difference between their spikes."""

    reference: Rung
    test: Rung
    difference: Difference


@dataclass(frozen=True)
class Requirement(Generic[T]):
    """What one key of [validate] asks of a run or a pair: a limit on ``measure``, which is None if not known.

    ``title`` says what is measured, on "{test}" or between "{reference}" and "{test}"; ``lacks`` why it may not be
    known. The value must be ``at_least`` the limit, or at most. ``where`` says where it was found. The sentence states
    the value ``in_millions``, or as it is.
    """

    id: str
    title: str
    unit: str
    measure: Callable[[T], float | None]
    lacks: str
    at_least: bool = False
    where: Callable[[T], str] = lambda _: ""
    in_millions: bool = False


@dataclass(frozen=True)
class OfRun(Requirement[Rung]):
    """A requirement on a run, by default on ``rung``. It can be asked of the rungs ``on``.

    ``of_values``: its unit is that of the values that the run reads.
    """

    rung: RungName = "emulator"
    on: tuple[RungName, ...] = RUNGS
    of_values: bool = False


@dataclass(frozen=True)
class OfPair(Requirement[Pair]):
    """A requirement on a pair of runs, by default (reference, test) ``rungs``."""

    rungs: tuple[RungName, RungName] = ("emulator", "simulator")


def _accuracy_drop(pair: Pair) -> float | None:
    before, after = pair.reference.accuracy, pair.test.accuracy
    return None if before is None or after is None else before - after


def _rmse(run: Rung) -> float | None:
    return run.regression.rmse if run.regression else None


def _r2(run: Rung) -> float | None:
    return run.regression.r2 if run.regression else None


def _rmse_rise(pair: Pair) -> float | None:
    """By how much the error of the test is larger, in % of that of the reference."""
    before, after = _rmse(pair.reference), _rmse(pair.test)
    return None if not before or after is None else 100 * (after / before - 1)


def _worst_layer(pair: Pair) -> LayerDifference | None:
    """The layer with the largest difference; None if a layer cannot be compared, because none may go unchecked."""
    layers = pair.difference.layers
    if pair.difference.not_compared or not layers or any(layer.pooled is None for layer in layers):
        return None
    return max(layers, key=lambda layer: layer.pooled or 0)


def _worst_pooled(pair: Pair) -> float | None:
    return worst.pooled if (worst := _worst_layer(pair)) else None


def _worst_name(pair: Pair) -> str:
    return worst.layer if (worst := _worst_layer(pair)) else ""


def _decided(run: Rung) -> str:
    return f"{run.decision.samples:,} of {run.samples:,} samples decide" if run.decision else ""


def _median_ms(run: Rung) -> float | None:
    return run.decision.median_ms if run.decision else None


def _p95_ms(run: Rung) -> float | None:
    return run.decision.p95_ms if run.decision else None


def _busiest(run: Rung) -> CoreLoad | None:
    return max(run.load, key=lambda load: load.busiest_ms_synops_per_s, default=None)


def _busiest_synops(run: Rung) -> float | None:
    return busiest.busiest_ms_synops_per_s if (busiest := _busiest(run)) else None


def _busiest_place(run: Rung) -> str:
    busiest = _busiest(run)
    if busiest is None:
        return ""
    return busiest.part if busiest.core is None else f"core {busiest.core}, {busiest.part}"


def _cores(run: Rung) -> int | None:
    return len({load.core for load in run.load if load.core is not None}) or None


_NO_TARGETS: Final = "no values are read, or no sample has targets"
_NO_VOICES: Final = "no voices are separated"
_NO_LABELS: Final = "no sample has a label"
_NO_SPIKES: Final = "the reference has no spikes at the output"

REQUIREMENTS: Final[tuple[OfRun | OfPair, ...]] = (
    OfRun("min_accuracy", "Accuracy on the {test}", "%", lambda run: run.accuracy, _NO_LABELS, at_least=True),
    OfPair(
        "max_accuracy_drop",
        "Accuracy lost from {reference} to {test}",
        "points",
        _accuracy_drop,
        _NO_LABELS,
        rungs=("torch", "emulator"),
    ),
    OfRun("max_rmse", "Root mean square error on the {test}", "", _rmse, _NO_TARGETS, of_values=True),
    OfRun("min_r2", "R2 on the {test}", "", _r2, _NO_TARGETS, at_least=True),
    OfPair(
        "max_rmse_rise",
        "Rise of the root mean square error from {reference} to {test}",
        "%",
        _rmse_rise,
        _NO_TARGETS,
        rungs=("torch", "emulator"),
    ),
    OfRun(
        "min_si_sdr_db",
        "SI-SDR of the voices separated by the {test} network",
        "dB",
        lambda run: run.separation.ran.si_sdr_db if run.separation else None,
        _NO_VOICES,
        at_least=True,
        rung="torch",
    ),
    OfRun(
        "min_si_sdr_improvement_db",
        "SI-SDR of these voices above that of the mixtures, on the {test} network",
        "dB",
        lambda run: run.separation.ran.si_sdr_improvement_db if run.separation else None,
        _NO_VOICES,
        at_least=True,
        rung="torch",
    ),
    OfPair(
        "max_spike_difference",
        "Pooled spike difference at the output between {reference} and {test}",
        "%",
        lambda pair: pair.difference.output.pooled,
        _NO_SPIKES,
    ),
    OfPair(
        "max_mean_spike_difference",
        "Mean spike difference at the output between {reference} and {test}",
        "%",
        lambda pair: pair.difference.output.mean,
        _NO_SPIKES,
    ),
    OfPair(
        "max_layer_spike_difference",
        "Largest pooled spike difference of a layer between {reference} and {test}",
        "%",
        _worst_pooled,
        "a layer is not recorded by both, or the reference has no spikes in it",
        where=_worst_name,
    ),
    OfPair(
        "min_agreement",
        "Samples with the same prediction on {reference} and {test}",
        "%",
        lambda pair: pair.difference.agreement,
        "the output is not recorded by both",
        at_least=True,
        rungs=("torch", "emulator"),
    ),
    OfRun(
        "max_synops",
        "Synaptic updates per sample (mean) on the {test}",
        "updates",
        lambda run: run.synops,
        "synaptic updates are not recorded",
    ),
    OfRun(
        "max_core_synops_per_s",
        "Load of the busiest core in its busiest millisecond on the {test}",
        "SynOps/s",
        _busiest_synops,
        "the run did not record the load of cores",
        on=EVENT_DRIVEN,
        where=_busiest_place,
        in_millions=True,
    ),
    OfRun(
        "max_energy_uj",
        "Estimated energy per sample on the {test}",
        "uJ",
        lambda run: run.energy_uj,
        "durations or synaptic updates are not recorded",
        on=ON_CHIP,
    ),
    OfRun(
        "max_decision_ms",
        "Median time to the decision on the {test}",
        "ms",
        _median_ms,
        "no sample has a decision",
        on=EVENT_DRIVEN,
        where=_decided,
    ),
    OfRun(
        "max_decision_p95_ms",
        "95th percentile of the time to the decision on the {test}",
        "ms",
        _p95_ms,
        "no sample has a decision",
        on=EVENT_DRIVEN,
        where=_decided,
    ),
    OfRun("max_cores", "Cores used on the {test}", "cores", _cores, "the run did not record its cores", on=ON_CHIP),
)
"""Every limit of [validate], by its name there."""
