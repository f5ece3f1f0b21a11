"""What is thought of runs: their differences, whether they meet the requirements, and the page about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.recording import Recording
from deploytool.api.result import Result, artifact_in, counted, frame
from deploytool.api.words import speaks_python
from deploytool.base.errors import UsageError
from deploytool.base.numbers import figure
from deploytool.ir.verdict import Difference
from deploytool.ir.verdict import Verdict as Judged
from deploytool.ir.verdict_file import as_json, load_verdict
from deploytool.recipe import ValidateSection, asked
from deploytool.store.cache import StageCache
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.stored.replay import DataPlace

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Result):
    """The verdict on runs; ``value`` is the `deploytool.ir.verdict.Verdict`.

    ``samples`` are those of the runs, as far as this process knows them.
    """

    samples: tuple[SampleSource, ...] = ()

    @cached_property
    def value(self) -> Judged:
        """The verdict: rungs, differences, checks."""
        return load_verdict(self.artifact.path)

    @property
    def passed(self) -> bool | None:
        """True if all checks passed, False if one failed, None if none was asked for, or some were not run."""
        return self.value.passed

    def as_json(self) -> dict[str, Any]:
        """What `deploytool validate --json` says."""
        return as_json(self.value)

    def rows(self) -> list[dict[str, Any]]:
        """One row per check: its limit, its value, and whether it passed."""
        return [asdict(check) for check in self.value.checks]

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def _repr_html_(self) -> str:
        from deploytool.report.views.tables import verdict_view

        return verdict_view(repr(self), self.value)

    def _facts(self) -> Iterable[str]:
        yield " and ".join(self.value.ran)
        yield self.value.sentence.rstrip(".")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Verdict):
    """Two runs side by side: a verdict without checks, of one difference."""

    @property
    def difference(self) -> Difference:
        """The `deploytool.ir.verdict.Difference` of the test from the reference."""
        return self.value.differences[0]

    @property
    def agreement(self) -> float | None:
        """The share of samples with the same answer, in %; None if a run has no output."""
        return self.difference.agreement

    @property
    def why(self) -> tuple[str, ...]:
        """Why they differ: a sentence for each sample that was explained."""
        details = self.difference.details
        return () if details is None else tuple(each.says for each in details.explained)

    @property
    def not_explained(self) -> str:
        """Why samples could not be explained; empty if nothing is missing."""
        details = self.difference.details
        return "" if details is None else details.not_explained

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer, the output first: spike differences in %, equal neurons."""
        pair = self.difference
        return [
            {
                "layer": name,
                "pooled_percent": each.pooled,
                "mean_percent": each.mean,
                "equal_counts_percent": each.exact_counts,
                "equal_neurons": each.exact_neurons,
                "neurons": each.neurons,
            }
            for name, each in [("output", pair.output), *((layer.layer, layer) for layer in pair.layers)]
        ]

    def _repr_html_(self) -> str:
        from deploytool.report.views.tables import comparison_view

        return comparison_view(repr(self), self.difference)

    def _facts(self) -> Iterable[str]:
        pair = self.difference
        yield f"{pair.test} against {pair.reference}"
        yield counted(pair.output.samples, "sample")
        if pair.agreement is not None:
            yield f"{figure(pair.agreement)} % the same answer"
        if pair.output.pooled is not None:
            yield f"spike difference {figure(pair.output.pooled)} %"


@speaks_python
def compare(
    reference: Recording,
    test: Recording,
    *,
    explain: bool | int | str | Sequence[int | str] = False,
    q_per_ms: float = 0.1,
    tau_ms: float = 10.0,
) -> Comparison:
    """How far ``test`` is from ``reference``, two recordings of the same samples, as `deploytool compare` says it.

    ``explain`` also runs samples again and says where and why the runs part: True for the three that differ most, a
    number for as many, or the names or numbers of samples in a list. ``q_per_ms`` and ``tau_ms`` are the cost of a
    shift and the time constant of the distances of Victor and Purpura, and of van Rossum.

    Raises InputError for recordings of other samples, UsageError for two that are one.
    """
    from deploytool.validate.comparison import TimeScale
    from deploytool.workflow import compare as comparing

    cache, (one, other), held = _together((reference, test), "compare")
    number, chosen = _explained(explain, comparing.SAMPLES)
    wanted = bool(number or chosen)
    asked_for = comparing.Asked(wanted, number, chosen, DataPlace(held=held), TimeScale(q_per_ms, tau_ms))
    return Comparison(comparing.compare(cache, one, other, asked_for), cache, held)


def _explained(explain: bool | int | str | Sequence[int | str], usual: int) -> tuple[int, tuple[str, ...]]:
    """(number of samples, names or numbers of samples) to explain."""
    if isinstance(explain, bool):
        return usual * explain, ()
    if isinstance(explain, int):
        return explain, ()
    named = [explain] if isinstance(explain, str) else explain
    return 0, tuple(map(str, named))


@speaks_python
def validate(recordings: Sequence[Recording], against: Recording | None = None, **limits: Any) -> Verdict:
    """The verdict on ``recordings`` of the same samples, as `deploytool validate` gives it.

    ``against`` is the recording that all others are compared with; by default the pairs of the ladder are. ``limits``
    are the keys of [validate] in a recipe, such as ``min_accuracy=95``, ``max_spike_difference=5``.

    Raises UsageError for a limit that does not exist, InputError for recordings of other samples.
    """
    from deploytool.workflow.validate import validate as judge

    given = [recordings] if isinstance(recordings, Recording) else list(recordings)
    cache, paths, held = _together((*given, *([] if against is None else [against])), "validate")
    named = paths[: len(given)]
    reference = None if against is None else paths[-1]
    return Verdict(judge(cache, named, asked(ValidateSection, **limits), reference), cache, held)


def _together(
    recordings: Sequence[Recording], where: str
) -> tuple[StageCache, tuple[str, ...], tuple[SampleSource, ...]]:
    """(the store of the first, the folder of each in it, the samples that are known) of ``recordings``."""
    for each in recordings:
        if not isinstance(each, Recording):
            raise UsageError(where, f"a {type(each).__name__}", "a Recording, as emulate and simulate make them")
    if not recordings:
        raise UsageError(where, "no recording", "at least one")
    cache = recordings[0].cache
    paths = tuple(str(artifact_in(each, cache).path) for each in recordings)
    held = {each.samples.fingerprint: each.samples for each in recordings if each.samples is not None}
    return cache, paths, tuple(held.values())


@speaks_python
def report(verdict: Verdict, output: str | Path, *, samples: int = 4, title: str | None = None) -> Path:
    """The path of the page about ``verdict`` and everything behind it, written to ``output``.

    ``output`` is an .html file, or a folder that gets all files of the report. ``samples`` is the number of samples
    shown, ``title`` that of the page.

    Raises UsageError for anything but a Verdict or a Comparison, ArtifactError where it cannot be written.
    """
    from deploytool.workflow.report import report_to

    if not isinstance(verdict, Verdict):
        raise UsageError("report", f"a {type(verdict).__name__}", "a Verdict or a Comparison")
    place = DataPlace(held=verdict.samples)
    return report_to(Path(output), verdict.cache, str(verdict.path), samples, title, place)[1]
