"""The event-driven engine compared with the machine's limit and with sinabs; by threads, length and network size."""

from __future__ import annotations

import importlib.util
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.bench.speed.networks import (
    DVS,
    DVS_POOL,
    NMNIST,
    NMNIST_NETWORK,
    VGG9,
    Spiking,
    network,
    random_stream,
)
from deploytool.bench.speed.program import loop_of
from deploytool.bench.speed.timing import in_turn
from deploytool.ir.events import EventStream, frames_of, neurons_of
from deploytool.ir.program import Arithmetic, Program
from deploytool.run.engine.event_driven import batches, keep_freed_memory, run_sample, run_samples
from deploytool.run.kernels.limit import UPDATES, limit
from deploytool.run.plan.layers import Plan, make_plan, state_type
from deploytool.run.record.samples import Room
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target

ARITHMETICS: Final[tuple[Arithmetic, ...]] = ("int8/int16", "float32")
RATES: Final = {"low": 0.1, "high": 1.0}
"""Output spikes per input event of one layer."""


class SingleLayer(NamedTuple):
    """A layer on a map of ``shape``, and the target share of the limit in int8/int16, at each of `RATES`."""

    shape: Shape
    layer: Spiking
    aims: Mapping[str, float] = {}


LAYERS: Final = (
    SingleLayer((2, 34, 34), Spiking(8, 5, 1, padding=2), {"low": 0.16, "high": 0.08}),
    SingleLayer((8, 32, 32), Spiking(16, 3, 1, padding=1), {"low": 0.16, "high": 0.08}),
    SingleLayer((16, 32, 32), Spiking(32, 3, 1, padding=1)),
    SingleLayer((32, 32, 32), Spiking(64, 3, 1, padding=1), {"low": 0.30, "high": 0.21}),
    SingleLayer((64, 16, 16), Spiking(128, 3, 1, padding=1), {"low": 0.30, "high": 0.21}),
    SingleLayer((128, 8, 8), Spiking(128, 3, 1, padding=1), {"low": 0.30, "high": 0.21}),
    SingleLayer((256, 8, 8), Spiking(512, 3, 1, padding=1)),
    SingleLayer((512, 1, 1), Spiking(64, 1, 1)),
    SingleLayer((2, 34, 34), Spiking(16, 5, 1, padding=2, stride=2), {"low": 0.09, "high": 0.055}),
)

EVENTS: Final = 200_000
"""Number of events: enough that the CPU's branch predictor cannot remember which of them make a neuron fire."""

ROUNDS: Final = 9
NETWORK_ROUNDS: Final = 25
LENGTHS: Final = tuple(10**n for n in range(5, 10))
SAMPLES: Final = 512
THREADS: Final = (1, 2)
BATCHES: Final = (1, 4, 16)
STEPS: Final = 300

_Result = TypeVar("_Result")


class Took(NamedTuple):
    """``seconds`` per sample, with ``batch`` samples at once; 0 if the engine decides how many."""

    what: str
    threads: int
    batch: int
    seconds: float


def simulator() -> dict[str, Any]:
    """Single layers, the N-MNIST network, the cost of a synaptic update in short and long recordings, and the aims."""
    layers, took, lengths = _layers(), _network(), _lengths()
    first = took[0].seconds
    return {
        "layers": layers,
        "network of 6,160 weights": [
            {"what": each.what, "ms per sample": 1e3 * each.seconds, "times the first row's time": each.seconds / first}
            for each in took
        ],
        "lengths": lengths,
        "aims": aims(took, [row["ns per SynOp"] for row in lengths], _gain_of_two_threads()),
    }


def aims(took: Sequence[Took], ns_per_synop: Sequence[float], most: float) -> list[dict[str, Any]]:
    """The aims for whole networks, and the measured values. ``most``: the gain of two threads on this machine."""
    ours = {each.threads: each.seconds for each in took if not each.batch}
    found: list[tuple[str, float, str | None]] = [
        ("ms per sample, one thread", 1e3 * ours[1], "at most 0.5"),
        ("two threads against one, times as fast", ours[1] / ours[2], "at least 1.9"),
        ("two threads against one in the loop of the limit, which share nothing but the machine", most, None),
        ("ns per SynOp from 10^5 to 10^9, most against least", max(ns_per_synop) / min(ns_per_synop), "at most 1.2"),
    ]
    for threads, own in ours.items():
        if peers := [each for each in took if each.batch and each.threads == threads]:
            best = min(peers, key=lambda each: each.seconds)
            found.append((f"{best.what}, times as slow", best.seconds / own, "at least 100"))
    return [{"what": what, "measured": measured, "aim": aim} for what, measured, aim in found]


