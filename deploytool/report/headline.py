"""The strip of headline figures at the top of the page."""

from __future__ import annotations

from dataclasses import dataclass

from deploytool.base.numbers import figure, percent, whole
from deploytool.chip.chips import Chip
from deploytool.ir.program import Program
from deploytool.ir.verdict import Difference, Rung, Verdict
from deploytool.report.results import EVENT_DRIVEN, from_silicon


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
        _accuracy(shown),
        _difference(main_difference(verdict)),
        _cores(program, chip),
        _energy(shown),
        _latency(shown),
        Headline("Busiest core", None, "not known", "cost"),
    ]


def main_difference(verdict: Verdict) -> Difference | None:
    """The difference between the deployed and the trained network, or the closest to it that was measured."""
    pairs = {(pair.reference, pair.test): pair for pair in verdict.differences}
    wanted = [(deployed, other) for deployed in EVENT_DRIVEN for other in ("torch", "quantised", "simulator")]
    return next((pairs[pair] for pair in wanted if pair in pairs), next(iter(verdict.differences), None))


def _accuracy(rung: Rung | None) -> Headline:
    if rung is None or not rung.labelled:
        return Headline("Accuracy", None, "no sample has a label", "accuracy")
    note = f"{rung.name}, {whole(rung.right)} of {whole(rung.labelled)} right"
    return Headline("Accuracy", percent(rung.accuracy), note, "accuracy")


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


def _energy(rung: Rung | None) -> Headline:
    return Headline("Energy", None, (rung and rung.energy) or "not estimated", "cost")


def _latency(rung: Rung | None) -> Headline:
    decided = rung.decision if rung else None
    if decided is None or decided.median_ms is None:
        return Headline("Latency", None, "the single spikes were not kept", "cost")
    note = f"first event to decision, median of {whole(decided.samples)}"
    return Headline("Latency", f"{figure(decided.median_ms)}\u202fms", note, "cost")
