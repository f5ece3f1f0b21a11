"""Rules that every engine requires of a program. The compiled loops rely on each of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from deploytool.base.arrays import Array, all_finite, format_shape
from deploytool.base.errors import InputError
from deploytool.ir.neurons import Leak, Neurons, arrays_of
from deploytool.ir.nodes import Conv
from deploytool.ir.program import BIASES, INPUT, SECOND_US, WEIGHTS, Layer, Program, Synapses
from deploytool.ir.shapes import out_shape
from deploytool.ir.spec.rule import Findings, Level, Rule, on_layers, on_program

SPIKES_PER_UPDATE_MAX: Final = 1024
"""Limit for neurons that may fire several times per update. More indicates an error in the weights or the threshold."""


def _fed(program: Program) -> Findings:
    for name in program.layers:
        if not program.feeders(name):
            yield name, "nothing feeds it"


def _synapses_fed(program: Program) -> Findings:
    for name, layer in program.layers.items():
        arriving = {route.synapses for _, route in program.feeders(name)}
        there = set(range(len(layer.synapses)))
        if arriving and arriving != there:
            found = ", ".join(map(str, sorted(arriving)))
            yield name, f"routes to synapses {found}, but it has {len(there)} synapses"


def _bias(program: Program) -> Findings:
    for name, layer in program.layers.items():
        if layer.bias is not None and layer.bias.any() and program.slow_clock_hz is None:
            yield name, "has a bias, and no slow clock that would add it"


def _biases(program: Program) -> Findings:
    for name, layer in program.layers.items():
        if (bias := layer.bias) is None:
            continue
        if bias.dtype != BIASES[program.arithmetic] or bias.shape != layer.out_shape[:1]:
            yield name, f"biases of {bias.dtype} and shape {bias.shape} in a program of {program.arithmetic}"
        elif not all_finite(bias):
            yield name, "a bias that is not finite"


def _slow_clock(program: Program) -> Findings:
    hz = program.slow_clock_hz
    if hz is not None and not 1 <= hz <= SECOND_US:
        yield "program", f"a slow clock of {hz} Hz"


def _balancer(layer: Layer) -> str | None:
    return None if layer.balancer is None or layer.balancer >= 1 else f"a balancer of {layer.balancer} SynOps/s"


def _decimation(layer: Layer) -> str | None:
    return None if layer.decimation >= 1 else f"an output decimator of {layer.decimation}"


def _weights(program: Program) -> Findings:
    for name, layer in program.layers.items():
        for number, synapses in enumerate(layer.synapses):
            if (kind := synapses.weights.dtype) != WEIGHTS[program.arithmetic]:
                yield _at(name, number), f"weights of {kind} in a program of {program.arithmetic}"


def _finite(layer: Layer) -> str | None:
    floats = (synapses.weights for synapses in layer.synapses if synapses.weights.dtype.kind == "f")
    return None if all(map(all_finite, floats)) else "weights that are not finite"


def _maps(program: Program) -> Findings:
    for name, layer in program.layers.items():
        for number, synapses in enumerate(layer.synapses):
            at, wanted = _at(name, number), synapses.out_shape
            if wanted != layer.out_shape:
                yield at, f"an output map of {format_shape(wanted)}, but the layer has {format_shape(layer.out_shape)}"
            elif (given := _given(synapses)) != wanted:
                yield at, f"an output map of {format_shape(wanted)}, but its kernel gives {_shown(given)}"


def _given(synapses: Synapses) -> tuple[int, int, int] | None:
    """The output map that the kernel gives, or None if it does not fit."""
    weights, stride, padding = synapses.weights, synapses.stride, synapses.padding
    try:
        return out_shape(Conv(weights, None, stride, padding, synapses.dilation, synapses.groups), synapses.in_shape)
    except InputError:
        return None


def _shown(shape: tuple[int, int, int] | None) -> str:
    return "none" if shape is None else format_shape(shape)


def _at(name: str, number: int) -> str:
    return f"{name}, synapses {number}" if number else name


def _parameters(neurons: Neurons) -> dict[str, Array]:
    """{field: array} of all arrays of the neurons and of their leak."""
    return arrays_of(neurons) | (arrays_of(neurons.leak) if neurons.leak else {})


def _shapes(layer: Layer) -> str | None:
    wrong = {name: a.shape for name, a in _parameters(layer.neurons).items() if a.shape != layer.out_shape}
    found = " and ".join(f"{name} of shape {shape}" for name, shape in wrong.items())
    return f"{found} on a map of shape {layer.out_shape}" if wrong else None


def _well_shaped(layer: Layer) -> bool:
    return _shapes(layer) is None


def _threshold(layer: Layer) -> str | None:
    threshold = np.asarray(layer.neurons.threshold)
    return None if (threshold > 0).all() else f"a threshold of {threshold.min()}"


def _floor(layer: Layer) -> str | None:
    floor = layer.neurons.floor
    return None if floor is None or floor <= 0 else f"a floor of {floor:g}"


def _start(layer: Layer) -> str | None:
    start, floor = np.asarray(layer.neurons.v_init), layer.neurons.floor
    if not all_finite(start):
        return f"v_init from {start.min()} to {start.max()}"
    return f"v_init of {start.min()} below the floor, {floor}" if floor is not None and start.min() < floor else None


def _spikes_per_update(layer: Layer) -> str | None:
    neurons = layer.neurons
    lowest, start = np.min(neurons.threshold), np.max(neurons.v_init)
    heaviest = max(float(synapses.weights.max(initial=0)) for synapses in layer.synapses)
    heaviest = max(heaviest, 0.0 if layer.bias is None else float(layer.bias.max()))
    if neurons.at_most_one or layer.synapses[0].weights.dtype.kind == "i" or not lowest > 0:
        return None
    if not max(heaviest, start) / lowest > SPIKES_PER_UPDATE_MAX:
        return None
    return f"weights of up to {heaviest} and v_init {start} against a threshold of {lowest}"


def _time_constants(layer: Layer) -> str | None:
    leak = layer.neurons.leak or Leak(1.0)
    for name, tau_ms in (("tau_ms", leak.tau_ms), ("tau_syn_ms", leak.tau_syn_ms)):
        if tau_ms is not None and not np.all(np.asarray(tau_ms) > 0):
            return f"{name} is {np.min(tau_ms)}"
    return None


def _v_reset(layer: Layer) -> str | None:
    if not _well_shaped(layer) or _threshold(layer):
        return None
    v_reset, threshold = (np.asarray(v, np.float32) for v in (layer.neurons.v_reset, layer.neurons.threshold))
    return None if np.all(v_reset < threshold) else "a v_reset that is not below the threshold"


def _between_once(layer: Layer) -> str | None:
    if not _well_shaped(layer) or not layer.neurons.fires_between or layer.neurons.at_most_one:
        return None
    return "several spikes per update, in neurons that can fire between events"


def _between_whole(layer: Layer) -> str | None:
    if not _well_shaped(layer) or not layer.neurons.fires_between or layer.part_of is None:
        return None
    return "neurons that can fire between events, in a part of a split layer"


def _delays(program: Program) -> Findings:
    for to, _, source, route in program.delayed:
        where, delays = f"route from {source!r} to {to!r}", np.array(route.delay_us)
        neurons = int(np.prod(program.map_of(source)))
        if delays.shape not in ((), (neurons,)):
            yield where, f"{delays.size} delays for {neurons} neurons"
        elif delays.min() < 1:
            yield where, f"a delay of {delays.min()} us"


def _delays_whole(program: Program) -> Findings:
    whole = {INPUT, *(name for name in program.layers if program.place_in(name)[0] == name)}
    for to, _, source, _ in program.delayed:
        if not {source, to} <= whole:
            yield f"route from {source!r} to {to!r}", "a delay between parts of split layers"


EXECUTABLE: Final[tuple[Rule, ...]] = (
    Rule(
        "fed", Level.EXECUTABLE, "a route to every layer", on_program(_fed), "Add a route to it, or remove the layer."
    ),
    Rule(
        "synapses-fed",
        Level.EXECUTABLE,
        "a route to each of its synapses, and no other routes",
        on_program(_synapses_fed),
        "Number the synapses of a layer from 0, and add a route to each.",
    ),
    Rule(
        "bias",
        Level.EXECUTABLE,
        "a slow clock, whose every tick adds the bias",
        on_program(_bias),
        "Give it when you map: --slow-clock HZ, or [map] slow_clock_hz in a recipe; or train without a bias.",
    ),
    Rule(
        "biases",
        Level.EXECUTABLE,
        "one finite bias per output feature, of int16 in int8/int16, of float32 in float32",
        on_program(_biases),
        "Convert the biases, or quantise the program.",
    ),
    Rule(
        "slow-clock",
        Level.EXECUTABLE,
        f"a slow clock of 1 to {SECOND_US} Hz",
        on_program(_slow_clock),
        "Choose a --slow-clock in this range.",
    ),
    Rule(
        "decimation",
        Level.EXECUTABLE,
        "an output decimator of at least 1",
        on_layers(_decimation),
        "An output decimator of 1 lets every spike pass.",
    ),
    Rule(
        "balancer-speed",
        Level.EXECUTABLE,
        "a congestion balancer for a core of at least 1 SynOp per second",
        on_layers(_balancer),
        "Leave the balancer out to lose no event.",
    ),
    Rule(
        "weights",
        Level.EXECUTABLE,
        "int8 weights in int8/int16, float32 weights in float32",
        on_program(_weights),
        "Convert the weights, or quantise the program.",
    ),
    Rule("finite", Level.EXECUTABLE, "finite weights", on_layers(_finite), "Train again with a lower learning rate."),
    Rule(
        "maps",
        Level.EXECUTABLE,
        "the output map that follows from kernel, stride, padding and dilation",
        on_program(_maps),
        "Compute it from the input map with deploytool.ir.shapes.out_shape.",
    ),
    Rule(
        "shapes",
        Level.EXECUTABLE,
        "one number, or one per neuron",
        on_layers(_shapes),
        "Give the array the shape of the layer's output map.",
    ),
    Rule(
        "positive-threshold",
        Level.EXECUTABLE,
        "thresholds above 0",
        on_layers(_threshold),
        "A neuron with a threshold of 0 or less would never stop firing.",
    ),
    Rule(
        "floor",
        Level.EXECUTABLE,
        "a floor of at most 0",
        on_layers(_floor),
        "Use a negative floor, or none.",
        early=True,
    ),
    Rule(
        "start",
        Level.EXECUTABLE,
        "a finite v_init that is not below the floor",
        on_layers(_start),
        "Set v_init to 0, or lower the floor.",
    ),
    Rule(
        "spikes-per-update",
        Level.EXECUTABLE,
        f"at most {SPIKES_PER_UPDATE_MAX} spikes per update",
        on_layers(_spikes_per_update),
        "Raise the threshold, use smaller weights, or allow one spike per update.",
    ),
    Rule(
        "time-constants",
        Level.EXECUTABLE,
        "time constants above 0",
        on_layers(_time_constants),
        "For neurons without a leak, omit it.",
    ),
    Rule(
        "v-reset",
        Level.EXECUTABLE,
        "a v_reset below the threshold, in float32",
        on_layers(_v_reset),
        "A neuron that is reset to its threshold would never stop firing.",
    ),
    Rule(
        "between-once",
        Level.EXECUTABLE,
        "at most one spike per update",
        on_layers(_between_once),
        "Set at_most_one for these neurons.",
    ),
    Rule(
        "between-whole",
        Level.EXECUTABLE,
        "an unsplit layer if its neurons can fire between events",
        on_layers(_between_whole),
        "Do not split the layer.",
    ),
    Rule(
        "delays",
        Level.EXECUTABLE,
        "one delay, or one per neuron, of at least 1 us",
        on_program(_delays),
        "For spikes without a delay, omit delay_us.",
    ),
    Rule(
        "delays-whole",
        Level.EXECUTABLE,
        "delays between unsplit layers only",
        on_program(_delays_whole),
        "Do not split layers at either end of a delay.",
    ),
)