def _layers() -> list[dict[str, Any]]:
    return [_layer(each, arithmetic, firing) for arithmetic in ARITHMETICS for each in LAYERS for firing in RATES]


def _layer(single: SingleLayer, arithmetic: Arithmetic, firing: str) -> dict[str, Any]:
    """The speed of one layer, whose neurons fire at the rate called ``firing``, compared with this machine's limit."""
    shape, spec = single.shape, single.layer
    stream = random_stream(shape, EVENTS)
    wanted = Spiking(spec.features, spec.kernel, RATES[firing], spec.padding, spec.stride)
    program = network(shape, [wanted], arithmetic, stream)
    (layer,) = make_plan(program, state_type(program), vectors=True).layers
    sites = neurons_of(stream.events, shape)
    found = layer.integrate(layer.rest(), sites)
    seconds, at_limit = in_turn(
        lambda: layer.integrate(layer.rest(), sites),
        limit(state_type(program)),
        repetitions=ROUNDS,
        clock=time.thread_time,
    )
    speed, most = int(layer.reach[sites].sum()) / seconds, UPDATES / at_limit
    return {
        "map": "x".join(map(str, shape)),
        "to": spec.features,
        "k": spec.kernel,
        "s": spec.stride,
        "arithmetic": arithmetic,
        "loop": loop_of(layer),
        "spikes/event": len(found.neurons) / len(sites),
        "GSynOps/s": speed / 1e9,
        "limit": most / 1e9,
        "share": speed / most,
        "aim": single.aims.get(firing) if arithmetic == "int8/int16" else None,
    }


def _network() -> list[Took]:
    """The engine and sinabs, each on one thread and on two, with the same weights in time steps of 1 ms."""
    streams = [random_stream(NMNIST, 4000, seed) for seed in range(SAMPLES)]
    program = network(NMNIST, NMNIST_NETWORK, "int8/int16", streams[0])
    targets = [make_target("simulator", Options(threads=threads)) for threads in THREADS]
    ours = in_turn(*(partial(target.run, program, streams) for target in targets), repetitions=NETWORK_ROUNDS)
    took = [
        Took(f"event by event, threads: {threads}", threads, 0, seconds / SAMPLES)
        for threads, seconds in zip(THREADS, ours, strict=True)
    ]
    if importlib.util.find_spec("sinabs") is not None:
        took += [
            Took(
                f"sinabs, {STEPS} steps, threads: {threads}, batches of {batch}",
                threads,
                batch,
                _sinabs(program, streams[:batch], threads) / batch,
            )
            for threads in THREADS
            for batch in BATCHES
        ]
    return took


def _gain_of_two_threads() -> float:
    """The speed-up of two threads over one for work that only the machine limits."""
    own = limit(np.int16), limit(np.int16)

    def work(thread: int) -> None:
        for _ in range(SAMPLES):
            own[thread]()

    with ThreadPoolExecutor(2) as pool:
        one, two = in_turn(
            lambda: list(map(work, range(2))), lambda: list(pool.map(work, range(2))), repetitions=ROUNDS
        )
    return one / two


