"""Assumptions of the emulator that a chip may not keep, as records: each says what is changed, and how.

Every change is of one kind: to the program, to the input events, or to the order in which the spikes that one event
causes reach the next layer. To add an assumption, add a record to `assumptions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.machine import threads
from deploytool.chip.chips import chip_named, chip_names
from deploytool.ir.events import EventStream
from deploytool.ir.neurons import Neurons
from deploytool.ir.program import SIMULATOR, STATE, Program
from deploytool.ir.target import Watch
from deploytool.run.jobs.arrival import Order, ordered, run_in_order
from deploytool.run.jobs.perturbation import Perturbation, perturb_stream
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target

ChangeStream: TypeAlias = Callable[[EventStream, int, int], EventStream]
"""f(stream, number of the sample, number of the draw)."""

DECIMATIONS: Final = (2, 4, 8)
"""The intervals that are tried for a chip without documented ones."""
TIES_US: Final = 0.5
"""Less than the resolution of times: such a local reordering only exchanges events of the same time."""


@dataclass(frozen=True)
class Assumption:
    """A change to how the emulator computes: to the ``program``, the ``stream``, or the ``order`` after each event.

    ``id`` names it in tables, ``says`` is its sentence. If it is ``random``, it has to be drawn several times.
    """

    id: str
    says: str
    program: Program | None = None
    stream: ChangeStream | None = None
    order: Order | None = None
    random: bool = False


def assumptions(program: Program) -> Iterator[Assumption]:
    """The assumptions that can be tried on ``program``, a program in integers; the loss of events is `dropped`."""
    for name, says, change in _NEURONS:
        yield Assumption(name, says, with_neurons(program, change))
    yield Assumption("ties reversed", "Events of the same time are processed in reverse.", stream=_ties(_backwards))
    yield Assumption("ties by row", "Events of the same time are processed row by row.", stream=_ties(_by_row))
    yield Assumption(
        "ties shuffled", "Events of the same time are processed in any order.", stream=_swapped(TIES_US), random=True
    )
    for within in (8, 64):
        says = f"Events less than {within} us apart may be exchanged."
        yield Assumption(f"within {within} us", says, stream=_swapped(within), random=True)
    if in_a_chain(program):
        yield Assumption("order reversed", "The spikes that one event causes leave in reverse order.", order=_reverse)
        says = "The spikes that one event causes leave feature by feature."
        yield Assumption("feature order", says, order=_by_feature)
        says = "The spikes that one event causes leave in any order."
        yield Assumption("order shuffled", says, order=_at_random, random=True)
    chip = chip_named(program.chip) if program.chip in chip_names() else None
    for layer in program.parts:
        for interval in (chip.decimations if chip else ()) or DECIMATIONS:
            if program.layers[program.parts[layer][0]].decimation != interval:
                says = f"The output decimator of {layer} lets one in {interval} spikes pass."
                yield Assumption(f"decimator {interval} {layer}", says, _decimated(program, layer, interval))
        if program.layers[program.parts[layer][0]].decimation != 1:
            says = f"The output decimator of {layer} is off."
            yield Assumption(f"decimator off {layer}", says, _decimated(program, layer, 1))


def dropped(rate: float) -> Assumption:
    """Each input event is lost with probability ``rate``."""

    def drop(stream: EventStream, sample: int, draw: int) -> EventStream:
        return perturb_stream(stream, Perturbation(drop=rate, repeat=draw), sample)

    says = f"{100 * rate:.3g} % of the input events are lost, at random."
    return Assumption("events lost", says, stream=drop, random=True)


def counts_with(
    assumption: Assumption | None, program: Program, streams: Sequence[EventStream], layers: Sequence[str], draws: int
) -> NDArray[np.int32]:
    """(D, S, N): spikes of every neuron of ``layers``, one layer after the other, with ``assumption`` (None: as it is).

    D is the number of ``draws``, or 1 if nothing is random in the assumption.
    """
    draws = draws if assumption is not None and assumption.random else 1
    sent = [(stream, number, draw) for draw in range(draws) for number, stream in enumerate(streams)]
    change = assumption and assumption.stream
    changed = [change(*each) if change else each[0] for each in sent]
    found: Mapping[str, Array]
    if assumption is not None and assumption.order is not None:
        found = run_in_order(program, changed, assumption.order)
    else:
        other = program if assumption is None or assumption.program is None else assumption.program
        free = replace(other, chip=SIMULATOR, core_of={})
        found = make_target(SIMULATOR, Options(threads=threads())).run(free, changed, Watch(tuple(layers))).counts
    counts = np.concatenate([np.asarray(found[layer], np.int32).reshape(len(sent), -1) for layer in layers], axis=1)
    return counts.reshape(draws, len(streams), -1)


def in_a_chain(program: Program) -> bool:
    """Whether each layer takes the spikes of the one before it alone, so that their order can be changed."""
    sources = ["input", *program.layers]
    return all(
        layer.part_of is None and layer.decimation == 1 and [name for name, _ in program.feeders(each)] == [source]
        for (each, layer), source in zip(program.layers.items(), sources, strict=False)
    ) and not (program.biased or program.delayed)


def with_neurons(program: Program, change: Callable[[Neurons], Neurons]) -> Program:
    """``program`` with ``change`` applied to the neurons of every layer."""
    layers = {name: replace(layer, neurons=change(layer.neurons)) for name, layer in program.layers.items()}
    return program.with_layers(layers)


def _strictly(neurons: Neurons) -> Neurons:
    """Neurons that fire at V > threshold: in integers, those whose state is V - 1, and that subtract the threshold.

    Neurons that are set to 0 fire at V >= threshold + 1 instead, which is the same.
    """
    if neurons.reset == "zero":
        return _raised(1)(neurons)
    floor = None if neurons.floor is None else max(neurons.floor - 1, STATE.min)
    return replace(neurons, v_init=neurons.v_init - 1, floor=floor)


def _raised(by: int) -> Callable[[Neurons], Neurons]:
    return lambda neurons: replace(neurons, threshold=np.clip(np.asarray(neurons.threshold) + by, 1, STATE.max))


def _other_reset(neurons: Neurons) -> Neurons:
    return replace(neurons, reset="zero" if neurons.reset == "subtract" else "subtract")


def _other_floor(neurons: Neurons) -> Neurons:
    off = neurons.floor is None or neurons.floor <= STATE.min
    return replace(neurons, floor=-int(np.max(neurons.threshold)) if off else STATE.min)


def _other_number(neurons: Neurons) -> Neurons:
    return replace(neurons, at_most_one=not neurons.at_most_one)


_NEURONS: Final[tuple[tuple[str, str, Callable[[Neurons], Neurons]], ...]] = (
    ("fires above", "A neuron fires at V > threshold, not at V = threshold.", _strictly),
    ("threshold + 1", "Thresholds are larger by 1.", _raised(1)),
    ("threshold - 1", "Thresholds are smaller by 1.", _raised(-1)),
    ("other reset", "A spike sets V to 0 where it subtracts the threshold now, or the reverse.", _other_reset),
    ("other floor", "V has no floor where it has one now; otherwise the floor is -threshold.", _other_floor),
    (
        "other number",
        "A neuron fires as often as V allows where it fires once per update now, or the reverse.",
        _other_number,
    ),
)


def _decimated(program: Program, layer: str, interval: int) -> Program:
    changed = {part: replace(program.layers[part], decimation=interval) for part in program.parts[layer]}
    return program.with_layers({**program.layers, **changed})


def _ties(order: Order) -> ChangeStream:
    def change(stream: EventStream, sample: int, draw: int) -> EventStream:
        return replace(stream, events=ordered(stream.events, order, np.random.default_rng((draw, sample))))

    return change


def _swapped(within_us: float) -> ChangeStream:
    return lambda stream, sample, draw: perturb_stream(stream, Perturbation(order=within_us, repeat=draw), sample)


def _backwards(events: Array, _: np.random.Generator) -> tuple[Array, ...]:
    return (-np.arange(len(events)),)


def _by_row(events: Array, _: np.random.Generator) -> tuple[Array, ...]:
    return events["y"], events["x"], events["c"]


def _reverse(events: Array, _: np.random.Generator) -> tuple[Array, ...]:
    return tuple(-events[axis].astype(np.int64) for axis in ("y", "x", "c"))


def _by_feature(events: Array, _: np.random.Generator) -> tuple[Array, ...]:
    return events["c"], events["y"], events["x"]


def _at_random(events: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    return (rng.random(len(events)),)
