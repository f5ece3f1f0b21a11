"""What a chip can do, one record per rule: the law with the chip's numbers, the check, and what to do.

Error texts, `deploytool check`, the manual and the tests all come from these records. Cycles need no rule: a way back
takes time, which `lower` refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from deploytool.base.arrays import format_shape
from deploytool.base.errors import FitError
from deploytool.chip.chips import Chip
from deploytool.chip.memory import cores_for
from deploytool.ir.program import INPUT, Layer, Program
from deploytool.map.geometry import stray

Findings: TypeAlias = Iterator[tuple[str, str]]
"""(layer or "input", what was found there)."""


@dataclass(frozen=True)
class Rule:
    """``law`` completes "need ..." and holds names of `numbers`; ``check`` yields what breaks it."""

    id: str
    law: str
    check: Callable[[Program, Chip], Findings]
    hint: str

    def need(self, chip: Chip) -> str:
        return self.law.format_map(numbers(chip))


@dataclass(frozen=True)
class Violation:
    """What of a program breaks which rule. Several layers where only together they do."""

    rule: str
    layers: tuple[str, ...]
    found: str
    need: str
    hint: str

    @property
    def layer(self) -> str:
        return ", ".join(self.layers)

    @property
    def says(self) -> str:
        return f"{self.layer}: {self.found}; need {self.need}."

    def error(self) -> FitError:
        return FitError(self.layer, self.found, self.need, self.hint)


def check_rules(program: Program, chip: Chip) -> tuple[Violation, ...]:
    """Everything in ``program`` that ``chip`` cannot do, rule by rule."""
    return tuple(
        Violation(rule.id, (layer,), found, rule.need(chip), rule.hint)
        for rule in RULES
        for layer, found in rule.check(program, chip)
    )


def rules_manual(chip: Chip) -> str:
    """Every rule of ``chip`` with its numbers, as text for a person."""
    entries = (f"{rule.id}\n  Need {rule.need(chip)}.\n  {rule.hint}" for rule in RULES)
    return f"What {chip.title} asks of a network\n\n" + "\n\n".join(entries) + "\n"


def numbers(chip: Chip) -> dict[str, str]:
    """The chip's numbers as they stand in the laws."""
    lowest = chip.integers.state_range[0]
    return {
        "cores": str(len(chip.cores)),
        "memories": memories(chip, range(len(chip.cores))),
        "kernel": str(chip.kernel_max),
        "strides": _listed(chip.strides),
        "padding": str(chip.padding_max),
        "input_map": str(chip.input_map_max),
        "output_map": str(chip.output_map_max),
        "features": f"{chip.features_max:,}",
        "poolings": _listed(chip.poolings),
        "fan_out": str(chip.fan_out_max),
        "shift": f"{chip.feature_shift_max:,}",
        "sensor": str(chip.dvs_size),
        "dvs_features": str(chip.dvs_features),
        "dvs_poolings": _listed(chip.dvs_poolings),
        "threshold": f"{chip.integers.threshold_max:,}",
        "floor": f"{lowest:,}..{chip.integers.floor_max}",
    }


def memories(chip: Chip, cores: Iterable[int]) -> str:
    """The memories of ``cores``, equal ones together: "kernel + neuron words 16,384 + 65,536 on cores 0, 1, 2; ..."."""
    alike: dict[str, list[str]] = {}
    for number in cores:
        core = chip.cores[number]
        alike.setdefault(f"{core.kernel_words:,} + {core.neuron_words:,}", []).append(str(number))
    groups = (f"{size} on core{'s' * (len(group) > 1)} {', '.join(group)}" for size, group in alike.items())
    return f"kernel + neuron words {'; '.join(groups)}"


def words(layer: Layer) -> str:
    """The words that ``layer`` needs: "4,608 kernel and 16,384 neuron words"."""
    memory = layer.memory()
    bias = f", {memory.bias_words:,} bias" if memory.bias_words else ""
    return f"{memory.kernel_words:,} kernel{bias} and {memory.neuron_words:,} neuron words"


def _listed(values: Iterable[int]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}"


def _each(found: Callable[[Layer, Chip], str | None]) -> Callable[[Program, Chip], Findings]:
    """A check of a program out of a check of one layer."""

    def check(program: Program, chip: Chip) -> Findings:
        for name, layer in program.layers.items():
            if (text := found(layer, chip)) is not None:
                yield name, text

    return check


def _kernel(layer: Layer, chip: Chip) -> str | None:
    kh, kw = layer.single.kernel
    return f"a kernel of {kh}x{kw}" if kh != kw or max(kh, kw) > chip.kernel_max else None


