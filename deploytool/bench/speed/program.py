"""The speed of one program on given samples: throughput, latency, and where the time goes, layer by layer."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from importlib.metadata import version
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.machine import processor, threads
from deploytool.base.native import lanes_of
from deploytool.base.numbers import rounded
from deploytool.base.progress import Tick
from deploytool.ir.events import EventStream
from deploytool.ir.program import Program
from deploytool.run.engine.event_driven import batches, compile_loops, keep_freed_memory, run_samples
from deploytool.run.kernels.limit import UPDATES, limit
from deploytool.run.plan.layers import NO_TIMES, Caused, Integrated, LayerPlan, Plan, make_plan, state_type
from deploytool.run.record.samples import Room

PASS_S: Final = 0.25
"""Seconds of the engine's own time for one pass over the samples: they are repeated, or fewer are taken."""

LATENCIES: Final = 200
"""Number of samples run alone to measure the latency."""

LEAST_NOISE: Final = 0.03
"""The smallest noise that is stated, as a share."""


@dataclass
class Spent:
    """What a layer took, and what it did while that is ``counted``. This object is mutable: runs add to it."""

    seconds: float = 0.0
    counted: bool = True
    events: int = 0
    spikes: int = 0
    updates: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class TimedLayer(LayerPlan):
    """A layer that adds to ``spent`` what it does and takes."""

    spent: Spent

    def integrate(self, state: Any, sites: Array, times_us: Array = NO_TIMES) -> Integrated:
        """As `LayerPlan.integrate`."""
        start = time.thread_time()
        result = super().integrate(state, sites, times_us)
        self._add(start, sites, result)
        return result

    def integrate_samples(self, state: Any, sites: Array, ends: Array, times_us: Array = NO_TIMES) -> Caused:
        """As `LayerPlan.integrate_samples`."""
        if self.layout is None:
            return super().integrate_samples(state, sites, ends, times_us)
        start = time.thread_time()
        result = super().integrate_samples(state, sites, ends, times_us)
        self._add(start, sites, result)
        return result

    def _add(self, start: float, sites: Array, result: Integrated | Caused) -> None:
        self.spent.seconds += time.thread_time() - start
        if not self.spent.counted:
            return
        self.spent.events += len(sites)
        self.spent.spikes += len(result.neurons)
        self.spent.updates += int(self.reach[sites].sum())


def measure(program: Program, streams: Sequence[EventStream], repeats: int, tick: Tick) -> dict[str, Any]:
    """The speed of ``program`` on ``streams``, the shortest of ``repeats``, each with its noise; see `noise_of`.

    All measures, and the loop of the machine's limit, take turns, so that drifts of the machine affect all of them. On
    one thread only its own time counts, not that of other processes on its core.
    Raises InputError without samples, UnsupportedError for a program that cannot be run event by event.
    """
    if not streams:
        raise InputError("--data", "no samples", "at least one")
    plan = make_plan(program, state_type(program), vectors=True)
    compile_loops(plan, lambda text: tick(0, repeats, text))
    keep_freed_memory()
    timed = [TimedLayer(**{f.name: getattr(each, f.name) for f in fields(each)}, spent=Spent()) for each in plan.layers]
    sent = _enough(plan, streams)
    taken = _rounds(plan, timed, sent, repeats, tick)
    synops, own = sum(each.spent.updates for each in timed), taken.own
    layers = _layers(timed, taken.layers, UPDATES / min(own["limit"]), len(sent))
    latency = _latencies(plan, streams)
    return {
        "machine": machine(),
        "arithmetic": program.arithmetic,
        "samples": len(sent),
        "events per sample": rounded(float(np.mean([len(stream) for stream in sent]))),
        "repeats": repeats,
        "speed": [
            _speed("one thread", own["one thread"], len(sent), synops, 1),
            _speed("all threads", taken.wall["all threads"], len(sent), synops, threads()),
        ],
        "all threads, times one": {
            "engine": rounded(min(taken.wall["one thread"]) / min(taken.wall["all threads"])),
            "loop of the limit": rounded(threads() * min(taken.wall["limit"]) / min(taken.wall["limit, all threads"])),
        },
        "latency of one sample in ms": {
            name: rounded(1e3 * float(np.percentile(latency, percentile)))
            for name, percentile in (("median", 50), ("90 %", 90), ("99 %", 99), ("longest", 100))
        },
        "layers": layers,
        "where the time goes": _shares(layers, min(own["one thread"]) / len(sent)),
        "measures": _measures(taken, layers, len(sent), median(latency)),
    }


class Taken(NamedTuple):
    """The seconds of every round: ``own`` {what: the thread's own}, ``wall`` {what: by the clock}, and the own ones of
    ``layers``, each (rounds,)."""

    own: dict[str, list[float]]
    wall: dict[str, list[float]]
    layers: list[list[float]]


def _rounds(plan: Plan, timed: Sequence[TimedLayer], sent: Sequence[EventStream], repeats: int, tick: Tick) -> Taken:
    """Everything that is measured, in turn, for ``repeats`` rounds after one that is not counted."""
    followed, state = Plan(plan.program, tuple(timed), stepwise=True), state_type(plan.program)
    sides: dict[str, Callable[[], object]] = {
        "limit": limit(state),
        "one thread": lambda: _run(plan, sent, 1),
        "all threads": lambda: _run(plan, sent, threads()),
        "layers": lambda: _run(followed, sent, 1),
        "limit, all threads": lambda: _limits(state, threads()),
    }
    taken = Taken({name: [] for name in sides}, {name: [] for name in sides}, [[] for _ in timed])
    for number in range(repeats + 1):
        before = [each.spent.seconds for each in timed]
        for name, side in sides.items():
            wall, own = time.perf_counter(), time.thread_time()
            side()
            if number:
                taken.wall[name].append(time.perf_counter() - wall)
                taken.own[name].append(time.thread_time() - own)
        for of_layer, each, then in zip(taken.layers, timed, before, strict=True):
            if number:
                of_layer.append(each.spent.seconds - then)
            each.spent.counted = False
        tick(number + 1, repeats + 1, "")
    return taken


