"""The verdict: results of every rung, differences between rungs, and the checks against the required limits.

Shares, differences and intervals are in %; `deploytool.ir.verdict_file.UNITS` has the unit of every figure. These are
pydantic dataclasses, which reject values of the wrong type, both in code and when a file is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, Self, TypeAlias

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from deploytool.ir.comparison import Details
from deploytool.ir.events import Bins
from deploytool.ir.program import Arithmetic
from deploytool.ir.recording import RungName

Status: TypeAlias = Literal["run", "not run"]
Potential: TypeAlias = Literal["measured", "bound", "not known"]
"""How the lowest and highest V of a layer are known."""

OF_VALUES: Final = MappingProxyType({"if_known": True})
"""Marks a field that is in a verdict's file only if it is not None."""

WINDOWS_MAX: Final = 200
"""With more windows in a sample, errors are not stated window by window."""

TYPED: Final = ConfigDict(extra="forbid", strict=True, defer_build=True)


def _require_together(**figures: object) -> None:
    """Raises ValueError unless all of ``figures`` are None, or none is."""
    if len({figure is None for figure in figures.values()}) > 1:
        missing = next(name for name, figure in figures.items() if figure is None)
        raise ValueError(f"{missing} is missing; need {', '.join(figures)} together, or none of them")


@dataclass(frozen=True, config=TYPED)
class Check:
    """One requirement. ``passed`` is None if it was not run; not run never counts as passed.

    ``value`` is the result (None if not run) and ``limit`` the requirement, both in ``unit``. ``test`` is the name of
    the run that the check is about, and ``reference`` that of the run it is compared with; None if there is none.
    """

    id: str
    value: float | None
    limit: float
    unit: str
    passed: bool | None
    says: str
    reference: str | None = None
    test: str | None = None


