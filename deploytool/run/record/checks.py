"""What every run checks before it starts: the program, its streams, the layers to watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from deploytool.base.arrays import Array, format_shape
from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.chip.chips import Chip, chip_named, chip_names
from deploytool.ir.events import EventStream
from deploytool.ir.nodes import Conv
from deploytool.ir.program import INPUT, Layer, Program
from deploytool.ir.shapes import out_shape

WEIGHTS: Final = {"int8/int16": np.dtype(np.int8), "float32": np.dtype(np.float32)}
"""The type of the weights in each arithmetic."""

TIMESTAMP_MAX: Final = (1 << 32) - 1
"""Largest time in us that a router word holds."""

STATE: Final = np.iinfo(np.int16)
"""The range of V in int8/int16, where it saturates."""

SPIKES_PER_UPDATE_MAX: Final = 1024
"""Where a neuron may fire many times per update: more than this is a mistake in the weights or the threshold."""


IN_FLIGHT_MAX: Final = 1 << 22
"""Spikes that may be on delayed routes at one time: more is a network that excites itself without end."""


def check_program(program: Program) -> None:
    """Raises UnsupportedError telling every reason why ``program`` cannot be run event by event."""
    problems = [problem for name, layer in program.layers.items() for problem in _problems(program, name, layer)]
    problems += _delay_problems(program)
    if problems:
        raise UnsupportedError.together(problems)


def check_stream(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` lives on the program's input map."""
    if stream.shape != program.input_shape:
        raise InputError(
            stream.name,
            f"events on a map of {format_shape(stream.shape)}",
            f"{format_shape(program.input_shape)}, the input of this program",
        )


def check_in_flight(where: str, spikes: int, t_us: int, most: int = IN_FLIGHT_MAX) -> None:
    """Raises UnsupportedError when more than ``most`` ``spikes`` are on delayed routes: they can only become more."""
    if spikes > most:
        raise UnsupportedError(
            where,
            f"{spikes:,} spikes on delayed routes at {t_us} us",
            f"at most {most:,}",
            "The network excites itself without end: use smaller recurrent weights, or a higher threshold.",
        )


def check_mapped(program: Program) -> Chip:
    """The chip that ``program`` was mapped for. Raises UnsupportedError, telling all reasons, when it was not."""
    where = f"program for {program.chip!r}"
    todo = "Map the network for a chip first: deploytool map GRAPH --target speck2e."
    if program.chip not in chip_names():
        raise UnsupportedError(where, "not mapped for a chip", f"one of {', '.join(chip_names())}", todo)
    chip = chip_named(program.chip)
    problems = []
    if program.arithmetic != "int8/int16":
        problems.append(UnsupportedError(where, f"computes in {program.arithmetic}", "int8/int16", todo))
    if lost := [name for name in program.layers if program.core_of.get(name) not in range(len(chip.cores))]:
        need = f"each on one of the {len(chip.cores)} cores"
        problems.append(UnsupportedError(where, f"layers without a core: {', '.join(lost)}", need, todo))
    elif len(set(program.core_of.values())) < len(program.layers):
        problems.append(UnsupportedError(where, "two layers on one core", "a core for each", todo))
    if max(program.input_shape[1:]) > chip.dvs_size or program.input_shape[0] > chip.features_max:
        found = f"an input map of {format_shape(program.input_shape)}"
        need = f"at most {chip.features_max}x{chip.dvs_size}x{chip.dvs_size}, or coordinates would wrap around"
        problems.append(UnsupportedError(where, found, need))
    problems += [
        UnsupportedError(f"layer {to!r}", f"gets spikes of {source!r} with a delay", "routes that take no time")
        for to, _, source, _ in program.delayed
    ]
    problems += [
        UnsupportedError(f"layer {name!r}", "fires more than once per update", "at most one spike per update")
        for name, layer in program.layers.items()
        if not layer.neurons.at_most_one
    ]
    if problems:
        raise UnsupportedError.together(problems)
    return chip


def check_sendable(program: Program, stream: EventStream) -> None:
    """Raises InputError unless ``stream`` fits the program's input map and the 32 bits of a timestamp in us."""
    check_stream(program, stream)
    if stream.duration_us > TIMESTAMP_MAX:
        raise InputError(stream.name, f"lasts {stream.duration_us} us", f"at most {TIMESTAMP_MAX} us", "Cut it.")


