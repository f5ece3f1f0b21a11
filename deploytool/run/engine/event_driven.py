"""The event-driven engine: layer by layer over batches of input events, equal to `reference` event for event.

A layer processes its own queue of events in order. Queues are merged only where routes meet, ordered by causing input
event. Layers can therefore run one after another over a whole batch of input events, which keeps the loops long. A
batch is several small samples with `Limits.chunk` events in total, each starting at rest, or that many events of a long
sample, whose state is passed from chunk to chunk. Memory does not grow with the length of a recording.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.compiled import compilations
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EVENT, Events, EventStream, at_neurons, channels_last
from deploytool.ir.program import INPUT, Program
from deploytool.run.engine.chained import run_chained
from deploytool.run.engine.counted import Counted
from deploytool.run.engine.decimator import Decimator
from deploytool.run.engine.follower import Follower
from deploytool.run.engine.limits import LIMITS, Limits, chunks
from deploytool.run.engine.ticks import with_clock, with_ticks
from deploytool.run.engine.timing import BatchTiming
from deploytool.run.engine.windowed import needs_windows, run_in_windows
from deploytool.run.kernels.batches import Queue, merge, sites_of, spread, tally_samples
from deploytool.run.plan.layers import NO_TIMES, Caused, LayerPlan, Plan, places_on
from deploytool.run.record.checks import check_kept
from deploytool.run.record.samples import Room, Sample, Samples, together

KEPT: Final = 1 << 23
"""Number of bytes of an array that is freed at once, larger than all arrays of a batch together."""

NO_CAUSES: Final = np.empty(0, np.int32)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batch(NamedTuple):
    """Streams that run together, from sample ``first`` on, and whether their single spikes are kept."""

    first: int
    streams: list[EventStream]
    keep_spikes: bool


class Running(NamedTuple):
    """A layer in a run: its ``state`` and the counters of its ``decimator`` change."""

    layer: LayerPlan
    state: Any
    decimator: Decimator


def run_streams(
    plan: Plan,
    streams: Iterable[EventStream],
    room: Room,
    threads: int = 1,
    tick: Tick = no_progress,
    limits: Limits = LIMITS,
) -> Iterator[Samples]:
    """The results for ``streams``, batch by batch, counted in ``room``; independent of the number of ``threads``."""
    compile_loops(plan, partial(tick, 0, room.total))
    keep_freed_memory()
    counted = Counted(tick, room.total)

    def run(numbered: tuple[int, Batch]) -> Samples:
        number, batch = numbered
        counts = room.take(batch.first, len(batch.streams))
        heard = replace(limits, heard=partial(counted.part, number)) if len(batch.streams) == 1 else limits
        return run_samples(plan, batch.streams, counts, batch.keep_spikes, heard)

    return in_order(run, batches(streams, room.rasters, limits.chunk), threads, counted, len)


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory up to twice `KEPT` bytes for the next batch.

    glibc returns freed memory to the system beyond twice the largest array that it ever gave back, and every batch
    would begin with page faults, a tenth of its time. Other allocators are not affected.
    """
    np.empty(KEPT, np.uint8)


def compile_loops(plan: Plan, tell: Callable[[str], None]) -> None:
    """Compiles the loops of ``plan`` that are not kept; reports progress to ``tell``."""
    for number, layer in enumerate(plan.layers, start=1):
        before = compilations()
        layer.integrate(layer.rest(), np.empty(0, np.int32))
        if compilations() > before:
            tell(f"compiled {number}/{len(plan.layers)} layers")
    run_samples(plan, [EventStream(np.empty(0, EVENT), plan.program.input_shape, 1)], {})


def batches(
    streams: Iterable[EventStream], rasters: int, events_max: int = LIMITS.chunk, samples_max: int = sys.maxsize
) -> Iterator[Batch]:
    """Batches of ``streams``, in order: as many together as have no more than ``events_max`` events, at least one.

    The single spikes of the first ``rasters`` streams are kept, and of no others.
    """
    batch, events = Batch(0, [], rasters > 0), 0
    for index, stream in enumerate(streams):
        length = len(stream)
        full = events + length > events_max or len(batch.streams) == samples_max
        if batch.streams and (full or index == rasters):
            yield batch
            batch, events = Batch(index, [], index < rasters), 0
        batch.streams.append(stream)
        events += length
    if batch.streams:
        yield batch


