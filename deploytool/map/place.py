"""Which layer sits on which core: the best of all assignments, or the reason why there is none.

Among the assignments in which every layer fits its core the best has, in this order,

    1. the fewest biased layers on cores with parallel lanes, where the leak is reported to be unreliable;
    2. the fewest updates per input event in first layers on cores without parallel lanes;
    3. the least memory, in bytes, in the cores used;
    4. the lowest core numbers, layer by layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from deploytool.chip import Chip
from deploytool.errors import InputError
from deploytool.map.memory import cores_for
from deploytool.map.rules import Violation, memories, words
from deploytool.program import Layer, Program

Cost: TypeAlias = tuple[int, int, int]
NO_PINS: Final[Mapping[str, int]] = {}


def place(program: Program, chip: Chip, pins: Mapping[str, int] = NO_PINS) -> Program:
    """``program`` on the cores of ``chip``, with the layers in ``pins`` {layer: core} where they are pinned.

    Raises FitError naming the smallest set of layers that together fit fewer cores than they are, InputError for
    a pin of no layer or to no core.
    """
    if (reason := misfit(program, chip, pins)) is not None:
        raise reason.error()
    return replace(program, chip=chip.name, core_of=_best(program, chip, _choices(program, chip, pins)))


def misfit(program: Program, chip: Chip, pins: Mapping[str, int] = NO_PINS) -> Violation | None:
    """The smallest set of layers that together fit fewer cores than they are; None when all can be placed.

    By Hall's theorem an assignment exists exactly when there is no such set. A set that violates it fits only the
    cores of some set, so it is enough to count, for every set of cores, the layers that fit no other.
    """
    choices = _choices(program, chip, pins)
    for size in range(len(chip.cores) + 1):
        for cores in itertools.combinations(range(len(chip.cores)), size):
            confined = [name for name, fits in choices.items() if set(fits) <= set(cores)]
            if len(confined) > size:
                return _reason(program, chip, confined[: size + 1], cores, pins)
    return None


def _choices(program: Program, chip: Chip, pins: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """{layer: cores it may go on}."""
    problems = []
    for name, core in pins.items():
        if name not in program.layers:
            problems.append(
                InputError(f"pin {name}={core}", f"no layer {name!r}", f"one of {', '.join(program.layers)}")
            )
        elif not 0 <= core < len(chip.cores):
            problems.append(InputError(f"pin {name}={core}", f"no core {core}", f"0..{len(chip.cores) - 1}"))
    if problems:
        raise InputError.together(problems)
    fits = {name: cores_for(layer, chip) for name, layer in program.layers.items()}
    return {name: tuple(core for core in cores if pins.get(name, core) == core) for name, cores in fits.items()}


def _best(program: Program, chip: Chip, choices: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The best assignment, over sets of used cores: for each the best way to put the first layers on it."""
    first = {route.to for route in program.input_routes}
    reached: dict[frozenset[int], tuple[Cost, tuple[int, ...]]] = {frozenset(): ((0, 0, 0), ())}
    for name, layer in program.layers.items():
        costs = {core: _cost(layer, name in first, chip, core) for core in choices[name]}
        extended: dict[frozenset[int], tuple[Cost, tuple[int, ...]]] = {}
        for used, (cost, cores) in reached.items():
            for core in costs.keys() - used:
                more = costs[core]
                way = ((cost[0] + more[0], cost[1] + more[1], cost[2] + more[2]), (*cores, core))
                extended[used | {core}] = min(extended.get(used | {core}, way), way)
        reached = extended
    _, cores = min(reached.values())
    return dict(zip(program.layers, cores, strict=True))


def _cost(layer: Layer, first: bool, chip: Chip, number: int) -> Cost:
    core = chip.cores[number]
    updates = layer.out_shape[0] * math.prod(layer.kernel) // math.prod(layer.stride)
    return (
        int(core.parallel_lanes and layer.bias is not None),
        updates if first and not core.parallel_lanes else 0,
        core.kernel_words + 2 * core.neuron_words,
    )


def _listed(cores: tuple[int, ...]) -> str:
    return f"core{'s' * (len(cores) > 1)} {', '.join(map(str, cores))}"


def _reason(
    program: Program, chip: Chip, names: list[str], cores: tuple[int, ...], pins: Mapping[str, int]
) -> Violation:  # fmt: skip
    needs = [
        f"{name} takes {words(program.layers[name])}" + (f" and is pinned to core {pins[name]}" if name in pins else "")
        for name in names
    ]
    if cores:
        allowed = f"one core each, but together they fit only {_listed(cores)} ({memories(chip, cores)})"
    else:
        allowed = f"a core that holds it ({memories(chip, range(len(chip.cores)))})"
    hint = "Make one of them smaller, or free a pinned core." if pins else "Make one of them smaller."
    return Violation("placement", tuple(names), "; ".join(needs), allowed, hint)
