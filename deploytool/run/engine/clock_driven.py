"""The clock-driven engine: runs the network in time steps, as training does, in the arithmetic of a Program.

V is v_init at the start. Per time step and layer, with n the spikes of each neuron:

    V += sum of w over all input events of the step;   n = trunc(V / threshold) where V >= threshold (at most 1 unless
    ``many``);   V -= n threshold (or V = 0);   V = max(V, floor)

A bias is added as often as the slow clock ticks in a step. An output decimator counts spikes neuron by neuron. A neuron
that leaks advances by a step of dt as one of `steps.DISCRETISATIONS` says, and is reset to v_reset.
Layers follow one another within a step, except along routes with a delay, which takes whole steps; pooling sums.
`deploytool.ir.events.steps_of` assigns events to steps.
V is int32 for an integer program, in which the sum of a step may exceed 16 bits, while that of one event never does;
what remains after firing saturates at the largest V of a core. Otherwise V is float32.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EVENT, EventStream, at_neurons, bounds_of, from_channels_last, neurons_of, starts_of
from deploytool.ir.program import CLOCK, INPUT, STATE, Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import ALL_LAYERS, Watch
from deploytool.run.engine.counted import Counted
from deploytool.run.engine.decimator import Decimator
from deploytool.run.engine.discretisation import DelayedSpikes, Ticks, TimeSteps, advance
from deploytool.run.engine.event_driven import in_order
from deploytool.run.engine.follower import Follower
from deploytool.run.engine.outputs import StepCounts
from deploytool.run.kernels.general import accumulate, fire_step
from deploytool.run.plan.layers import Fired, LayerPlan, Plan, make_plan
from deploytool.run.record.checks import check_kept, check_stream, watched_layers
from deploytool.run.record.samples import Sample, as_recording


def run_clocked(
    program: Program,
    streams: Iterable[EventStream],
    time_steps: TimeSteps,
    watch: Watch = ALL_LAYERS,
    threads: int = 1,
    tick: Tick = no_progress,
) -> Recording:
    """The Recording of ``program`` run in ``time_steps``: rung "quantised" in integers, "torch" in float32.

    Recorded spikes carry the time at which their step begins. Raises as `Target.run` does, and UnsupportedError for
    delays that are not whole steps, and for delays, leaks and biases if steps are of equal counts of events.
    """
    integers = program.arithmetic != "float32"
    watched = watched_layers(program, watch.layers)
    plan = make_plan(program, np.int32 if integers else np.float32)
    if time_steps.bins == "count" and (program.delayed or any(layer.leaks or layer.ticks for layer in plan.layers)):
        need = "neurons that do not leak, and no bias or delay, which need steps of equal time"
        raise UnsupportedError("time steps", "of equal counts of events, which differ in length", need)

    def run(numbered: tuple[int, EventStream]) -> Sample:
        index, stream = numbered
        return run_clocked_sample(plan, stream, time_steps, watched, index < watch.rasters)

    counted = Counted(tick, operator.length_hint(streams, 0))
    samples = in_order(run, streams, threads, counted)
    return as_recording(program, "quantised" if integers else "torch", watched, samples)


def run_clocked_sample(
    plan: Plan,
    stream: EventStream,
    time_steps: TimeSteps,
    watch: Sequence[str],
    keep_spikes: bool = False,
    follower: Follower | None = None,
) -> Sample:
    """The result for ``stream``: counts of the layers in ``watch``, and their single spikes if requested."""
    program = plan.program
    check_stream(program, stream)
    integers, steps = program.arithmetic != "float32", time_steps.number
    state = {layer.name: layer.start.copy() for layer in plan.layers}
    currents = {layer.name: np.zeros_like(layer.start) for layer in plan.layers}
    decimators = {layer.name: Decimator(layer) for layer in plan.layers}
    late, ticks = DelayedSpikes(program, steps, stream.duration_us), Ticks(program, steps, stream.duration_us)
    counts = {name: np.zeros(math.prod(program.map_of(name)), np.int64) for name in watch}
    spikes = {name: [np.empty(0, EVENT)] for name in watch} if keep_spikes else {}
    bounds, starts = bounds_of(stream, steps, time_steps.bins), starts_of(stream, steps, time_steps.bins)
    sites = neurons_of(stream.events, program.input_shape)
    windows = StepCounts(program, stream, steps, time_steps.bins)
    synops = single = 0
    for step in range(steps):
        arrived = sites[bounds[step] : bounds[step + 1]]
        fired: dict[str, Fired] = {CLOCK: ticks.at(step), INPUT: (np.ones(len(arrived), np.int64), arrived)}
        for layer in plan.layers:
            v = state[layer.name]
            amounts, places = late.arrivals(layer, fired, step)
            if follower is not None:
                each = np.repeat(places, amounts)
                follower.arrived(layer, np.full(len(each), step), np.full(len(each), starts[step]), each)
            arrived_at = np.zeros_like(v) if layer.leaks else v
            synops += _accumulate(layer, arrived_at, places, amounts)
            if layer.leaky is not None and layer.leaks:
                dt_us = stream.duration_us / steps
                advance(v, currents[layer.name], arrived_at, layer.leaky.dynamics, dt_us, time_steps.how)
            neurons, amounts = fire_step(v, layer.threshold, layer.floor, layer.subtract, time_steps.many)
            if integers and not time_steps.many:
                np.minimum(v, STATE.max, out=v)
            if layer.leaky is not None:
                layer.leaky.reset(v, neurons)
            layer.leave(fired, *decimators[layer.name].amounts(amounts, neurons))
        late.leave(fired, step)
        windows.add(fired, step)
        for name in watch:
            counts[name][fired[name][1]] += fired[name][0]
        single += sum(int(fired[name][0].sum()) for name in spikes)
        check_kept(stream.name, single)
        for name, parts in spikes.items():
            neurons = np.repeat(fired[name][1], fired[name][0])
            parts.append(at_neurons(starts[step], neurons, program.map_of(name)))
            if follower is not None:
                follower.left(name, np.full(len(neurons), step))
    kept = {name: np.concatenate(parts) for name, parts in spikes.items()}
    return Sample(
        name=stream.name,
        label=stream.label,
        synops=synops,
        counts={name: from_channels_last(neurons, program.map_of(name)) for name, neurons in counts.items()},
        spikes={INPUT: stream.events, **kept} if keep_spikes else {},
        windows=windows.found,
    )


def _accumulate(layer: LayerPlan, v: Array, sites: Array, amounts: Array) -> int:
    """Adds ``amounts`` of spikes at ``sites``, each through its weights; returns the number of synaptic updates."""
    if layer.leaky is None:
        return int(accumulate(v, layer.geometry, sites, amounts, layer.coordinates))
    met = layer.leaky.synapses_of[sites]
    updates = [
        int(accumulate(v, geometry, sites[met == number], amounts[met == number], layer.coordinates))
        for number, geometry in enumerate(layer.leaky.geometries)
    ]
    return sum(updates[:-1] if layer.ticks else updates)