def watched_layers(program: Program, watch: Sequence[str] | None) -> tuple[str, ...]:
    """The logical layers to count, in the order of the program: those in ``watch`` (None: all), and the outputs.

    A layer may be called by any graph node it was made from. Raises InputError for a name that is neither.
    """
    called = {**aliases(program), **{name: name for name in program.parts}}
    wanted = {program.place_in(name)[0] for name in program.outputs}
    for name in program.parts if watch is None else watch:
        if name not in called:
            raise InputError("watch", f"no layer {name!r}", f"one of {', '.join(program.parts)}")
        wanted.add(called[name])
    return tuple(name for name in program.parts if name in wanted)


def aliases(program: Program) -> dict[str, str]:
    """{graph node: logical layer made from it}."""
    return {source: program.place_in(name)[0] for name, layer in program.layers.items() for source in layer.sources}


def _problems(program: Program, name: str, layer: Layer) -> Iterator[DeployError]:
    """Why ``layer`` cannot be run. The compiled loops rely on every one of these."""
    where, needed = f"layer {name!r}", WEIGHTS[program.arithmetic]
    if not program.feeders(name):
        yield UnsupportedError(where, "nothing feeds it", "a route that leads to it")
    if layer.bias is not None and layer.bias.any():
        todo = "A bias is a leak on the slow clock, which event-driven targets do not run: train without it."
        yield UnsupportedError(where, "has a bias", "none, or zeros", todo)
    arriving = {route.synapses for _, route in program.feeders(name)}
    for number, synapses in enumerate(layer.synapses):
        at = where if number == 0 else f"{where}, synapses {number}"
        if synapses.weights.dtype != needed:
            found = f"weights of {synapses.weights.dtype} in a program of {program.arithmetic}"
            yield UnsupportedError(at, found, str(needed))
        convolution = Conv(
            synapses.weights, None, synapses.stride, synapses.padding, synapses.dilation, synapses.groups
        )
        if (shape := out_shape(convolution, synapses.in_shape, where=at)) != layer.out_shape:
            found = f"an output map of {format_shape(layer.out_shape)}"
            yield UnsupportedError(at, found, f"{format_shape(shape)}, which its kernel gives")
    if arriving and arriving != set(range(len(layer.synapses))):
        found = f"routes to its synapses {', '.join(map(str, sorted(arriving)))}"
        yield UnsupportedError(where, found, f"some to each of 0..{len(layer.synapses) - 1}")
    yield from (_integer_problems if program.arithmetic == "int8/int16" else _float_problems)(where, layer)


def _delay_problems(program: Program) -> Iterator[DeployError]:
    whole = {INPUT, *(name for name in program.layers if program.place_in(name)[0] == name)}
    for to, _, source, route in program.delayed:
        where, delays = f"route from {source!r} to {to!r}", np.array(route.delay_us)
        neurons = int(np.prod(program.map_of(source)))
        if delays.shape not in ((), (neurons,)):
            yield UnsupportedError(where, f"{delays.size} delays", f"one, or one for each of {neurons} neurons")
        elif delays.min() < 1:
            yield UnsupportedError(where, f"a delay of {delays.min()} us", "delays of at least 1 us")
        if not {source, to} <= whole:
            yield UnsupportedError(where, "a delay between parts of layers", "whole layers")


def _integer_problems(where: str, layer: Layer) -> Iterator[DeployError]:
    threshold = np.asarray(layer.neurons.threshold)
    if threshold.shape not in ((), layer.out_shape):
        yield UnsupportedError(where, f"thresholds of shape {threshold.shape}", f"one number, or {layer.out_shape}")
    elif not _whole(threshold, 1, STATE.max):
        found = layer.neurons.threshold if threshold.ndim == 0 else f"{threshold.min()}..{threshold.max()}"
        yield UnsupportedError(where, f"a threshold of {found}", f"an integer, 1..{STATE.max}")
    if layer.neurons.floor is not None and layer.neurons.floor not in range(STATE.min, 1):
        yield UnsupportedError(where, f"a floor of {layer.neurons.floor}", f"an integer, {STATE.min}..0")
    yield from _start_problems(where, layer)
    if layer.neurons.leak is not None or np.any(layer.neurons.v_reset):
        yield UnsupportedError(where, "leaks or has a v_reset in int8/int16", "neurons without, or float32")


