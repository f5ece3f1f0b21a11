"""The strip of headline figures at the top of the page."""

from __future__ import annotations

from dataclasses import dataclass

from deploytool.base.numbers import figure, percent, whole
from deploytool.chip.chips import Chip
from deploytool.ir.program import Program
from deploytool.ir.score import score_of
from deploytool.ir.verdict import Difference, Rung, Verdict
from deploytool.report.differences import main_difference
from deploytool.report.results import from_silicon


@dataclass(frozen=True)
class Headline:
    """One figure: its name, its value (None if it is not known), what it is of, and the section with more."""

    title: str
    value: str | None
    note: str
    section: str


def headlines(verdict: Verdict, program: Program, chip: Chip | None) -> list[Headline]:
    """The figures of the run that is nearest to silicon, each with what it is of."""
    shown = next(iter(from_silicon(verdict)), None)
    return [
        _score(shown),
        _difference(main_difference(verdict)),
        _cores(program, chip),
        _energy(shown),
        _latency(shown),
        _busiest(shown),
    ]


def _score(rung: Rung | None) -> Headline:
    score = None if rung is None else score_of(rung)
    if rung is None or score is None or score.text is None:
        return Headline("Accuracy", None, "no sample has a label", "accuracy")
    return Headline(score.title, score.text, f"{rung.name}, {score.note}", "accuracy")


def _difference(pair: Difference | None) -> Headline:
    if pair is None:
        return Headline("Spike Difference", None, "there is only one run", "difference")
    note = f"output, pooled: {pair.test} from {pair.reference}"
    if pair.output.pooled is None:
        return Headline("Spike Difference", None, f"undefined: {pair.reference} has no output spike", "difference")
    return Headline("Spike Difference", percent(pair.output.pooled), note, "difference")


def _cores(program: Program, chip: Chip | None) -> Headline:
    if chip is None:
        return Headline("Cores", None, "the program is for the simulator", "cores")
    return Headline("Cores", f"{len(program.core_of)} of {len(chip.cores)}", chip.title, "cores")


def _energy(run: Rung | None) -> Headline:
    if run is None or run.energy_uj is None:
        return Headline("Energy", None, "estimated for runs on a chip only", "cost")
    power = "" if run.power_mw is None else f", {figure(run.power_mw)}\u202fmW"
    return Headline("Energy", f"{figure(run.energy_uj)}\u202fµJ", f"per sample, an estimate{power}", "cost")


def _latency(run: Rung | None) -> Headline:
    if run is not None and run.regression is not None:
        return Headline("Latency", None, "values are read in windows, without a decision", "cost")
    decided = run.decision if run else None
    if decided is None or decided.median_ms is None:
        return Headline("Latency", None, "no run measured the time to a decision", "cost")
    note = f"first event to decision, median of {whole(decided.samples)}"
    return Headline("Latency", f"{figure(decided.median_ms)}\u202fms", note, "cost")


def _busiest(run: Rung | None) -> Headline:
    if run is None or not run.load:
        return Headline("Busiest core", None, "no run recorded its load", "cost")
    most = max(run.load, key=lambda load: load.busiest_ms_synops_per_s)
    place = most.part if most.core is None else f"core {most.core}, {most.part}"
    value = f"{figure(most.busiest_ms_synops_per_s / 1e6)}\u202fM/s"
    return Headline(
        "Busiest core" if most.core is not None else "Busiest layer",
        value,
        f"SynOps in its busiest ms: {place}",
        "cost",
    )