def run_sample(
    plan: Plan, stream: EventStream, watch: Sequence[str], keep_spikes: bool = False, limits: Limits = LIMITS
) -> Sample:
    """The result for ``stream``: counts of the layers in ``watch``, and their single spikes if requested."""
    return run_samples(plan, [stream], Room(plan.program, watch).take(0, 1), keep_spikes, limits)[0]


def run_samples(
    plan: Plan,
    streams: Sequence[EventStream],
    counts: Mapping[str, Array],
    keep_spikes: bool = False,
    limits: Limits = LIMITS,
    follower: Follower | None = None,
) -> Samples:
    """The results for ``streams``, equal to those of `run_sample`; all pass through each layer together.

    ``counts`` {logical layer: zeros (S, C, H, W)} selects the layers to count and receives the counts. A ``follower``
    is told of all events; it needs ``keep_spikes``.
    """
    program, layers = plan.program, plan.layers
    if needs_windows(plan):
        run = partial(run_in_windows, watch=[*counts], keep_spikes=keep_spikes, limits=limits, follower=follower)
        return _filled(counts, [run(plan, stream) for stream in streams])
    if plan.chain is not None and not keep_spikes and all(stream.targets is None for stream in streams):
        return run_chained(program, plan.chain, streams, counts, limits)
    running = [Running(layer, layer.rest(), Decimator(layer, len(streams))) for layer in layers]
    timing = BatchTiming(plan, streams)
    kept = _Kept(program, streams, [*counts] if keep_spikes else [], follower)
    measured = [layer.name for layer in layers if layer.layout is None and program.arithmetic != "float32"]
    extremes = {name: np.zeros((len(streams), 2), np.int64) for name in measured}
    traced = keep_spikes or len(program.outputs) > 1 or timing.windows.wanted
    traced |= any(len(layer.feeders) > 1 or layer.part is not None or layer.leaks or layer.ticks for layer in layers)
    sent, passed = sum(map(len, streams)), 0
    for events, ends in chunks([with_ticks(program, stream) for stream in streams], limits.chunk):
        fired = _arrived(program, events, ends, traced, timing.begin(events, ends))
        for each in running:
            layer = each.layer
            queue = _queue(layer, fired)
            if follower is not None:
                follower.arrived(layer, queue.causes, events["t"][queue.causes], queue.neurons)
            result = _through(each, fired, queue, traced, timing)
            if layer.name in extremes:
                extremes[layer.name] = _wider(extremes[layer.name], result.extremes)
        timing.end(fired)
        passed += len(events)
        limits.heard(passed / max(1, sent))
        for name, maps in counts.items():
            queue = fired[name]
            tally_samples(maps.reshape(len(streams), -1), places_on(maps.shape[1:]), queue.neurons, queue.ends)
        kept.add(fired, events["t"])
    return Samples(
        names=tuple(stream.name for stream in streams),
        labels=tuple(stream.label for stream in streams),
        counts=counts,
        synops=timing.load.totals(),
        extremes=extremes,
        decisions_us=timing.decisions.found,
        load=timing.load.found,
        windows=timing.windows.found,
        spikes={INPUT: [stream.events for stream in streams], **kept.streams()} if keep_spikes else {},
    )


class _Kept:
    """The single spikes of the layers in ``watch`` for ``streams`` that run together. This object is mutable."""

    def __init__(
        self, program: Program, streams: Sequence[EventStream], watch: Sequence[str], follower: Follower | None
    ) -> None:
        self.program, self.batch, self.follower = program, streams, follower
        self.parts = {name: [[np.empty(0, EVENT)] for _ in streams] for name in watch}
        self.single = 0

    def add(self, fired: Mapping[str, Queue], t_us: Array) -> None:
        """Adds the spikes of a chunk of events at ``t_us``. Raises UnsupportedError for more than can be kept."""
        self.single += sum(len(fired[name].neurons) for name in self.parts)
        check_kept(self.batch[0].name, self.single)
        for name, parts in self.parts.items():
            queue = fired[name]
            left = at_neurons(t_us[queue.causes], queue.neurons, self.program.map_of(name))
            if self.follower is not None:
                self.follower.left(name, queue.causes)
            for of_sample, part in zip(parts, np.split(left, queue.ends[:-1]), strict=True):
                of_sample.append(part)

    def streams(self) -> dict[str, list[Events]]:
        """{layer: the spikes of each sample}."""
        return {name: [np.concatenate(of_sample) for of_sample in parts] for name, parts in self.parts.items()}


