"""Why two runs part in one sample: the first difference of every layer, its reason, and a sentence about the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from deploytool.ir.divergence import Explained, LayerDivergence, Place, Reason
from deploytool.ir.program import CLOCK, INPUT
from deploytool.ir.traffic import Traffic
from deploytool.validate.divergence.causes import Cause, Question, Run, cause
from deploytool.validate.divergence.counterfactual import Case, Property, case_of, explaining
from deploytool.validate.divergence.first import Stepped, first_difference, first_step_difference
from deploytool.validate.divergence.history import At, Replay, comparable
from deploytool.validate.divergence.sides import Sides, sides_of
from deploytool.validate.divergence.words import apart, joined, moment, neuron, number, sentence, times

UNLIKE: Final = "the layer has another map, or gets spikes from other layers"
LEAKS: Final = "the neuron leaks, and what a time step makes of its leak is not compared event by event"
ORDER_OF_LAYER: Final = "the layer gets the events of this microsecond in another order"
OTHER_STEPS: Final = "both runs are clock-driven, in time steps that differ; compare each with an event-driven run"


@dataclass(frozen=True)
class Difference:
    """The first difference of a layer: neuron ``at`` at ``t_us``, and its ``spikes`` in both runs.

    ``step`` is the time step if one of the runs is clock-driven, counted from 0; ``t_us`` is then its beginning. If
    only the order of spikes differs, ``others`` fired in the same microsecond too.
    """

    at: At
    t_us: int
    step: int | None
    spikes: tuple[int, int]
    others: tuple[At, ...] = ()


def explain(runs: tuple[Run, Run], sample: int, replay: Replay) -> Explained:
    """Where and why ``runs`` (reference, test) of sample number ``sample`` part.

    The first divergence is the earliest in time, and of those at one time, or in one time step, the one in the earliest
    layer.
    """
    one, other = (run.traffic for run in runs)
    layers: dict[str, LayerDivergence] = {}
    sides: dict[str, Sides] = {}
    for layer in (name for name in one.program.parts if name in other.program.parts):
        layers[layer], seen = _layer(runs, layer, layers, replay)
        if seen is not None:
            sides[layer] = seen
    parted = [each for each in layers.values() if each.t_us is not None]
    unknown = [each for each in layers.values() if each.reasons and each.t_us is None]
    first = min(parted, key=lambda each: each.step or each.t_us or 0) if parted else None
    shown = sides.get(first.layer) if first else None
    if first is not None and shown is not None:
        says = _sentence(runs, sample, first, shown)
        if unknown:
            says += f" Not compared: {unknown[0].layer}, because {unknown[0].says}."
    elif unknown:
        says = f"{_sample(one, sample)}: not known why the runs differ in {unknown[0].layer}: {unknown[0].says}."
    else:
        says = f"{_sample(one, sample)}: {_both(runs)} fire the same spikes in every layer."
    values = () if shown is None else shown.as_values(runs)
    return Explained(sample, one.stream.name, one.stream.label, says, first, values, tuple(layers.values()))


def _layer(
    runs: tuple[Run, Run], layer: str, earlier: Mapping[str, LayerDivergence], replay: Replay
) -> tuple[LayerDivergence, Sides | None]:
    """The first difference of ``layer`` with its reason, and what its neuron did; None where it is not known."""
    one, other = (run.traffic for run in runs)
    totals = len(one.spikes[layer]), len(other.spikes[layer])
    unknown = _unlike(one, other, layer)
    if unknown:
        same = totals == totals[::-1] and not totals[0]
        reasons: tuple[Reason, ...] = () if same else ("not known",)
        return LayerDivergence(layer, None, None, None, (0, 0), totals, reasons, (), unknown), None
    first = _first(one, other, layer)
    if first is None:
        return LayerDivergence(layer, None, None, None, (0, 0), totals, (), (), ""), None
    whole, cut, sets = _explained(one, other, layer, first, replay)
    spikes = _spikes(cut, first)
    sides = sides_of(whole, first.t_us, first.step, spikes)
    causes, *others = (
        [cause(Question(runs, whole, cut, properties, earlier), each) for each in properties] for properties in sets
    )
    if causes:
        says = _why(runs, cut, causes, others)
    else:
        causes = [Cause("order of simultaneous events", ORDER_OF_LAYER, "")]
        says = f"order of simultaneous events. {sentence(ORDER_OF_LAYER)}."
    return LayerDivergence(
        layer=layer,
        t_us=sides.t_us,
        step=None if first.step is None else first.step + 1,
        neuron=Place(layer, *whole.subjects[0].at),
        spikes=spikes,
        totals=totals,
        reasons=tuple(each.reason for each in causes),
        alternatives=tuple(tuple(each.reason for each in other) for other in others),
        says=says,
    ), sides


def _explained(
    one: Traffic, other: Traffic, layer: str, first: Difference, replay: Replay
) -> tuple[Case, Case, tuple[tuple[Property, ...], ...]]:
    """(the neuron over the whole sample, until the difference, the sets of properties that explain it).

    If only the order of spikes differs, it is the first neuron of this microsecond that fires at another event.
    """
    for at in (first.at, *first.others):
        whole = case_of(one, other, layer, at, replay)
        cut = whole.until(first.t_us) if first.step is None else whole.until_step(first.step)
        if (sets := explaining(cut)) != ((),):
            return whole, cut, sets
    whole = case_of(one, other, layer, first.at, replay)
    return whole, whole.until(first.t_us), ((),)


def _spikes(cut: Case, first: Difference) -> tuple[int, int]:
    """How often the neuron of ``cut`` fired in both runs, in the microsecond or the time step of the difference."""
    if first.step is not None:
        return first.spikes
    one, other = (sum(each.spikes for each in moments if each.t_us == first.t_us) for moments in cut.runs)
    return one, other


def _unlike(one: Traffic, other: Traffic, layer: str) -> str:
    """Why the two runs of ``layer`` cannot be compared event by event; empty if they can."""
    if not comparable(one.program, other.program, layer):
        return UNLIKE
    clocked = [traffic for traffic in (one, other) if traffic.starts_us is not None]
    if clocked and any(
        traffic.program.layers[part].neurons.leak is not None
        for traffic in (one, other)
        for part in traffic.program.parts[layer]
    ):
        return LEAKS
    starts = [traffic.starts_us for traffic in (one, other) if traffic.starts_us is not None]
    if len(starts) > 1 and not np.array_equal(starts[0], starts[1]):
        return OTHER_STEPS
    return ""


def _first(one: Traffic, other: Traffic, layer: str) -> Difference | None:
    """The first difference of ``layer``."""
    clocked = next((traffic for traffic in (one, other) if traffic.starts_us is not None), None)
    if clocked is None or clocked.starts_us is None:
        event = first_difference(one.spikes[layer], other.spikes[layer])
        return None if event is None else Difference(event.at, event.t_us, None, event.spikes, event.others)
    step = first_step_difference(_stepped(one, clocked, layer), _stepped(other, clocked, layer))
    return None if step is None else Difference(step.at, int(clocked.starts_us[step.step]), step.step, step.spikes)


def _stepped(traffic: Traffic, clocked: Traffic, layer: str) -> Stepped:
    """The spikes of ``layer`` with the time steps of ``clocked``."""
    spikes, causes = traffic.spikes[layer], traffic.causes[layer]
    if traffic.starts_us is not None:
        return Stepped(spikes, causes, ordered=False)
    return Stepped(spikes, traffic.steps(causes, spikes["t"], clocked), ordered=True)


def _why(runs: tuple[Run, Run], case: Case, causes: Sequence[Cause], others: Sequence[Sequence[Cause]]) -> str:
    """The reason in words, and what was tried to find it; ``others`` would explain the difference too."""
    donor, receiver = runs[case.donor].called, runs[case.receiver].called
    reasons = " together with ".join(each.reason for each in causes)
    said = ". ".join(sentence(each.says) for each in causes)
    given = joined([each.exchanged for each in causes])
    if len(causes) == 1:
        tried = f"with the {given} of {donor}, this neuron of {receiver} fires as in {donor}"
    else:
        tried = f"only with the {given} of {donor} together does this neuron of {receiver} fire as in {donor}"
    also = "".join(
        f" The {joined([each.exchanged for each in other])} of {donor}{' together' if len(other) > 1 else ' alone'} "
        "would have the same effect."
        for other in others
    )
    return f"{reasons}. {said}. Checked by replay: {tried}.{also}"


def _sample(traffic: Traffic, sample: int) -> str:
    label = f", label {traffic.stream.label}" if traffic.stream.label >= 0 else ""
    return f"Sample {sample} ({traffic.stream.name}{label})"


def _both(runs: tuple[Run, Run]) -> str:
    return f"{runs[0].introduced} and {runs[1].introduced}"


def _sentence(runs: tuple[Run, Run], sample: int, first: LayerDivergence, sides: Sides) -> str:
    """The whole explanation of the first divergence of a sample."""
    one, place = runs[0].traffic, sides.case.subjects[0].at
    a, b = runs[0].called, runs[1].called
    where = f"{first.layer} at {moment(sides.t_us)}"
    if first.step is not None:
        where += f" (time step {first.step})"
    who = neuron(Place(first.layer, *place), one.program.map_of(first.layer)).removesuffix(f" of {first.layer}")
    did = [f"fires {times(n)}" if n else "does not fire" for n in first.spikes]
    second = did[1].removeprefix("fires ") if first.spikes[0] else did[1]
    fires = f"{did[0]} in {a} and {second} in {b}"
    if first.spikes[0] == first.spikes[1]:
        fires = f"fires {times(first.spikes[0])} in both, but in another place in the order of spikes"
    return (
        f"{_sample(one, sample)}: {_both(runs)} first differ in {where}: {who} {fires}. "
        f"{_membranes(runs, first, sides)}Reason: {first.says}"
    )


def _membranes(runs: tuple[Run, Run], first: LayerDivergence, sides: Sides) -> str:
    """V before and after the event in both runs, in words; nothing for time steps, whose reason has them."""
    if first.step is not None:
        return ""
    values = sides.as_values(runs)
    taken, absent = [], ""
    for run, side in zip(runs, values, strict=True):
        if side.before is None or side.after is None:
            absent = f"; {run.called} does not get this event, and its V is {number(side.before or 0.0)}"
        else:
            before, after, threshold = apart(side.before, side.after, side.threshold)
            taken.append(f"from {before} to {after} in {run.called} (threshold {threshold})")
    for run, side in zip(runs, values, strict=True):
        if side.at is not None:
            source = side.trace[side.at].source
            if source is None:
                return f"Between two inputs, V goes {' and '.join(taken)}{absent}. "
            what = {INPUT: "event", CLOCK: "tick"}.get(source.layer, "spike")
            who = neuron(source, run.traffic.program.map_of(source.layer))
            return f"The {what} of {who} takes V {' and '.join(taken)}{absent}. "
    return ""
