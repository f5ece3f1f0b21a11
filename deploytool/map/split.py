"""Splitting of layers over several cores, and relays, without changing any spike.

A layer is split over its output features. Each part gets its slice of the weights and a core of its own; its routes'
feature shifts grow by its first feature, and whatever fed the layer feeds every part.

A source with more destinations than a core has gets relays: identity cores (weight 1, threshold 1) that pass its
spikes on, each at the place of one destination and with as many of its own.

Both are used only if the network fits with them and not without. Among the options that fit, the one with the
fewest cores is taken, then the one with the fewest layers split. Layers that are pinned stay whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np

from deploytool.base.arrays import Pair, Shape
from deploytool.chip.chips import Chip, address_bits
from deploytool.chip.memory import cores_for
from deploytool.ir.neurons import Neurons
from deploytool.ir.program import INPUT, Layer, Program, Route, Synapses
from deploytool.ir.spec.rule import Violation
from deploytool.ir.spec.verify import check_rules
from deploytool.map.place import NO_PINS, assignable, misfit

Sizes: TypeAlias = Mapping[str, tuple[int, ...]]
"""{layer: output features of each of its parts}, for the layers that are split."""

FIXABLE_BY_SPLIT: Final = ("memory", "features", "fan-out", "placement")
"""Rules that splitting and relays can satisfy."""
Key: TypeAlias = tuple[str, frozenset[str]]
"""(rule, logical layers) of a violation."""


@dataclass(frozen=True)
class Split:
    """The layers ``into`` which ``layer`` (or "input") was made, relays included, and why."""

    layer: str
    into: tuple[str, ...]
    why: str

    @property
    def cores(self) -> int:
        """The number of additional cores, compared with the unsplit layer."""
        return len(self.into) - (self.layer != INPUT)

    def as_json(self) -> dict[str, Any]:
        """The split as ``check --json`` has it."""
        return {"layer": self.layer, "into": list(self.into), "why": self.why}


@dataclass(frozen=True, eq=False)
class Fit:
    """The broken rules that no split can satisfy, and the ``sizes`` of the splits."""

    issues: tuple[Violation, ...]
    sizes: Sizes = field(default_factory=dict)
    splits: tuple[Split, ...] = ()


def fit(program: Program, chip: Chip, pins: Mapping[str, int] = NO_PINS, may_split: bool = True) -> Fit:
    """The rules of ``chip`` that ``program`` breaks, and the splits that make it fit.

    If splits are not enough, the other broken rules are reported and nothing is split.
    """
    issues = _issues(program, chip, pins)
    if not may_split or not any(issue.rule in FIXABLE_BY_SPLIT for issue in issues):
        return Fit(issues)
    found = _smallest(program, chip, pins, issues)
    if found is None:
        return Fit(tuple(issue if issue.layer in pins else _with_cost(issue, program, chip) for issue in issues))
    sizes, left = found
    if left:
        return Fit(tuple(issue for issue in issues if _key(issue, program) in left))
    return Fit((), sizes, tuple(_splits(program, split(program, sizes, chip), chip)))


def split(program: Program, sizes: Sizes, chip: Chip) -> Program:
    """``program`` with the layers in ``sizes`` split into parts, and relays for layers with too many destinations."""
    parts = {name: _parts(program, name, sizes) for name in program.layers}
    layers: dict[str, Layer] = {}
    for name, layer in program.layers.items():
        for part, start, features in parts[name]:
            routed = replace(layer, routes=_spread(layer.routes, parts, start))
            here = slice(start, start + features)
            layers[part] = routed if len(parts[name]) == 1 else replace(_features(routed, here), part_of=(name, start))
    outputs = tuple(part for name in program.outputs for part, _, _ in parts[name])
    cut = program.with_layers(layers, input_routes=_spread(program.input_routes, parts, 0), outputs=outputs)
    for source in (INPUT, *program.layers):
        cut = _relayed(cut, source, chip)
    return cut


def _features(layer: Layer, here: slice) -> Layer:
    """The output features ``here`` of ``layer``."""
    weights = layer.single.weights[here]
    part = layer.with_single(weights=weights, out_shape=(len(weights), *layer.out_shape[1:]))
    bias = None if layer.bias is None else layer.bias[here]
    return replace(part, neurons=layer.neurons.each(lambda array: array[here]), bias=bias)


def _parts(program: Program, name: str, sizes: Sizes) -> list[tuple[str, int, int]]:
    """[(name, first feature, features)] of the layers that ``name`` becomes."""
    features = sizes.get(name, ())
    if not features:
        return [(name, 0, program.layers[name].out_shape[0])]
    starts = itertools.accumulate(features[:-1], initial=0)
    return [
        (_unused(f"{name}_part{i}", program), start, size)
        for i, (start, size) in enumerate(zip(starts, features, strict=True), start=1)
    ]


def _spread(
    routes: tuple[Route, ...], parts: Mapping[str, list[tuple[str, int, int]]], start: int
) -> tuple[Route, ...]:
    """``routes`` of a part whose first feature is ``start``, each to every part of its destination."""
    return tuple(
        replace(route, to=part, feature_shift=route.feature_shift + start)
        for route in routes
        for part, _, _ in parts[route.to]
    )


def _unused(name: str, program: Program) -> str:
    while name in program.layers:
        name += "_"
    return name


def _relayed(program: Program, source: str, chip: Chip) -> Program:
    """``program`` with a chain of relays, one for each excess route of the logical layer ``source``."""
    feeder = source
    for number in itertools.count(1):
        if len(_routes(program, feeder)) <= chip.fan_out_max:
            break
        relay = _unused(f"{source}_relay{number}", program)
        program, feeder = _with_relay(program, feeder, relay, chip), relay
    return program


def _with_relay(program: Program, feeder: str, relay: str, chip: Chip) -> Program:
    """``program`` with the excess routes of ``feeder`` moved to an identity core ``relay``."""
    routes = _routes(program, feeder)
    kept, passed = len(routes[: chip.fan_out_max - 1]), routes[chip.fan_out_max - 1 :]
    pool = _common_pool(program.map_of(feeder), passed)
    behind = tuple(replace(route, pool=(route.pool[0] // pool[0], route.pool[1] // pool[1])) for route in passed)
    layers = []
    for name, layer in program.layers.items():
        logical, start = program.place_in(name)
        to_relay = Route(relay, pool, start)
        layers.append((name, replace(layer, routes=(*layer.routes[:kept], to_relay)) if logical == feeder else layer))
    after = 0 if feeder == INPUT else 1 + list(program.layers).index(program.parts[feeder][-1])
    layers.insert(after, (relay, _identity(program, program.map_of(feeder), pool, behind, chip)))
    input_routes = (*program.input_routes[:kept], Route(relay, pool)) if feeder == INPUT else program.input_routes
    return program.with_layers(dict(layers), input_routes=input_routes)


def _routes(program: Program, source: str) -> tuple[Route, ...]:
    """The routes of a logical layer (or of "input"), with the feature shifts of its first feature."""
    return program.input_routes if source == INPUT else program.layers[program.parts[source][0]].routes


def _common_pool(shape: Shape, routes: Sequence[Route]) -> Pair:
    """The largest pooling common to all ``routes`` that leaves no remainder on a map of ``shape``."""
    shared = (math.gcd(shape[1 + axis], *(route.pool[axis] for route in routes)) for axis in (0, 1))
    return next(shared), next(shared)


def _identity(program: Program, shape: Shape, pool: Pair, routes: tuple[Route, ...], chip: Chip) -> Layer:
    """A layer whose neurons fire once for every spike they get, on a map of ``shape`` pooled by ``pool``."""
    real = program.arithmetic == "float32"
    pooled = (shape[0], shape[1] // pool[0], shape[2] // pool[1])
    weights = np.eye(shape[0], dtype=np.float32 if real else np.int8).reshape(shape[0], shape[0], 1, 1)
    floor = None if real else chip.integers.floor_max
    return Layer((Synapses(weights, pooled, pooled),), Neurons(1.0 if real else 1, floor), routes)


def _issues(program: Program, chip: Chip, pins: Mapping[str, int]) -> tuple[Violation, ...]:
    """Every broken rule; if each layer fits some core, also the set of layers that cannot be placed together."""
    issues = check_rules(program, chip)
    if {"memory", "layers"} & {issue.rule for issue in issues}:
        return issues
    reason = misfit(program, chip, pins)
    return issues if reason is None else (*issues, reason)


def _key(issue: Violation, program: Program) -> Key:
    return issue.rule, frozenset(program.place_in(n)[0] if n in program.layers else n for n in issue.layers)


def _smallest(
    program: Program, chip: Chip, pins: Mapping[str, int], issues: Sequence[Violation]
) -> tuple[Sizes, set[Key]] | None:
    """The splits with the fewest cores that satisfy all rules splits can satisfy, and other violations, or None."""
    known = {_key(issue, program) for issue in issues if issue.rule not in ("memory", "fan-out", "placement")}
    most = len(chip.cores) - len(program.layers) + 1
    options = [_options(layer, chip, pins.get(name), most) for name, layer in program.layers.items()]
    ranked = []
    for number, chosen in enumerate(_combinations(options, len(chip.cores))):
        sizes = {name: way.sizes for name, way in zip(program.layers, chosen, strict=True) if len(way.sizes) > 1}
        cores = sum(len(way.sizes) for way in chosen) + _relays(program, sizes, chip)
        if cores <= len(chip.cores):
            ranked.append((cores, len(sizes), number, sizes, [fits for way in chosen for fits in way.fits]))
    for _, _, _, sizes, fits in sorted(ranked, key=itemgetter(0, 1, 2)):
        if assignable(fits):
            cut = split(program, sizes, chip)
            left = {_key(issue, cut) for issue in _issues(cut, chip, pins)}
            if left <= known:
                return sizes, left
    return None


@dataclass(frozen=True)
class _SplitOption:
    """One option for a layer: the ``sizes`` of its parts, and for each part the cores that hold it."""

    sizes: tuple[int, ...]
    fits: tuple[tuple[int, ...], ...]


def _options(layer: Layer, chip: Chip, pin: int | None, most: int) -> list[_SplitOption]:
    """The options to divide the output features of ``layer`` among at most ``most`` cores, each no larger than needed.

    Only numbers of features at which another core becomes large enough matter: 1, and powers of two.
    """
    features = layer.out_shape[0]
    if pin is not None or layer.single.groups > 1 or isinstance(layer.neurons.threshold, np.ndarray):
        fits = cores_for(layer.memory(), chip)
        fits = fits if pin is None else tuple(core for core in fits if core == pin)
        return [_SplitOption((features,), (fits,))] if fits else []
    capacities: dict[tuple[int, ...], int] = {}
    for bits in range(address_bits(features), -1, -1):
        if (size := min(1 << bits, features)) <= chip.features_max and (fits := cores_for(layer.memory(size), chip)):
            capacities.setdefault(fits, size)
    steps = sorted(capacities.values())
    ways = []
    for count in range(-(-features // max(steps, default=1)), most + 1):
        for chosen in itertools.combinations_with_replacement(steps, count):
            if sum(chosen) >= features and not _wasteful(features, chosen, steps):
                sizes = _shared(features, chosen)
                ways.append(_SplitOption(sizes, tuple(cores_for(layer.memory(size), chip) for size in sizes)))
    return ways


def _shared(features: int, capacities: Sequence[int]) -> tuple[int, ...]:
    """As even a share of ``features`` as rising ``capacities`` allow."""
    sizes: list[int] = []
    for left, capacity in zip(range(len(capacities), 0, -1), capacities, strict=True):
        sizes.append(min(capacity, -(-(features - sum(sizes)) // left)))
    return tuple(sizes)


def _wasteful(features: int, chosen: Sequence[int], steps: Sequence[int]) -> bool:
    """Whether one of the ``chosen`` capacities could be the next smaller of ``steps``, or missing."""
    spare = sum(chosen) - features
    return any(capacity - max((step for step in steps if step < capacity), default=0) <= spare for capacity in chosen)


def _combinations(options: Sequence[Sequence[_SplitOption]], cores: int) -> Iterator[tuple[_SplitOption, ...]]:
    """One option for every layer, with at most ``cores`` parts in total."""
    if not options:
        yield ()
        return
    needed = sum(min((len(way.sizes) for way in ways), default=cores + 1) for ways in options[1:])
    for way in options[0]:
        if len(way.sizes) + needed <= cores:
            for others in _combinations(options[1:], cores - len(way.sizes)):
                yield (way, *others)


def _relays(program: Program, sizes: Sizes, chip: Chip) -> int:
    """The number of relays that ``sizes`` needs: each uses one destination and adds as many as a core has."""
    listed = [program.input_routes, *(layer.routes for layer in program.layers.values())]
    destinations = (sum(len(sizes.get(route.to, (0,))) for route in routes) for routes in listed)
    return sum(max(-(-(count - chip.fan_out_max) // (chip.fan_out_max - 1)), 0) for count in destinations)


def _splits(program: Program, cut: Program, chip: Chip) -> Iterator[Split]:
    """The changes from ``program`` to ``cut`` for each layer, with reasons."""
    for source in (INPUT, *program.layers):
        reasons, into = [], () if source == INPUT else cut.parts[source]
        if len(into) > 1:
            layer = program.layers[source]
            held = cores_for(layer.memory(), chip) and layer.out_shape[0] <= chip.features_max
            why = "unsplit, it would leave another layer without a core" if held else "no core holds it"
            features = " + ".join(str(cut.layers[part].out_shape[0]) for part in into)
            reasons.append(f"needs {layer.memory().words}, and {why}: its features are divided {features}")
        if relays := _relays_behind(program, cut, source):
            into += relays
            destinations = sum(len(cut.parts[route.to]) for route in _routes(program, source))
            reasons.append(
                f"feeds {destinations} cores, but a core has {chip.fan_out_max} destinations: relays pass its spikes on"
            )
        if reasons:
            yield Split(source, into, "; ".join(reasons))


def _relays_behind(program: Program, cut: Program, source: str) -> tuple[str, ...]:
    """The relays after ``source`` in ``cut``, which are not layers of ``program``."""
    relays: tuple[str, ...] = ()
    for route in _routes(cut, source):
        if cut.place_in(route.to)[0] not in program.layers:
            relays += (route.to, *_relays_behind(program, cut, route.to))
    return relays


def _with_cost(issue: Violation, program: Program, chip: Chip) -> Violation:
    """``issue``, with a hint on how many cores a split layer would need if the layer is too large for every core."""
    if issue.rule != "memory":
        return issue
    layer = program.layers[issue.layer]
    features = layer.out_shape[0]
    powers = [1 << bits for bits in range(address_bits(features))]
    largest = max((size for size in powers if cores_for(layer.memory(size), chip)), default=0)
    if not largest:
        return replace(issue, hint=f"{issue.hint} Even a single output feature fits no core.")
    cores = -(-features // largest)
    return replace(issue, hint=f"{issue.hint} Splitting it would need at least {cores:,} cores, which are not free.")