def _float_problems(where: str, layer: Layer) -> Iterator[DeployError]:
    threshold = np.asarray(layer.neurons.threshold)
    heaviest = max(float(synapses.weights.max(initial=0)) for synapses in layer.synapses)
    if not all(np.isfinite(synapses.weights).all() for synapses in layer.synapses):
        yield UnsupportedError(where, "weights that are not finite", "finite ones")
    elif threshold.shape not in ((), layer.out_shape):
        yield UnsupportedError(where, f"thresholds of shape {threshold.shape}", f"one number, or {layer.out_shape}")
    elif not (threshold > 0).all():
        yield UnsupportedError(where, f"a threshold of {threshold.min()}", "more than 0")
    elif (
        not layer.neurons.at_most_one
        and max(heaviest, np.max(layer.neurons.v_init)) / threshold.min() > SPIKES_PER_UPDATE_MAX
    ):
        start = f"v_init {np.max(layer.neurons.v_init)}"
        found = f"weights of up to {heaviest} and {start} against a threshold of {threshold.min()}"
        yield UnsupportedError(where, found, f"at most {SPIKES_PER_UPDATE_MAX} spikes per update")
    else:
        yield from _leak_problems(where, layer)
    if layer.neurons.floor is not None and not layer.neurons.floor <= 0:
        yield UnsupportedError(where, f"a floor of {layer.neurons.floor}", "0 or less")
    yield from _start_problems(where, layer)


def _start_problems(where: str, layer: Layer) -> Iterator[DeployError]:
    v_init, integers = np.asarray(layer.neurons.v_init), layer.synapses[0].weights.dtype.kind == "i"
    if v_init.shape not in ((), layer.out_shape):
        yield UnsupportedError(where, f"v_init of shape {v_init.shape}", f"one number, or {layer.out_shape}")
    elif not np.isfinite(v_init).all() or (integers and not _whole(v_init, STATE.min, STATE.max)):
        need = f"integers, {STATE.min}..{STATE.max}" if integers else "finite numbers"
        yield UnsupportedError(where, f"v_init from {v_init.min()} to {v_init.max()}", need)
    elif layer.neurons.floor is not None and v_init.min() < layer.neurons.floor:
        yield UnsupportedError(where, f"v_init of {v_init.min()}", f"{layer.neurons.floor} or more, which is the floor")


def _whole(values: Array, lowest: int, highest: int) -> bool:
    """Whether all ``values`` are whole numbers, ``lowest`` to ``highest``."""
    return bool(((values >= lowest) & (values <= highest) & (values == np.floor(values))).all())


def _leak_problems(where: str, layer: Layer) -> Iterator[DeployError]:
    number, neurons = np.float32, layer.neurons
    leak = (
        {}
        if neurons.leak is None
        else {name: getattr(neurons.leak, name) for name in ("tau_ms", "tau_syn_ms", "v_leak")}
    )
    for name, value in {**leak, "v_reset": neurons.v_reset}.items():
        if value is not None and np.shape(value) not in ((), layer.out_shape):
            yield UnsupportedError(where, f"{name} of shape {np.shape(value)}", f"one number, or {layer.out_shape}")
        elif name.startswith("tau") and value is not None and not np.all(np.asarray(value) > 0):
            yield UnsupportedError(where, f"{name} is {np.min(value)}", "time constants above 0")
        elif name == "v_reset" and not np.all(np.asarray(value, number) < np.asarray(layer.neurons.threshold, number)):
            yield UnsupportedError(where, "a v_reset that is not below the threshold", "one below it, in float32")
    if layer.neurons.fires_between and not layer.neurons.at_most_one:
        yield UnsupportedError(where, "several spikes at once of neurons that fire between events", "one at a time")
    if layer.neurons.fires_between and layer.part_of is not None:
        yield UnsupportedError(where, "neurons that fire between events, in a part of a layer", "whole layers")