def _sinabs(program: Program, streams: Sequence[EventStream], threads: int = 1, repetitions: int = 3) -> float:
    """Seconds that sinabs takes on ``threads`` for a batch of ``streams``, from events to spikes of the last layer."""
    import torch
    from sinabs.layers import IAFSqueeze

    torch.set_num_threads(threads)
    net = torch.nn.Sequential()
    pool = program.input_routes[0].pool
    for layer in program.layers.values():
        synapses, neurons = layer.single, layer.neurons
        after, before, *_ = synapses.weights.shape
        conv = torch.nn.Conv2d(before, after, synapses.kernel, synapses.stride, synapses.padding, bias=False)
        conv.weight.data = torch.from_numpy(synapses.weights.astype(np.float32))
        if pool != (1, 1):
            net.append(torch.nn.LPPool2d(1, pool))
        net.append(conv)
        net.append(IAFSqueeze(batch_size=len(streams), spike_threshold=neurons.threshold, min_v_mem=neurons.floor))
        pool = layer.routes[0].pool if layer.routes else (1, 1)

    def run() -> None:
        frames = np.stack([frames_of(stream, STEPS) for stream in streams]).astype(np.float32)
        for module in net:
            if isinstance(module, IAFSqueeze):
                module.reset_states()
        with torch.no_grad():
            net(torch.from_numpy(frames).flatten(0, 1))

    return in_turn(run, repetitions=repetitions)[0]


def _lengths() -> list[dict[str, Any]]:
    """Samples of 10^5 to 10^9 updates: time per update, and the memory of a sample in addition to its events."""
    program = network(NMNIST, NMNIST_NETWORK, "int8/int16", random_stream(NMNIST, 4000))
    plan = make_plan(program, state_type(program), vectors=True)
    sets = []
    for synops in LENGTHS:
        events = events_for(plan, synops)
        sets.append([random_stream(NMNIST, events, seed) for seed in range(max(1, LENGTHS[-2] // synops))])
    seconds = in_turn(*(partial(synops_of, plan, streams) for streams in sets), clock=time.thread_time)
    rows = []
    for streams, taken in zip(sets, seconds, strict=True):
        synops, peak = _peak(partial(synops_of, plan, streams[:1]))
        total = synops_of(plan, streams)
        rows.append(
            {
                "samples": len(streams),
                "events": len(streams[0]),
                "SynOps": synops,
                "ns per SynOp": 1e9 * taken / total,
                "MB": peak,
            }
        )
    return rows


def events_for(plan: Plan, synops: int) -> int:
    """The number of events that cause about ``synops`` updates, found by trial: neurons at rest fire later."""
    events = 4000
    for _ in range(4):
        found = synops_of(plan, [random_stream(NMNIST, events)])
        events = max(1, round(events * synops / found))
    return events


def large() -> list[dict[str, Any]]:
    """A sample of 10^5 events through the network of 9.2 million weights and 409,600 neurons, compared with sinabs."""
    stream = random_stream(DVS, 100_000)
    rows: list[dict[str, Any]] = []
    for arithmetic in ARITHMETICS:
        program = network(DVS, VGG9, arithmetic, stream, DVS_POOL)
        plan, megabytes = _peak(partial(make_plan, program, state_type(program), vectors=True))
        sample, more = _peak(partial(run_sample, plan, stream, tuple(program.layers)))
        (seconds,) = in_turn(partial(synops_of, plan, [stream]), clock=time.thread_time)
        rows.append(
            {
                "what": arithmetic,
                "s per sample": seconds,
                "SynOps": sample.synops,
                "spikes": sum(int(counts.sum()) for counts in sample.counts.values()),
                "GSynOps/s": sample.synops / seconds / 1e9,
                "MB": megabytes + more,
            }
        )
    if importlib.util.find_spec("sinabs") is not None:
        rows.append({"what": f"sinabs, {STEPS} steps", "s per sample": _sinabs(program, [stream], repetitions=1)})
    return [{**row, "times the first row's time": row["s per sample"] / rows[0]["s per sample"]} for row in rows]


def synops_of(plan: Plan, streams: Sequence[EventStream]) -> int:
    """Runs ``streams`` on this thread, as a target does; returns their synaptic updates."""
    keep_freed_memory()
    total = 0
    for batch in batches(streams, rasters=0):
        room = Room(plan.program, plan.program.outputs, len(batch.streams))
        total += int(run_samples(plan, batch.streams, room.counts).synops.sum())
    return total


def _peak(call: Callable[[], _Result]) -> tuple[_Result, float]:
    """The result of ``call``, and the peak memory in MB that it used."""
    tracemalloc.start()
    result = call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, peak / 1e6