def _stride(layer: Layer, chip: Chip) -> str | None:
    return None if set(layer.single.stride) <= set(chip.strides) else f"a stride of {_by(layer.single.stride)}"


def _padding(layer: Layer, chip: Chip) -> str | None:
    return f"a padding of {_by(layer.single.padding)}" if max(layer.single.padding) > chip.padding_max else None


def _dilation(layer: Layer, _chip: Chip) -> str | None:
    dilation = layer.single.dilation
    return f"a dilation of {_by(dilation)}" if dilation != (1, 1) else None


def _groups(layer: Layer, _chip: Chip) -> str | None:
    return f"{layer.single.groups} groups" if layer.single.groups != 1 else None


def _input_map(layer: Layer, chip: Chip) -> str | None:
    size = layer.single.in_shape[1:]
    return f"an input map of {_by(size)}" if max(size) > chip.input_map_max else None


def _output_map(layer: Layer, chip: Chip) -> str | None:
    return f"an output map of {_by(layer.out_shape[1:])}" if max(layer.out_shape[1:]) > chip.output_map_max else None


def _features(layer: Layer, chip: Chip) -> str | None:
    into, out = layer.single.in_shape[0], layer.out_shape[0]
    return f"{into:,} features in and {out:,} out" if max(into, out) > chip.features_max else None


def _memory(layer: Layer, chip: Chip) -> str | None:
    return None if cores_for(layer.memory(), chip) else f"takes {words(layer)}"


def _threshold(layer: Layer, _chip: Chip) -> str | None:
    threshold = layer.neurons.threshold
    if isinstance(threshold, np.ndarray):
        return f"thresholds from {threshold.min():g} to {threshold.max():g}"
    return f"a threshold of {threshold:g}" if threshold <= 0 else None


def _floor(layer: Layer, _chip: Chip) -> str | None:
    floor = layer.neurons.floor
    return f"a floor of {floor:g}" if floor is not None and floor > 0 else None


def _one_spike(layer: Layer, _chip: Chip) -> str | None:
    return None if layer.neurons.at_most_one else "several spikes per update"


def _integers(program: Program, chip: Chip) -> Findings:
    if program.arithmetic == "float32":
        return
    fmt = chip.integers
    for name, layer in program.layers.items():
        threshold, floor = int(np.max(layer.neurons.threshold)), layer.neurons.floor
        if threshold > fmt.threshold_max or floor is None or not fmt.state_range[0] <= floor <= fmt.floor_max:
            yield name, f"a threshold of {threshold:,} and a floor of {'none' if floor is None else f'{floor:,}'}"


def _layers(program: Program, chip: Chip) -> Findings:
    if len(program.layers) > len(chip.cores):
        yield "network", f"{len(program.layers)} layers"


def _sensor(program: Program, chip: Chip) -> Findings:
    if max(program.input_shape[1:]) > chip.dvs_size:
        yield INPUT, f"an input map of {format_shape(program.input_shape)}"


def _input_routes(program: Program, chip: Chip) -> Findings:
    routes = program.input_routes
    if len({route.pool for route in routes}) > 1 or any(route.feature_shift for route in routes):
        each = (f"{route.to} with pooling {_by(route.pool)} from feature {route.feature_shift}" for route in routes)
        yield INPUT, f"feeds {', '.join(each)}"
    elif routes and not set(routes[0].pool) <= set(chip.dvs_poolings):
        yield INPUT, f"a pooling of {_by(routes[0].pool)}"


def _pooling(program: Program, chip: Chip) -> Findings:
    for name, layer in program.layers.items():
        for route in layer.routes:
            if route.pool[0] != route.pool[1] or route.pool[0] not in chip.poolings:
                yield name, f"a pooling of {_by(route.pool)} towards {route.to}"


def _pooling_remainder(program: Program, _chip: Chip) -> Findings:
    for name in (INPUT, *program.layers):
        for route in program.input_routes if name == INPUT else program.layers[name].routes:
            if (position := stray(program, name, route)) is not None:
                height, width = program.map_of(name)[1:]
                yield (
                    name,
                    (
                        f"a map of {height}x{width} pooled by {_by(route.pool)} leaves a rest that reaches neurons of "
                        f"{route.to} from row {position[0]}, column {position[1]}, outside its map of "
                        f"{_by(program.layers[route.to].single.in_shape[1:])}"
                    ),
                )


def _fan_out(program: Program, chip: Chip) -> Findings:
    for name in (INPUT, *program.layers):
        routes = program.input_routes if name == INPUT else program.layers[name].routes
        if len(routes) > chip.fan_out_max:
            yield name, f"feeds {len(routes)} layers ({', '.join(route.to for route in routes)})"