@dataclass(frozen=True, config=TYPED)
class LayerFigures:
    """Statistics of one layer, computed from a recording; unknown ones are None.

    ``spikes_per_sample`` is summed over all neurons; ``rate_hz`` is spikes per neuron and second of sample duration;
    ``synops_per_sample`` counts synaptic updates. ``silent_neurons`` never fire in any sample; ``saturated_neurons``
    fire on nearly every update (`deploytool.validate.activity.SATURATED`). ``v_lowest`` and ``v_highest`` are before
    reset, in int16; ``v_is`` tells whether they are measured or a bound. ``weights_above`` is the number of weights
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
    """Time from the first input event to the decision, over ``samples`` samples; None without samples.

    ``p95_ms`` is the 95th percentile, interpolated between samples; verdicts of older versions do not state it.
    """

    samples: int
    median_ms: float | None
    min_ms: float | None
    max_ms: float | None
    p95_ms: float | None = None

    def __post_init__(self) -> None:
        _require_together(median_ms=self.median_ms, min_ms=self.min_ms, max_ms=self.max_ms)


@dataclass(frozen=True, config=TYPED)
class CoreLoad:
    """Synaptic updates per second of ``part``, which is ``layer`` or a part of it, on ``core`` (None: not placed).

    `deploytool.validate.load.core_loads` defines the figures.
    """

    layer: str
    part: str
    core: int | None
    mean_synops_per_s: float | None
    busiest_ms_synops_per_s: float
    busiest_10ms_synops_per_s: float


@dataclass(frozen=True, config=TYPED)
class ErrorFigures:
    """Errors of values that were read: the root mean square ``rmse`` and the mean absolute ``mae``, in the unit of the
    values, and the coefficient of determination ``r2``, None if the targets do not vary."""

    rmse: float
    mae: float
    r2: float | None


@dataclass(frozen=True, config=TYPED)
class ValueErrors(ErrorFigures):
    """The errors of one ``value``."""

    value: str


@dataclass(frozen=True, config=TYPED)
class WindowErrors(ErrorFigures):
    """The errors in one ``window`` of the samples, from 0, of all values together."""

    window: int


@dataclass(frozen=True, config=TYPED)
class Regression(ErrorFigures):
    """Errors of all values, over ``windows`` windows whose targets are known, and by value and by window.

    `deploytool.validate.regression` defines them. ``by_window`` has at most `WINDOWS_MAX` entries.
    """

    unit: str
    windows: int
    values: tuple[ValueErrors, ...]
    by_window: tuple[WindowErrors, ...]


MIXTURE: Final = "mixture"
"""The name of the mixtures themselves among the networks of a `Separation`."""


@dataclass(frozen=True, config=TYPED)
class SeparationFigures:
    """How well one ``network`` separates voices, in means over all voices: SI-SDR, its improvement over the mixture and
    SDR in dB, and PESQ; the last two are None if they are not measured."""

    network: str
    si_sdr_db: float
    si_sdr_improvement_db: float
    sdr_db: float | None
    pesq: float | None


@dataclass(frozen=True, config=TYPED)
class Separation:
    """How well the voices of a number of ``mixtures`` at ``rate_hz`` are separated; ``says`` states what they are.

    ``networks`` are the `MIXTURE` itself, the network that ran, and those on the way to it. ``not_measured`` are
    sentences. `deploytool.validate.speech` defines the figures.
    """

    says: str
    rate_hz: int
    mixtures: int
    networks: tuple[SeparationFigures, ...]
    not_measured: tuple[str, ...]

    @property
    def ran(self) -> SeparationFigures:
        """The figures of the network that ran."""
        return next(each for each in self.networks if each.network != MIXTURE)


@dataclass(frozen=True, config=TYPED)
class ValueDifference:
    """The difference between the values that two runs read: root mean square ``rms``, mean ``bias`` of the test minus
    the reference, and the share of windows, in %, in which they are ``equal``, in ``unit``."""

    unit: str
    rms: float
    bias: float
    equal: float


@dataclass(frozen=True, config=TYPED)
class Rung:
    """A run and the figures of its recording; all figures are None for a rung that was not run.

    The runs of the ladder have the names of its rungs; any other run is a variant of a ``rung``, and its ``name`` says
    what differs. ``recording`` names the recording. ``arithmetic``, ``weight_bits``, ``time_steps``, ``bins`` and
    ``perturbation`` are those of its `deploytool.ir.recording.Setup`; None is not known, or none.
    ``right`` of ``labelled`` samples are classified correctly; ``silent`` samples have no output spike. ``interval_95``
    is (low, high) of the accuracy. ``synops`` is the mean number of synaptic updates per sample, ``spikes`` {layer:
    mean spikes per sample}. ``confusion`` has a row per label and a column per prediction; the last column is "no
    spike"; it is None with more than 1,000 classes. ``energy`` is a sentence, with ``energy_uj`` per sample and
    ``power_mw``; ``busiest_core`` is a sentence about ``load``. ``regression`` are the errors of a run whose output is
    values; None, and left out of the file, if it is classes. Then accuracy, confusion and all that concerns classes are
    None.
    ``separation`` is how well a run separates voices; None, and left out of the file, for any other task.
    """

    name: str
    rung: RungName
    status: Status
    recording: str | None
    arithmetic: Arithmetic | None
    weight_bits: int | None
    time_steps: int | None
    bins: Bins | None
    perturbation: str | None
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
    energy_uj: float | None = None
    power_mw: float | None = None
    load: tuple[CoreLoad, ...] = ()
    busiest_core: str | None = None
    regression: Regression | None = dataclasses.field(default=None, metadata=OF_VALUES)
    separation: Separation | None = dataclasses.field(default=None, metadata=OF_VALUES)

    def __post_init__(self) -> None:
        _require_together(accuracy=self.accuracy, interval_95=self.interval_95)
        if self.load and self.busiest_core is None:
            raise ValueError("busiest_core is missing; need a sentence about load")
        object.__setattr__(self, "spikes", MappingProxyType(dict(self.spikes)))

    @classmethod
    def not_run(cls, rung: RungName) -> Self:
        """``rung`` without a recording."""
        empty = ("name", "rung", "status", "samples", "spikes", "layers", "load")
        unknown: dict[str, Any] = {field.name: None for field in dataclasses.fields(cls) if field.name not in empty}
        return cls(rung, rung, "not run", samples=0, spikes={}, layers=(), **unknown)

    @property
    def is_variant(self) -> bool:
        """Whether it is another run than that of its rung."""
        return self.name != self.rung


@dataclass(frozen=True, config=TYPED)
class SpikeDifference:
    """Difference of spike counts from reference counts; `deploytool.validate.metrics.spike_difference` defines it.

    ``pooled`` and ``mean`` are in %, None if the reference has no spike. ``exact_neurons`` of ``neurons`` have equal
    counts on each of ``samples`` samples; ``exact_counts`` is the share, in %, of equal counts among all counts (one
    per neuron and sample; None without samples).
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
    """The difference of rung ``test`` from rung ``reference``; ``says`` explains its causes.

    ``agreement`` is the share of samples with the same prediction. ``not_compared`` are layers that only one of the two
    rungs recorded. ``details`` are what `compare` finds; a verdict of `validate` has none. ``values`` is the difference
    of the values that were read; None, and left out of the file, if the output is classes.
    """

    reference: str
    test: str
    says: str
    agreement: float | None
    output: SpikeDifference
    layers: tuple[LayerDifference, ...]
    not_compared: tuple[str, ...]
    details: Details | None = None
    values: ValueDifference | None = dataclasses.field(default=None, metadata=OF_VALUES)


@dataclass(frozen=True, config=TYPED)
class Verdict:
    """Every rung of the ladder and every variant, the differences between those that ran, and the requested checks.

    ``class_names`` are the names of the classes in the order of their numbers, None if they have none.
    """

    rungs: tuple[Rung, ...]
    differences: tuple[Difference, ...]
    checks: tuple[Check, ...]
    class_names: tuple[str, ...] | None = None

    @property
    def ran(self) -> Mapping[str, Rung]:
        """{name: rung} of the rungs that were run, in ladder order."""
        return {rung.name: rung for rung in self.rungs if rung.status == "run"}

    @property
    def passed(self) -> bool | None:
        """True if all checks were run and passed, False if a check failed, None otherwise.

        None means that there are no checks, or that some were not run and all others passed.
        """
        if any(check.passed is False for check in self.checks):
            return False
        return True if self.checks and all(check.passed for check in self.checks) else None

    @property
    def negative(self) -> bool:
        """True if a check failed or was not run."""
        return bool(self.checks) and not self.passed

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        total = len(self.checks)
        failed = sum(check.passed is False for check in self.checks)
        not_run = sum(check.passed is None for check in self.checks)
        if not total:
            return "No checks were requested."
        if not failed and not not_run:
            return "The only check passed." if total == 1 else f"All {total} checks passed."
        parts = [f"{failed} failed"] * bool(failed) + [f"{not_run} not run"] * bool(not_run)
        return f"Of {total} check{'s' * (total > 1)}, {' and '.join(parts)}."
