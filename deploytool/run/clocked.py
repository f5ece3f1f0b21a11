"""The clock-driven run: the network as training sees it, in time steps, on the arithmetic of a Program.

Per time step and layer, with n the spikes of each neuron:

    V += sum of w over all input events of the step;   n = trunc(V / threshold) where V >= threshold (at most 1 unless
    ``many``);   V -= n threshold (or V = 0);   V = max(V, floor)

A neuron that leaks starts each step of dt with V = v_leak + (V - v_leak) exp(-dt / tau), and is reset to v_reset.
Layers follow one another within a step, without delay; pooling sums. An event at t is in step t T // duration.
V is int32 for an integer program and float32 otherwise: nothing saturates here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from deploytool.events import EVENT, EventStream
from deploytool.graph import Array
from deploytool.program import INPUT, Program
from deploytool.progress import Tick, no_progress
from deploytool.recording import Recording
from deploytool.run.checks import check_stream, watched_layers
from deploytool.run.engine import in_order
from deploytool.run.kernels import accumulate, fire_step
from deploytool.run.plan import Fired, LayerPlan, channels_last, make_plan
from deploytool.run.sample import Sample, as_map, as_recording, at_times


def run_clocked(
    program: Program, streams: Iterable[EventStream], time_steps: int, many: bool = True,
    watch: Sequence[str] | None = None, rasters: int = 0, threads: int = 1, tick: Tick = no_progress,
) -> Recording:  # fmt: skip
    """The Recording of ``program`` run in ``time_steps`` steps: rung "quantised" in integers, "torch" in float32.

    ``many``: a neuron may fire more than once per step. Recorded spikes carry the time at which their step begins.
    Raises as `Target.run` does.
    """
    integers = program.arithmetic != "float32"
    watched = watched_layers(program, watch)
    plan = make_plan(program, np.int32 if integers else np.float32)
    run = partial(_numbered, program, plan, time_steps, many, watched, rasters)
    return as_recording(program, "quantised" if integers else "torch", watched, in_order(run, streams, threads, tick))


def run_clocked_sample(
    program: Program, plan: Sequence[LayerPlan], stream: EventStream, time_steps: int, many: bool,
    watch: Sequence[str], keep_spikes: bool = False,
) -> Sample:  # fmt: skip
    """What came out for ``stream``: counts of the layers in ``watch``, and their single spikes where asked for."""
    check_stream(program, stream)
    state = {layer.name: np.zeros_like(layer.threshold) for layer in plan}
    counts = {name: np.zeros(math.prod(program.map_of(name)), np.int64) for name in watch}
    spikes = {name: [np.empty(0, EVENT)] for name in watch} if keep_spikes else {}
    step_of = stream.events["t"] * time_steps // stream.duration_us
    bounds = np.searchsorted(step_of, np.arange(time_steps + 1))
    sites = channels_last(stream.events, program.input_shape)
    synops = 0
    for step in range(time_steps):
        arrived = sites[bounds[step] : bounds[step + 1]]
        fired: dict[str, Fired] = {INPUT: (np.ones(len(arrived), np.int64), arrived)}
        for layer in plan:
            v = state[layer.name]
            amounts, places = layer.arrivals(fired)
            if layer.mixed is not None:
                layer.mixed.decay(v, stream.duration_us / time_steps)
            synops += _accumulate(layer, v, places, amounts)
            neurons, amounts = fire_step(v, layer.threshold, layer.floor, layer.subtract, many)
            if layer.mixed is not None:
                layer.mixed.reset(v, neurons)
            layer.leave(fired, amounts, neurons)
        for name in watch:
            counts[name][fired[name][1]] += fired[name][0]
        for name, parts in spikes.items():
            neurons = np.repeat(fired[name][1], fired[name][0])
            begins = np.full(len(neurons), step * stream.duration_us // time_steps)
            parts.append(at_times(begins, neurons, program.map_of(name)))
    kept = {name: np.concatenate(parts) for name, parts in spikes.items()}
    return Sample(
        name=stream.name, label=stream.label, synops=synops,
        counts={name: as_map(neurons, program.map_of(name)) for name, neurons in counts.items()},
        spikes={INPUT: stream.events, **kept} if keep_spikes else {},
    )  # fmt: skip


def _accumulate(layer: LayerPlan, v: Array, sites: Array, amounts: Array) -> int:
    """Adds ``amounts`` of spikes at ``sites``, each through the weights it meets; the number of synaptic updates."""
    if layer.mixed is None:
        return int(accumulate(v, layer.geometry, sites, amounts, layer.coordinates))
    met = layer.mixed.branch_of[sites]
    return sum(
        int(accumulate(v, geometry, sites[met == branch], amounts[met == branch], layer.coordinates))
        for branch, geometry in enumerate(layer.mixed.geometries)
    )


def _numbered(
    program: Program, plan: Sequence[LayerPlan], time_steps: int, many: bool, watch: Sequence[str], rasters: int,
    numbered: tuple[int, EventStream],
) -> Sample:  # fmt: skip
    index, stream = numbered
    return run_clocked_sample(program, plan, stream, time_steps, many, watch, keep_spikes=index < rasters)
