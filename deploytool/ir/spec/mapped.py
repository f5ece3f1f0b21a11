"""Rules of a chip: one record per rule, with the chip's numbers in the sentence.

Cycles need no rule of their own: every feedback path has a delay, and no chip has delays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import numpy as np

from deploytool.base.arrays import format_shape
from deploytool.chip.chips import Chip, chip_names
from deploytool.chip.memory import cores_for
from deploytool.ir.geometry import position_outside_map
from deploytool.ir.program import INPUT, Layer, Program, Synapses
from deploytool.ir.spec.rule import Check, Findings, Level, Rule, on_chip, on_layers, on_program

MAP: Final = "Map the network for a chip first: deploytool map GRAPH --target speck2e."


def _layers_on_chip(found: Callable[[Layer, Chip], str | None]) -> Check:
    """The check of a program that applies ``found`` to each layer."""

    def check(program: Program, chip: Chip) -> Findings:
        for name, layer in program.layers.items():
            if (text := found(layer, chip)) is not None:
                yield name, text

    return on_chip(check)


def _synapses_on_chip(found: Callable[[Synapses, Chip], str | None]) -> Check:
    """The check of a program that applies ``found`` to the synapses of each layer."""

    def check(program: Program, chip: Chip) -> Findings:
        for name, layer in program.layers.items():
            for synapses in layer.synapses:
                if (text := found(synapses, chip)) is not None:
                    yield name, text

    return on_chip(check)


def _kernel(synapses: Synapses, chip: Chip) -> str | None:
    kh, kw = synapses.kernel
    return f"a kernel of {kh}x{kw}" if kh != kw or max(kh, kw) > chip.kernel_max else None


def _stride(synapses: Synapses, chip: Chip) -> str | None:
    return None if set(synapses.stride) <= set(chip.strides) else f"a stride of {format_shape(synapses.stride)}"


def _padding(synapses: Synapses, chip: Chip) -> str | None:
    return f"a padding of {format_shape(synapses.padding)}" if max(synapses.padding) > chip.padding_max else None


def _dilation(synapses: Synapses, _chip: Chip) -> str | None:
    dilation = synapses.dilation
    return f"a dilation of {format_shape(dilation)}" if dilation != (1, 1) else None


def _groups(synapses: Synapses, _chip: Chip) -> str | None:
    return f"{synapses.groups} groups" if synapses.groups != 1 else None


def _input_map(synapses: Synapses, chip: Chip) -> str | None:
    size = synapses.in_shape[1:]
    return f"an input map of {format_shape(size)}" if max(size) > chip.input_map_max else None


def _output_map(layer: Layer, chip: Chip) -> str | None:
    size = layer.out_shape[1:]
    return f"an output map of {format_shape(size)}" if max(size) > chip.output_map_max else None


def _features(synapses: Synapses, chip: Chip) -> str | None:
    into, out = synapses.in_shape[0], synapses.out_shape[0]
    return f"{into:,} features in and {out:,} out" if max(into, out) > chip.features_max else None


def _memory(layer: Layer, chip: Chip) -> str | None:
    if len(layer.synapses) > 1 or cores_for(layer.memory(), chip):
        return None
    return f"takes {layer.memory().words}"


def _one_threshold(layer: Layer) -> str | None:
    threshold = layer.neurons.threshold
    if not isinstance(threshold, np.ndarray):
        return None
    return f"thresholds from {threshold.min():g} to {threshold.max():g}"


def _one_spike(layer: Layer) -> str | None:
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
        each = (
            f"{route.to} with pooling {format_shape(route.pool)} from feature {route.feature_shift}" for route in routes
        )
        yield INPUT, f"feeds {', '.join(each)}"
    elif routes and not set(routes[0].pool) <= set(chip.dvs_poolings):
        yield INPUT, f"a pooling of {format_shape(routes[0].pool)}"


def _pooling(program: Program, chip: Chip) -> Findings:
    for name, layer in program.layers.items():
        for route in layer.routes:
            if route.pool[0] != route.pool[1] or route.pool[0] not in chip.poolings:
                yield name, f"a pooling of {format_shape(route.pool)} towards {route.to}"


def _pooling_remainder(program: Program) -> Findings:
    for name in (INPUT, *program.layers):
        for route in program.input_routes if name == INPUT else program.layers[name].routes:
            if route.synapses >= len(program.layers[route.to].synapses):
                continue  # the rule synapses-fed says so
            if (position := position_outside_map(program, name, route)) is not None:
                size = format_shape(program.map_of(name)[1:])
                reached = format_shape(program.layers[route.to].synapses[route.synapses].in_shape[1:])
                yield (
                    name,
                    (
                        f"pooling a map of {size} by {format_shape(route.pool)} leaves a rest that reaches neurons of "
                        f"{route.to} from row {position[0]}, column {position[1]}, outside its map of {reached}"
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


def _fan_in(program: Program) -> Findings:
    for name, layer in program.layers.items():
        if len(layer.synapses) > 1:
            continue
        features, sources = layer.single.in_shape[0], defaultdict[tuple[int, int], list[str]](list)
        for source, routes in program.inflows(name):
            start = min(route.feature_shift for route in routes.values())
            sources[start, start + program.map_of(source)[0]].append(source)
        ranges = sorted(sources)
        ends = [0, *(end for _, end in ranges)]
        if [start for start, _ in ranges] != ends[:-1] or ends[-1] != features:
            each = ", ".join(f"{start}..{end - 1} from {' and '.join(sources[start, end])}" for start, end in ranges)
            yield name, f"gets the features {each or 'of no source'} for its {features} input features"


def _outside_input(program: Program, chip: Chip) -> Findings:
    """Events from outside do not pass the sensor's layer, so the vendor's driver does not know their source."""
    if program.input_shape[0] > chip.dvs_features:
        for route in program.input_routes:
            if others := [source for source, _ in program.feeders(route.to) if source != INPUT]:
                yield route.to, f"gets {program.input_shape[0]} input features and those of {', '.join(others)}"


def _one_synapses(program: Program) -> Findings:
    for name, layer in program.layers.items():
        if (sets := len(layer.synapses)) > 1:
            each = ", ".join(
                f"{format_shape(s.kernel)} with stride {format_shape(s.stride)} on {format_shape(s.in_shape[1:])}"
                for s in layer.synapses
            )
            yield name, f"an Add of the currents of {sets} sets of weights ({each})"


def _no_delay(program: Program) -> Findings:
    for to, _, source, _ in program.delayed:
        yield to, f"gets spikes of {source!r} with a delay"


def _chip(program: Program) -> Findings:
    if program.chip not in chip_names():
        yield f"program for {program.chip!r}", "not mapped for a chip"


def _cores(program: Program, chip: Chip) -> Findings:
    where, cores = f"program for {program.chip!r}", range(len(chip.cores))
    if lost := [name for name in program.layers if program.core_of.get(name) not in cores]:
        yield where, f"layers without a core: {', '.join(lost)}"
    elif len(set(program.core_of.values())) < len(program.layers):
        yield where, "two layers on one core"


def _core_memory(program: Program, chip: Chip) -> Findings:
    for name, layer in program.layers.items():
        core = program.core_of.get(name)
        judged = len(layer.synapses) == 1 and core in range(len(chip.cores))
        if judged and not layer.memory().fits(chip.cores[program.core_of[name]]):
            yield name, f"takes {layer.memory().words}, on core {core}"


def _clock_range(program: Program, chip: Chip) -> Findings:
    hz, (lowest, highest) = program.slow_clock_hz, chip.slow_clock_hz
    if hz is not None and not lowest <= hz <= highest:
        yield f"program for {program.chip!r}", f"a slow clock of {hz} Hz"


def _decimator(layer: Layer, chip: Chip) -> str | None:
    known = layer.decimation in (1, *chip.decimations)
    return None if known else f"an output decimator of {layer.decimation}"


def _early(name: str, law: str, check: Check, hint: str) -> Rule:
    return Rule(name, Level.MAPPED, law, check, hint, early=True)


MAPPED: Final[tuple[Rule, ...]] = (
    _early(
        "layers",
        "at most {cores} layers, one per core",
        on_chip(_layers),
        "Use fewer layers; poolings and Flatten need no core.",
    ),
    _early(
        "sensor", "at most {sensor}x{sensor} pixels", on_chip(_sensor), "Crop or pool the events before the network."
    ),
    _early(
        "input-routes",
        "the same pooling of {dvs_poolings} to all destinations, and no feature shift",
        on_chip(_input_routes),
        "Pool after the first layer, or give both layers the same pooling.",
    ),
    _early("fan-out", "at most {fan_out} destinations", on_chip(_fan_out), "Connect the layers in a chain."),
    _early(
        "fan-in",
        "each input feature from one source, or from sources that all send the same features, which adds their spikes",
        on_program(_fan_in),
        "Give the summands of an Add the same features, and those of a Concat features side by side without gaps.",
    ),
    _early(
        "outside-input",
        "an input without other sources, or an input of at most {dvs_features} features",
        on_chip(_outside_input),
        "Put a layer directly after the input, and concatenate its spikes.",
    ),
    _early(
        "feature-shift", "a feature shift of at most {shift}", on_chip(_feature_shift), "Concatenate fewer features."
    ),
    _early(
        "kernel",
        "a square kernel of 1x1 to {kernel}x{kernel}",
        _synapses_on_chip(_kernel),
        "Use a smaller kernel. Before a Linear, pool more to make its input map smaller.",
    ),
    _early("stride", "strides of {strides}", _synapses_on_chip(_stride), "Use the next smaller of these strides."),
    _early(
        "padding",
        "a padding of at most {padding}",
        _synapses_on_chip(_padding),
        "Use a smaller kernel with less padding.",
    ),
    _early(
        "dilation", "no dilation", _synapses_on_chip(_dilation), "Use a stride or a pooling before this layer instead."
    ),
    _early(
        "groups",
        "one group",
        _synapses_on_chip(_groups),
        "Train with smaller weights: kernels are padded with zeros only if no weight is above the threshold.",
    ),
    _early(
        "input-map",
        "an input map of at most {input_map}x{input_map}",
        _synapses_on_chip(_input_map),
        "Pool before this layer.",
    ),
    _early(
        "output-map",
        "an output map of at most {output_map}x{output_map}, before pooling",
        _layers_on_chip(_output_map),
        "Use a stride of 2, or pool before this layer.",
    ),
    _early("features", "1 to {features} features in and out", _synapses_on_chip(_features), "Use fewer features."),
    _early(
        "memory",
        "one core that holds it ({memories})",
        _layers_on_chip(_memory),
        "Use fewer features (memory grows in powers of two), a smaller kernel or a smaller map.",
    ),
    _early("pooling", "a pooling of {poolings}, along both axes", on_chip(_pooling), "Use one of these, or a stride."),
    _early(
        "pooling-remainder",
        "poolings whose remainder reaches no neuron",
        on_program(_pooling_remainder),
        "Crop the map to a multiple of the pooling, or use less padding after it.",
    ),
    _early(
        "threshold",
        "one threshold for all neurons of a layer",
        on_layers(_one_threshold),
        "Train with one threshold per layer; per-feature thresholds can be folded into the weights.",
    ),
    _early("one-spike", "at most one spike per update", on_layers(_one_spike), "Set at_most_one for its neurons."),
    _early(
        "synapses",
        "one Conv or Linear before a Spike, or several with the same stride on maps of one size",
        on_program(_one_synapses),
        "Give them the same stride and pooling, so that they can lie side by side in one kernel; or put a Spike after "
        "each and Add the spikes before the next Conv; or run the network on the simulator.",
    ),
    _early(
        "no-delay",
        "spikes without a delay",
        on_program(_no_delay),
        "Remove the Delay, or run the network on the simulator: a core forwards spikes immediately, and cycles of "
        "cores may deadlock.",
    ),
    _early(
        "integers",
        "thresholds of at most {threshold} and floors of {floor}",
        on_chip(_integers),
        "Quantise the layer again.",
    ),
    _early(
        "clock-range",
        "a slow clock of {slow_clock} Hz",
        on_chip(_clock_range),
        "Choose a --slow-clock in this range.",
    ),
    _early(
        "decimator",
        "output decimators of {decimations}, or none",
        _layers_on_chip(_decimator),
        "Choose --decimate LAYER=N among these, or leave it out.",
    ),
    Rule("chip", Level.MAPPED, f"one of {', '.join(chip_names())}", on_program(_chip), MAP),
    Rule("cores", Level.MAPPED, "each layer on its own core, one of {cores}", on_chip(_cores), MAP),
    Rule(
        "core-memory",
        Level.MAPPED,
        "a core that holds it ({memories})",
        on_chip(_core_memory),
        "Place the program again.",
    ),
)
