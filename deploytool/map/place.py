"""Placement: the best assignment of layers to cores, or the reason why none exists.

Among all assignments in which every layer fits its core, the best has, in this order of priority,

    1. the fewest biased layers on cores with parallel lanes, where the leak is reported to be unreliable;
    2. the fewest SynOps of first layers, which get the input's events, on cores without parallel lanes;
    3. the fewest SynOps on the busiest core without parallel lanes;
    4. the least memory, in bytes, in the cores used;
    5. the lowest core numbers, layer by layer.

SynOps are measured values if given, and otherwise `predicted_synops`, an estimate from sizes.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from deploytool.base.errors import FitError, InputError, UsageError
from deploytool.chip.chips import Chip
from deploytool.chip.memory import cores_for, memories_text
from deploytool.ir.geometry import targets
from deploytool.ir.program import Program
from deploytool.ir.spec.rule import Violation

Cost: TypeAlias = tuple[float, ...]
NO_PINS: Final[Mapping[str, int]] = {}
NO_SYNOPS: Final[Mapping[str, float]] = {}


def place(
    program: Program, chip: Chip, pins: Mapping[str, int] = NO_PINS, synops: Mapping[str, float] = NO_SYNOPS
) -> Program:
    """``program`` placed on the cores of ``chip``; ``pins`` {layer: core} fixes the cores of some layers.

    ``synops`` {logical layer: measured SynOps per sample} replaces the estimate; give all layers or none.
    Raises FitError naming the smallest set of layers that fits fewer cores than it has layers, UsageError for a pin
    with an unknown layer or core, and InputError if only some layers have ``synops``.
    """
    if (reason := misfit(program, chip, pins)) is not None:
        raise reason.error(FitError)
    loads = _loads(program, synops)
    first = {route.to for route in program.input_routes}
    choices = _choices(program, chip, pins)

    def quiet(name: str, core: int) -> float:
        return 0 if chip.cores[core].parallel_lanes else loads[name]

    def avoided(name: str, core: int) -> Cost:
        biased = program.layers[name].bias is not None
        return int(chip.cores[core].parallel_lanes and biased), quiet(name, core) * (name in first)

    def memory(_name: str, core: int) -> Cost:
        return (chip.cores[core].kernel_words + 2 * chip.cores[core].neuron_words,)

    *_, busiest = _best(choices, avoided, quiet)[0]
    below = {name: tuple(core for core in cores if quiet(name, core) <= busiest) for name, cores in choices.items()}
    _, cores = _best(below, lambda name, core: (*avoided(name, core), *memory(name, core)))
    return replace(program, chip=chip.name, core_of=dict(zip(program.layers, cores, strict=True)))


def predicted_synops(program: Program, name: str) -> int:
    """Estimated SynOps: updates in layer ``name`` if every neuron (or pixel) that feeds it fires once."""
    total = 0
    for source, route in program.feeders(name):
        synapses = program.layers[name].synapses[route.synapses]
        into = synapses.in_shape
        features, *sizes = program.map_of(source)
        rows, columns = (
            sum(len(targets(synapses, axis, at // pool)) for at in range(size) if at // pool < into[1 + axis])
            for axis, (size, pool) in enumerate(zip(sizes, route.pool, strict=True))
        )
        total += features * rows * columns * synapses.out_shape[0] // synapses.groups
    return total


def misfit(program: Program, chip: Chip, pins: Mapping[str, int] = NO_PINS) -> Violation | None:
    """The smallest set of layers that fits fewer cores than it has layers; None if all can be placed.

    By Hall's theorem an assignment exists exactly when there is no such set. A set that violates it fits only the
    cores of some set, so it is enough to count, for every set of cores, the layers that fit no other.
    """
    choices = _choices(program, chip, pins)
    if assignable(choices.values()):
        return None
    for size in range(len(chip.cores) + 1):
        for cores in itertools.combinations(range(len(chip.cores)), size):
            confined = [name for name, fits in choices.items() if set(fits) <= set(cores)]
            if len(confined) > size:
                return _reason(program, chip, confined[: size + 1], cores, pins)
    raise AssertionError("no assignment, and no set of layers that explains it")


def assignable(choices: Collection[tuple[int, ...]]) -> bool:
    """Whether each of ``choices`` can get its own core, by augmenting paths."""
    listed, holder = list(choices), dict[int, int]()

    def find(layer: int, tried: set[int]) -> bool:
        for core in listed[layer]:
            if core not in tried:
                tried.add(core)
                if core not in holder or find(holder[core], tried):
                    holder[core] = layer
                    return True
        return False

    return all(find(layer, set()) for layer in range(len(listed)))


def _choices(program: Program, chip: Chip, pins: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """{layer: cores it may go on}."""
    problems = []
    for name, core in pins.items():
        if name not in program.layers:
            problems.append(
                UsageError(f"pin {name}={core}", f"no layer {name!r}", f"one of {', '.join(program.layers)}")
            )
        elif not 0 <= core < len(chip.cores):
            problems.append(UsageError(f"pin {name}={core}", f"no core {core}", f"0..{len(chip.cores) - 1}"))
    if problems:
        raise UsageError.together(problems)
    fits = {name: cores_for(layer.memory(), chip) for name, layer in program.layers.items()}
    return {name: tuple(core for core in cores if pins.get(name, core) == core) for name, cores in fits.items()}


def _loads(program: Program, synops: Mapping[str, float]) -> dict[str, float]:
    """{layer: SynOps}. A part has its share of its logical layer's; a relay has 0."""
    if not synops:
        return {name: predicted_synops(program, name) for name in program.layers}
    logical = {name: program.place_in(name)[0] for name in program.layers}
    missing = [name for name, layer in program.layers.items() if layer.sources and logical[name] not in synops]
    if missing:
        raise InputError("measured SynOps", f"none for {', '.join(missing)}", "values for every layer, or for none")
    return {
        name: synops.get(logical[name], 0) * layer.out_shape[0] / program.map_of(logical[name])[0]
        for name, layer in program.layers.items()
    }