def _filled(counts: Mapping[str, Array], samples: Sequence[Sample]) -> Samples:
    """The results for ``samples`` run together, counted in ``counts``."""
    found = together(samples)
    for name, maps in counts.items():
        maps[:] = found.counts[name]
    return replace(found, counts=counts)


def _wider(extremes: Array, more: Array) -> Array:
    """(S, 2): the lowest and the highest of two pairs (lowest, highest) V."""
    return np.stack([np.minimum(extremes[:, 0], more[:, 0]), np.maximum(extremes[:, 1], more[:, 1])], axis=1)


def _arrived(program: Program, events: Events, ends: Array, traced: bool, bins: Array) -> dict[str, Queue]:
    """The queues of the input and of the slow clock: ``events`` of samples that end at ``ends``, and whose bins of 1 ms
    end at ``bins``; with ``traced``, each event is its own cause."""
    if program.biased:
        return with_clock(program, events, ends, bins)
    causes = np.arange(len(events), dtype=np.int32) if traced else NO_CAUSES
    return {INPUT: Queue(causes, sites_of(events, channels_last(program.input_shape)), ends, bins)}


def _queue(layer: LayerPlan, fired: Mapping[str, Queue]) -> Queue:
    """The input events of ``layer``, in order: spikes that its feeders ``fired``, as rows of its ``coordinates``."""
    flows = [_moved(fired[source], offset) for source, offset in layer.sources]
    return reduce(partial(_merged, by_neuron=False), flows)


def _through(running: Running, fired: dict[str, Queue], queue: Queue, traced: bool, timing: BatchTiming) -> Caused:
    """Runs a layer on its ``queue`` of input events and adds its spikes to ``fired``, with causes if ``traced``."""
    layer, state, decimator = running
    times = timing.times_us[queue.causes] if layer.leaks else NO_TIMES
    result = decimator.caused(layer.integrate_samples(state, queue.neurons, queue.ends, times))
    bins = timing.passed(layer, queue, result.caused)
    if layer.part is None:
        causes = spread(queue.causes, result.caused, len(result.neurons)) if traced else NO_CAUSES
        fired[layer.name] = Queue(causes, result.neurons, result.ends, bins)
        return result
    arrivals = np.arange(len(queue.causes), dtype=np.int32)
    places = spread(arrivals, result.caused, len(result.neurons))
    spikes = Queue(places, layer.part.neurons[result.neurons], result.ends, bins)
    logical = layer.part.logical
    if logical in fired:
        spikes = _merged(fired[logical], spikes, by_neuron=True)
    fired[logical] = spikes._replace(causes=queue.causes[spikes.causes]) if layer.part.last else spikes
    return result


def _moved(queue: Queue, offset: int) -> Queue:
    return queue._replace(neurons=queue.neurons + np.int32(offset)) if offset else queue


def _merged(a: Queue, b: Queue, by_neuron: bool) -> Queue:
    causes, neurons = merge(a, b, by_neuron)
    return Queue(causes, neurons, a.ends + b.ends, a.bins + b.bins)


def in_order(
    function: Callable[[tuple[int, _Item]], _Result],
    items: Iterable[_Item],
    threads: int,
    counted: Counted,
    samples: Callable[[_Result], int] = lambda _: 1,
) -> Iterator[_Result]:
    """``function((index, item))`` of all ``items`` in their order, computed by ``threads`` threads.

    Items are taken only a few ahead, so that a long sequence need not be in memory at once. A result stands for a
    number of ``samples``, which are ``counted``. After an error or an interrupt no item in progress is waited for.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        futures = _ahead(pool, function, enumerate(items), 2 * threads)
        for number, future in enumerate(futures):
            result = future.result()
            counted.finished(number, samples(result))
            yield result
    except BaseException:
        counted.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[Future[_Result]]:
    """A future for each of ``items``, in order; the next ``ahead`` items are in progress when one is yielded."""
    pending: deque[Future[_Result]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft()
    yield from pending