def machine() -> dict[str, Any]:
    """What the figures depend on besides the program."""
    return {
        "processor": processor(),
        "threads": threads(),
        "lanes of int16": lanes_of(np.int16),
        "system": platform.system(),
        "Python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
    }


def noise_of(seconds: Sequence[float]) -> float:
    """The noise of a shortest time: how far the median lies above it, as a share, at least `LEAST_NOISE`."""
    return max(LEAST_NOISE, median(seconds) / min(seconds) - 1)


def _enough(plan: Plan, streams: Sequence[EventStream]) -> list[EventStream]:
    """Samples of ``streams`` that take about `PASS_S` together, all again and again if they are few."""
    _run(plan, streams[:1], 1)
    start = time.perf_counter()
    _run(plan, streams[:8], 1)
    each = (time.perf_counter() - start) / len(streams[:8])
    wanted = max(1, round(PASS_S / max(each, 1e-6)))
    wanted = min(wanted, max(len(streams), 512))
    return [streams[number % len(streams)] for number in range(wanted)]


def _run(plan: Plan, streams: Sequence[EventStream], workers: int) -> None:
    def one(batch: Any) -> None:
        room = Room(plan.program, plan.program.outputs, len(batch.streams))
        run_samples(plan, batch.streams, room.take(0, len(batch.streams)))

    if workers == 1:
        for batch in batches(streams, rasters=0):
            one(batch)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(one, batches(streams, rasters=0)):
            pass


def _limits(state: Any, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda side: side(), [limit(state) for _ in range(workers)]):
            pass


def _latencies(plan: Plan, streams: Sequence[EventStream]) -> list[float]:
    taken = []
    for number in range(LATENCIES):
        start = time.perf_counter()
        _run(plan, [streams[number % len(streams)]], 1)
        taken.append(time.perf_counter() - start)
        if sum(taken) > 10 * PASS_S and number >= len(streams[:20]):
            break
    return taken


def _speed(what: str, seconds: Sequence[float], samples: int, synops: int, used: int) -> dict[str, Any]:
    best = min(seconds)
    return {
        "what": what,
        "threads": used,
        "samples/s": rounded(samples / best),
        "ms per sample": rounded(1e3 * best / samples),
        "GSynOps/s": rounded(synops / best / 1e9),
        "noise in %": rounded(100 * noise_of(seconds)),
    }


def _layers(
    timed: Sequence[TimedLayer], seconds: Sequence[Sequence[float]], most: float, samples: int
) -> list[dict[str, Any]]:
    rows = []
    for layer, taken in zip(timed, seconds, strict=True):
        spent, best = layer.spent, max(min(taken), 1e-9)
        updates = spent.updates
        rows.append(
            {
                "layer": layer.name,
                "map": "x".join(map(str, layer.shape)),
                "loop": loop_of(layer),
                "events": rounded(spent.events / samples),
                "spikes": rounded(spent.spikes / samples),
                "SynOps": rounded(updates / samples),
                "ms per sample": rounded(1e3 * best / samples),
                "GSynOps/s": rounded(updates / best / 1e9),
                "share of the limit in %": rounded(100 * updates / best / most),
                "noise in %": rounded(100 * noise_of([max(each, 1e-9) for each in taken])),
            }
        )
    return rows


def loop_of(layer: LayerPlan) -> str:
    """Which of the engine's loops runs ``layer``."""
    if layer.layout is not None:
        return layer.layout.loop
    if layer.leaky is None:
        return "general"
    return "general, with times" if layer.leaks else "general, several sets of weights or a bias"


def _shares(layers: Sequence[Mapping[str, Any]], total_s: float) -> list[dict[str, Any]]:
    in_layers = [(f"layer {row['layer']}", row["ms per sample"]) for row in layers]
    rest = max(0.0, 1e3 * total_s - sum(taken for _, taken in in_layers))
    parts = [*in_layers, ("between layers: queues, load, decisions", rest)]
    total = sum(taken for _, taken in parts)
    return [{"what": what, "ms per sample": rounded(ms), "share in %": rounded(100 * ms / total)} for what, ms in parts]


def _measures(
    taken: Taken, layers: Sequence[Mapping[str, Any]], samples: int, latency: float
) -> dict[str, dict[str, float | None]]:
    """{what is compared: its ms, its noise, and its time as a multiple of that of 10^6 updates of the limit's loop}."""
    unit = 1e3 * min(taken.own["limit"]) / UPDATES * 1e6
    one, every = taken.own["one thread"], taken.wall["all threads"]
    found = {
        "sample, one thread": (1e3 * min(one) / samples, noise_of(one)),
        "sample, all threads": (1e3 * min(every) / samples, noise_of(every)),
        "latency, median": (1e3 * latency, noise_of(taken.wall["one thread"])),
        **{f"layer {row['layer']}": (row["ms per sample"], row["noise in %"] / 100) for row in layers},
    }
    drift = noise_of(taken.own["limit"])
    return {
        name: {"ms": rounded(ms), "noise in %": rounded(100 * (noise + drift)), "times the limit's": ms / unit}
        for name, (ms, noise) in found.items()
    }