def _best(
    choices: Mapping[str, tuple[int, ...]],
    costs: Callable[[str, int], Cost],
    peak: Callable[[str, int], float] = lambda _name, _core: 0,
) -> tuple[Cost, tuple[int, ...]]:
    """(cost, cores) of the best assignment: the smallest sums of ``costs``, then the lowest ``peak``, then cores.

    Found over sets of used cores: for each, the best way to put the first layers on it. This is exact because a
    better beginning stays better: sums come before the peak, and nothing that adds up comes behind it.
    """
    reached: dict[frozenset[int], tuple[Cost, tuple[int, ...]]] = {frozenset(): ((), ())}
    for name, allowed in choices.items():
        here = {core: (*costs(name, core), peak(name, core)) for core in allowed}
        extended: dict[frozenset[int], tuple[Cost, tuple[int, ...]]] = {}
        for used, (cost, cores) in reached.items():
            for core in here.keys() - used:
                way = (_joined(cost, here[core]), (*cores, core))
                extended[used | {core}] = min(extended.get(used | {core}, way), way)
        reached = extended
    return min(reached.values())


def _joined(so_far: Cost, more: Cost) -> Cost:
    if not so_far:
        return more
    return (*map(operator.add, so_far[:-1], more[:-1]), max(so_far[-1], more[-1]))


def _listed(cores: tuple[int, ...]) -> str:
    return f"core{'s' * (len(cores) > 1)} {', '.join(map(str, cores))}"


def _reason(
    program: Program, chip: Chip, names: list[str], cores: tuple[int, ...], pins: Mapping[str, int]
) -> Violation:
    needs = [
        f"{name} takes {program.layers[name].memory().words}"
        + (f" and is pinned to core {pins[name]}" if name in pins else "")
        for name in names
    ]
    if cores:
        allowed = f"one core each, but together they fit only {_listed(cores)} ({memories_text(chip, cores)})"
    else:
        allowed = f"a core that holds it ({memories_text(chip, range(len(chip.cores)))})"
    hint = "Make one of them smaller, or free a pinned core." if pins else "Make one of them smaller."
    return Violation("placement", tuple(names), "; ".join(needs), allowed, hint)
