"""The event-driven engine: layer by layer over chunks of input events, equal to `reference` event for event.

A layer works through its own queue of events in order; queues meet only where routes merge, by causing input event.
So layers may run one after the other over a whole chunk of input events, which is what makes the loops long. State
passes from chunk to chunk; memory does not grow with the length of a recording.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np

from deploytool.events import EVENT, EventStream
from deploytool.graph import Array
from deploytool.program import INPUT, Program
from deploytool.progress import Tick, no_progress
from deploytool.recording import Recording, Rung
from deploytool.run.checks import check_stream, watched_layers
from deploytool.run.kernels import compilations, tally
from deploytool.run.plan import Fired, Integrated, LayerPlan, channels_last, make_plan, state_type
from deploytool.run.sample import Sample, as_map, as_recording, at_times

CHUNK: Final = 1 << 13
"""Input events that go through all layers before the next ones do."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_events(
    program: Program, streams: Iterable[EventStream], rung: Rung, watch: Sequence[str] | None = None,
    rasters: int = 0, threads: int = 1, tick: Tick = no_progress,
    check: Callable[[Program, EventStream], None] = check_stream,
) -> Recording:  # fmt: skip
    """The Recording of ``program`` on ``streams``, as `Target.run` describes it; the same for every ``threads``.

    ``check`` raises when a stream cannot be sent to this target.
    """
    watched = watched_layers(program, watch)
    plan = make_plan(program, state_type(program), vectors=True)
    compile_loops(plan, partial(tick, 0, operator.length_hint(streams, 0)))
    run = partial(_checked, program, plan, watched, rasters, check)
    return as_recording(program, rung, watched, in_order(run, streams, threads, tick))


def compile_loops(plan: Sequence[LayerPlan], tell: Callable[[str], None]) -> None:
    """Has numba compile the loops of ``plan`` that it has not kept from an earlier run; ``tell`` says how far it is."""
    for number, layer in enumerate(plan, start=1):
        before = compilations()
        layer.integrate(layer.rest(), np.empty(0, np.int32))
        if compilations() > before:
            tell(f"compiled {number}/{len(plan)} layers")


def run_sample(
    program: Program, plan: Sequence[LayerPlan], stream: EventStream, watch: Sequence[str], keep_spikes: bool = False
) -> Sample:
    """What came out for ``stream``: counts of the layers in ``watch``, and their single spikes where asked for."""
    state = {layer.name: layer.rest() for layer in plan}
    counts = {name: np.zeros(math.prod(program.map_of(name)), np.int64) for name in watch}
    spikes = {name: [np.empty(0, EVENT)] for name in watch} if keep_spikes else {}
    extremes = {layer.name: (0, 0) for layer in plan if layer.layout is None}
    traced = keep_spikes or any(len(layer.feeders) > 1 or layer.part is not None or layer.leaks for layer in plan)
    synops = 0
    for start in range(0, len(stream), CHUNK):
        chunk = stream.events[start : start + CHUNK]
        fired: dict[str, Fired] = {INPUT: (np.arange(len(chunk)), channels_last(chunk, program.input_shape))}
        for layer in plan:
            result = _through(layer, state[layer.name], chunk["t"], fired, traced)
            synops += result.updates
            if result.extremes is not None:
                low, high = extremes[layer.name]
                extremes[layer.name] = min(low, int(result.extremes[0])), max(high, int(result.extremes[1]))
        for name in watch:
            tally(counts[name], fired[name][1])
        for name, parts in spikes.items():
            parts.append(at_times(chunk["t"][fired[name][0]], fired[name][1], program.map_of(name)))
    kept = {name: np.concatenate(parts) for name, parts in spikes.items()}
    return Sample(
        name=stream.name, label=stream.label, synops=synops,
        counts={name: as_map(neurons, program.map_of(name)) for name, neurons in counts.items()},
        spikes={INPUT: stream.events, **kept} if keep_spikes else {},
        extremes={} if program.arithmetic == "float32" else extremes,
    )  # fmt: skip


def _through(
    layer: LayerPlan, state: Any, times_us: Array, fired: dict[str, Fired], traced: bool
) -> Integrated:  # fmt: skip
    """What the spikes in ``fired`` cause in ``layer``; adds its spikes there, with their causes where ``traced``.

    ``times_us`` are those of the input events, by which a cause is numbered.
    """
    causes, sites = layer.arrivals(fired)
    if len(layer.feeders) > 1:
        order = np.argsort(causes, kind="stable")
        causes, sites = causes[order], sites[order]
    result = layer.integrate(state, sites, times_us[causes]) if layer.leaks else layer.integrate(state, sites)
    tags = causes if layer.part is None else np.arange(len(causes))
    layer.leave(fired, np.repeat(tags, result.caused) if traced else tags[:0], result.neurons)
    if layer.part is not None and layer.part.last:
        fired[layer.part.logical] = side_by_side(causes, *fired[layer.part.logical])
    return result


def side_by_side(causes: Array, places: Array, neurons: Array) -> Fired:
    """The spikes of all parts of a logical layer as it would fire whole: the n-th event in the queue, which is the
    same for all, lets ``neurons`` with n in ``places`` fire, row by row, column by column, feature by feature."""
    order = np.lexsort((neurons, places))
    return causes[places[order]], neurons[order]


def in_order(
    function: Callable[[tuple[int, _Item]], _Result], items: Iterable[_Item], threads: int, tick: Tick
) -> Iterator[_Result]:
    """``function((index, item))`` of all ``items`` in their order, computed by ``threads`` threads.

    Items are taken only a few ahead, so that a long sequence need not be in memory at once.
    """
    total = operator.length_hint(items, 0)
    with ThreadPoolExecutor(threads) as pool:
        try:
            futures = _ahead(pool, function, enumerate(items), 2 * threads)
            for done, future in enumerate(futures, start=1):
                result = future.result()
                tick(done, max(total, done), "")
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[Future[_Result]]:
    """A future for each of ``items``, in order; work on the ``ahead`` that follow has begun when one is handed out."""
    pending: deque[Future[_Result]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft()
    yield from pending


def _checked(
    program: Program, plan: Sequence[LayerPlan], watch: Sequence[str], rasters: int,
    check: Callable[[Program, EventStream], None], numbered: tuple[int, EventStream],
) -> Sample:  # fmt: skip
    index, stream = numbered
    check(program, stream)
    return run_sample(program, plan, stream, watch, keep_spikes=index < rasters)