def _feature_shift(program: Program, chip: Chip) -> Findings:
    for name, layer in program.layers.items():
        for route in layer.routes:
            if route.feature_shift > chip.feature_shift_max:
                yield name, f"a feature shift of {route.feature_shift:,} towards {route.to}"


def _fan_in(program: Program, _chip: Chip) -> Findings:
    for name, layer in program.layers.items():
        feeders = program.feeders(name)
        ranges = sorted(
            (route.feature_shift, route.feature_shift + program.map_of(source)[0], source) for source, route in feeders
        )
        ends = [0, *(end for _, end, _ in ranges)]
        if [start for start, _, _ in ranges] != ends[:-1] or ends[-1] != layer.single.in_shape[0]:
            each = ", ".join(f"{start}..{end - 1} from {source}" for start, end, source in ranges)
            yield name, f"gets the features {each or 'of nothing'} for its {layer.single.in_shape[0]}"


def _outside_input(program: Program, chip: Chip) -> Findings:
    """Such events do not pass the sensor's layer, so that the vendor's driver does not see where they come from."""
    if program.input_shape[0] > chip.dvs_features:
        for route in program.input_routes:
            if others := [source for source, _ in program.feeders(route.to) if source != INPUT]:
                yield route.to, f"{program.input_shape[0]} features of the input beside those of {', '.join(others)}"


def _by(pair: tuple[int, ...]) -> str:
    return f"{pair[0]}x{pair[1]}"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "layers",
        "at most {cores} layers, one per core",
        _layers,
        "Leave out layers; poolings and Flatten take no core.",
    ),
    Rule("sensor", "at most {sensor}x{sensor} pixels", _sensor, "Crop or pool the events before the network."),
    Rule(
        "input-routes",
        "one pooling of {dvs_poolings} for all, and no feature shift",
        _input_routes,
        "Pool behind the first layer, or give both layers the same pooling.",
    ),
    Rule("fan-out", "at most {fan_out} destinations", _fan_out, "Let one layer feed the others in a chain."),
    Rule(
        "fan-in",
        "sources side by side, every input feature from exactly one",
        _fan_in,
        "Replace an Add by a Concat: the layer behind it then learns to add.",
    ),
    Rule(
        "outside-input",
        "only the input, or one of at most {dvs_features} features",
        _outside_input,
        "Give the input a layer of its own, and join its spikes.",
    ),
    Rule("feature-shift", "a feature shift of at most {shift}", _feature_shift, "Concatenate fewer features."),
    Rule(
        "kernel",
        "a square kernel of 1x1 to {kernel}x{kernel}",
        _each(_kernel),
        "Use a smaller kernel; before a Linear, pool more, so that its input map is smaller.",
    ),
    Rule("stride", "strides of {strides}", _each(_stride), "Use the next smaller stride of these."),
    Rule("padding", "a padding of at most {padding}", _each(_padding), "Use a smaller kernel with less padding."),
    Rule("dilation", "no dilation", _each(_dilation), "Use a stride or a pooling before this layer instead."),
    Rule(
        "groups",
        "one group",
        _each(_groups),
        "Kernels are filled up with zeros only where no weight is above the threshold; train with smaller weights.",
    ),
    Rule("input-map", "an input map of at most {input_map}x{input_map}", _each(_input_map), "Pool before this layer."),
    Rule(
        "output-map",
        "an output map of at most {output_map}x{output_map}, before pooling",
        _each(_output_map),
        "Use a stride of 2, or pool before this layer.",
    ),
    Rule("features", "1 to {features} features in and out", _each(_features), "Use fewer features."),
    Rule(
        "memory",
        "one core that holds it ({memories})",
        _each(_memory),
        "Use fewer features (powers of two count), a smaller kernel or a smaller map.",
    ),
    Rule("pooling", "a pooling of {poolings}, along both axes", _pooling, "Use such a pooling, or a stride."),
    Rule(
        "pooling-remainder",
        "poolings whose rest reaches no neuron",
        _pooling_remainder,
        "Crop the map to a multiple of the pooling, or use less padding behind it.",
    ),
    Rule(
        "threshold",
        "one threshold above 0 for all neurons of a layer",
        _each(_threshold),
        "Train with one threshold per layer; per-feature thresholds can go into the weights.",
    ),
    Rule("floor", "a floor of at most 0", _each(_floor), "Use a negative floor, or none."),
    Rule("one-spike", "at most one spike per update", _each(_one_spike), "Map with one spike per update."),
    Rule("integers", "thresholds of at most {threshold} and floors of {floor}", _integers, "Quantise the layer again."),
)
