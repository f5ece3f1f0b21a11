"""The event-driven engine on a GPU: layer by layer over chunks of the events of many samples, equal to the CPU's.

As on the CPU, a layer processes its own queue of events in order, and state passes from chunk to chunk. The queue of
a layer holds the events of all samples of a batch, one sample after the other. Three limits bound the memory: the
number of samples in a batch, of events in a chunk, and of marks that are set before they are read.
"""

# mypy: disable-error-code="no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.progress import Tick, no_progress
from deploytool.ir.events import EVENT, Events, EventStream, at_neurons, from_channels_last, neurons_of
from deploytool.ir.program import INPUT
from deploytool.run.cuda import kernels
from deploytool.run.cuda.kernels import STRETCH, WORD, Arrivals, Marks, Potentials, Queue, Totals
from deploytool.run.cuda.lanes import Lanes, make_lanes, refuse
from deploytool.run.cuda.memory import Buffers, free_bytes, gpu, upload
from deploytool.run.cuda.sizes import SIZES, Sizes
from deploytool.run.engine.event_driven import batches
from deploytool.run.engine.timing import BatchTiming
from deploytool.run.kernels.batches import Queue as HostQueue
from deploytool.run.plan.layers import LayerPlan, Plan
from deploytool.run.record.samples import Room, Samples

NO_EVENTS: Final = np.empty(0, EVENT)


class Flow(NamedTuple):
    """Spikes to be merged with others: ``keys`` (N,) ascend; ``offset`` is added to their sites."""

    keys: Any
    queue: Queue
    offset: int


@dataclass(frozen=True, eq=False)
class GpuLayer:
    """A layer: its ``lanes``, for a part of a layer the ``logical`` number of each neuron, and the ``reach`` of the
    events at each site, all on the GPU."""

    plan: LayerPlan
    lanes: Lanes
    logical: Any
    reach: Any
    sizes: Sizes

    @property
    def kernel(self) -> Any:
        return kernels.integrate(self.plan.threshold.dtype, self.lanes.leaks, self.shared > 0)

    @property
    def shared(self) -> int:
        """Bytes of a block's shared memory for V; 0 if V is in the GPU's global memory."""
        size = self.plan.threshold.nbytes
        return size if self.lanes.number <= self.sizes.block and size <= self.sizes.shared else 0

    @property
    def threads(self) -> int:
        """The number of threads per block."""
        warp, most = self.sizes.warp, self.sizes.block if self.shared else self.sizes.threads
        return min(-(-self.lanes.number // warp) * warp, most)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Input events of all samples of a batch; ``events[first[s]:first[s + 1]]`` are those of sample s.

    On the GPU, ``starts`` is ``first``, ``sample_of`` (N,) the sample of each event, ``times_us`` (N,) its time and
    ``bin_of`` (N,) its bin of 1 ms; ``bins`` is where the events of each bin end.
    """

    events: Events
    first: Array
    starts: Any
    sample_of: Any
    times_us: Any
    bins: Array
    bin_of: Any


@dataclass(frozen=True, eq=False)
class State:
    """The state that is passed from chunk to chunk, on the GPU, for each sample of a batch.

    V and the times of the last update per layer, counts per logical layer, (lowest, highest) V per layer, and updates.
    The ``timing`` is on the CPU.
    """

    v: Mapping[str, Any]
    updated_us: Mapping[str, Any]
    counts: Mapping[str, Any]
    extremes: Mapping[str, Any]
    synops: Any
    timing: BatchTiming


def run_streams(
    plan: Plan, streams: Iterable[EventStream], room: Room, tick: Tick = no_progress, sizes: Sizes = SIZES
) -> list[Samples]:
    """The results of `deploytool.run.engine.event_driven.run_streams`, bit for bit.

    Raises TargetError if there is no GPU or it fails, and UnsupportedError for programs that only the CPU supports.
    """
    refuse(plan)
    done: list[Samples] = []
    with gpu():
        tick(0, room.total, "compiling for the GPU")
        run = Run(plan, list(room.counts), sizes)
        for batch in batches(streams, room.rasters, sizes.held, run.samples_at_once()):
            done.append(run.batch(batch.streams, room.take(batch.first, len(batch.streams)), batch.keep_spikes))
            finished = batch.first + len(batch.streams)
            tick(finished, max(room.total, finished), "")
    return done


class Run:
    """Runs batches of samples through ``plan`` on the GPU."""

    def __init__(self, plan: Plan, watched: Sequence[str], sizes: Sizes = SIZES) -> None:
        self.plan, self.program, self.watched, self.sizes = plan, plan.program, watched, sizes
        self.launch = sizes.grid.launch
        self.buffers = Buffers(sizes.grid)
        self.length = sizes.first
        self.nothing = upload(np.empty(0, np.int32))
        self.layers = [self._layer(layer) for layer in plan.layers]

    def _layer(self, layer: LayerPlan) -> GpuLayer:
        lanes = make_lanes(layer, self.program.layers[layer.name].neurons)
        arrays = {key: upload(value) for key, value in lanes._asdict().items() if isinstance(value, np.ndarray)}
        logical = self.nothing if layer.part is None else upload(layer.part.neurons.astype(np.int32))
        return GpuLayer(layer, lanes._replace(**arrays), logical, upload(layer.reach), self.sizes)

    def samples_at_once(self) -> int:
        """The number of samples that fit in memory together."""
        neurons = sum(layer.plan.threshold.nbytes + 8 * len(layer.lanes.tau_us) for layer in self.layers)
        counts = sum(8 * math.prod(self.program.map_of(name)) for name in self.watched)
        return int(min(self.sizes.samples, max(1, free_bytes() / 4 / (neurons + counts))))

    def batch(self, streams: Sequence[EventStream], counts: Mapping[str, Array], keep_spikes: bool = False) -> Samples:
        """The results for ``streams``, counted in ``counts`` {logical layer: (S, C, H, W)}."""
        state = self._rest(streams)
        spikes: dict[str, list[list[Events]]] = {name: [[] for _ in streams] for name in counts} if keep_spikes else {}
        for chunk in self._chunks(streams, state.timing):
            fired = self._through(chunk, state)
            self._decide(fired, chunk, state.timing)
            for name in counts:
                queue = fired[name]
                self.launch(kernels.tally, queue.size, queue.tags, queue.sites, chunk.sample_of, state.counts[name])
            for name, parts in spikes.items():
                for part, of_sample in zip(parts, self._kept(name, fired[name], chunk), strict=True):
                    part.append(of_sample)
        for name, maps in counts.items():
            maps[:] = from_channels_last(state.counts[name].copy_to_host(), maps.shape[1:])
        measured = [layer.plan.name for layer in self.layers if layer.plan.layout is None]
        integers = self.program.arithmetic != "float32"
        sent = {INPUT: [stream.events for stream in streams]} if keep_spikes else {}
        return Samples(
            names=tuple(stream.name for stream in streams),
            labels=tuple(stream.label for stream in streams),
            counts=counts,
            synops=state.synops.copy_to_host(),
            extremes={name: state.extremes[name].copy_to_host() for name in measured if integers},
            decisions_us=state.timing.decisions.found,
            load=state.timing.load.found,
            windows=state.timing.windows.found,
            spikes={
                **sent,
                **{name: [np.concatenate([NO_EVENTS, *part]) for part in parts] for name, parts in spikes.items()},
            },
        )

    def _rest(self, streams: Sequence[EventStream]) -> State:
        """The state before the first event, at time 0."""
        samples = len(streams)
        zeros, maps = self.buffers.zeros, self.program.map_of
        lanes = {layer.plan.name: layer.lanes for layer in self.layers}
        return State(
            v={name: self.buffers.copies(f"{name}: V", samples, each.start) for name, each in lanes.items()},
            updated_us={
                name: zeros(f"{name}: times", (samples, len(each.tau_us)) if each.leaks else (1, 1), np.int64)
                for name, each in lanes.items()
            },
            counts={
                name: zeros(f"{name}: counts", (samples, math.prod(maps(name))), np.int64) for name in self.watched
            },
            extremes={name: zeros(f"{name}: extremes", (samples, 2), np.int32) for name in lanes},
            synops=zeros("synops", samples, np.int64),
            timing=BatchTiming(self.plan, streams),
        )

    def _chunks(self, streams: Sequence[EventStream], timing: BatchTiming) -> Iterator[Chunk]:
        """The events of ``streams``, ``self.length`` events of each stream at a time."""
        done = 0
        while any(done < len(stream) for stream in streams):
            parts = [stream.events[done : done + self.length] for stream in streams]
            done += self.length
            lengths = [len(part) for part in parts]
            events, first = np.concatenate(parts), np.cumsum([0, *lengths])
            bins = timing.begin(events, first[1:])
            yield Chunk(
                events,
                first,
                starts=upload(first),
                sample_of=upload(np.repeat(np.arange(len(parts), dtype=np.int32), lengths)),
                times_us=upload(events["t"]),
                bins=bins,
                bin_of=upload(np.repeat(np.arange(len(bins), dtype=np.int32), np.diff(bins, prepend=0))),
            )

    def _through(self, chunk: Chunk, state: State) -> dict[str, Queue]:
        """The spikes of each logical layer for the events of a ``chunk``; their number sets the next chunk's size."""
        sites = upload(neurons_of(chunk.events, self.program.input_shape))
        fired = {INPUT: Queue(sites, upload(np.arange(len(chunk.events), dtype=np.int32)))}
        parts: list[Flow] = []
        largest = len(chunk.events)
        for layer in self.layers:
            queue, part = self._arrivals(layer.plan, fired), layer.plan.part
            spikes = self._integrate(layer, queue, chunk, state)
            loads = self.buffers.zeros("loads", len(chunk.bins), np.int64)
            self.launch(kernels.load, queue.size, queue.tags, queue.sites, layer.reach, chunk.bin_of, loads)
            state.timing.add(layer.plan, loads.copy_to_host())
            if part is None:
                fired[layer.plan.name] = spikes
            else:
                parts.append(self._part(layer.plan.name, spikes, math.prod(self.program.map_of(part.logical))))
                if part.last:
                    fired[part.logical] = whole = self._merged(part.logical, parts)
                    self.launch(kernels.gather, whole.size, queue.tags, whole.tags)
                    parts = []
            largest = max(largest, queue.size, spikes.size)
        self.length = max(1, min(4 * self.length, self.length * self.sizes.events // (2 * largest)))
        return fired

    def _decide(self, fired: Mapping[str, Queue], chunk: Chunk, timing: BatchTiming) -> None:
        """Adds the output spikes for the events of a ``chunk`` to the decisions and the windows."""
        outputs = {}
        for name in timing.decisions.places:
            causes, neurons = fired[name].tags.copy_to_host(), fired[name].sites.copy_to_host()
            outputs[name] = HostQueue(causes, neurons, np.searchsorted(causes, chunk.first[1:]))
        timing.decisions.add(outputs, chunk.events["t"])
        if timing.windows.wanted:
            timing.windows.add(outputs, chunk.events["t"])

    def _arrivals(self, layer: LayerPlan, fired: Mapping[str, Queue]) -> Queue:
        """The events that arrive at ``layer``, ordered by cause, then by flow."""
        if len(layer.feeders) == 1:
            return fired[layer.feeders[0][0]]
        flows = [Flow(fired[source].tags, fired[source], offset) for source, offset in layer.feeders]
        return self._merged(f"{layer.name}: arrivals", flows)

    def _part(self, name: str, spikes: Queue, size: int) -> Flow:
        """The ``spikes`` of a part of a layer of ``size`` neurons, in the order in which the whole layer fires."""
        keys = self.buffers.take(f"{name}: keys", spikes.size, np.int64) if spikes.size else self.nothing
        self.launch(kernels.pair, spikes.size, spikes.tags, spikes.sites, size, keys)
        return Flow(keys, spikes, 0)

    def _merged(self, name: str, flows: Sequence[Flow]) -> Queue:
        """One queue of all ``flows``, ordered by key; events with equal keys are in the order of the flows."""
        size = sum(flow.queue.size for flow in flows)
        if not size:
            return Queue(self.nothing, self.nothing)
        merged = Queue(
            self.buffers.take(f"{name}: sites", size, np.int32), self.buffers.take(f"{name}: tags", size, np.int32)
        )
        for own, (keys, queue, offset) in enumerate(flows):
            if queue.size:
                ranks = self.buffers.zeros("ranks", queue.size, np.int64)
                for number, other in enumerate(flows):
                    if number != own and other.queue.size:
                        self.launch(kernels.rank, queue.size, keys, other.keys, number < own, ranks)
                self.launch(kernels.scatter, queue.size, queue.sites, offset, ranks, merged.sites)
                self.launch(kernels.scatter, queue.size, queue.tags, 0, ranks, merged.tags)
        return merged

    def _integrate(self, layer: GpuLayer, queue: Queue, chunk: Chunk, state: State) -> Queue:
        """The spikes that the events in ``queue`` cause in ``layer``."""
        if not queue.size:
            return Queue(self.nothing, self.nothing)
        name, lanes, take, zeros = layer.plan.name, layer.lanes, self.buffers.take, self.buffers.zeros
        begins = zeros("begins", len(chunk.first), np.int64)
        self.launch(kernels.rank, len(chunk.first), chunk.starts, queue.tags, False, begins)
        tags = queue.tags if layer.plan.part is None else upload(np.arange(queue.size, dtype=np.int32))
        words, often = -(-lanes.number // WORD), lanes.number if lanes.most > 1 else 0
        at_once = max(1, self.sizes.marks // (words + often // 2))
        samples = len(chunk.first) - 1
        grid = (samples, -(-lanes.number // layer.threads))
        fired, spikes = 0, Queue(self.nothing, self.nothing)
        for start in range(0, queue.size, at_once):
            sites, causes = queue.sites[start : start + at_once], queue.tags[start : start + at_once]
            marks = Marks(
                fired=zeros("marks", (words, len(sites)), np.uint32),
                amounts=take("amounts", (often, len(sites)) if often else (1, 1), np.uint16),
                caused=zeros("caused", len(sites), np.int32),
            )
            layer.kernel[grid, layer.threads, 0, layer.shared](
                lanes,
                Arrivals(begins, start, sites, causes, chunk.times_us),
                Potentials(state.v[name], state.updated_us[name]),
                marks,
                Totals(state.synops, state.extremes[name]),
            )
            ends, before = self._ends(marks.caused, fired), fired
            fired = ends[1]
            if fired > before:
                spikes = Queue(
                    take(f"{name}: sites", fired, np.int32, keep=before),
                    take(f"{name}: tags", fired, np.int32, keep=before),
                )
                events = Queue(sites, tags[start : start + at_once])
                self.launch(kernels.expand, len(sites), lanes, events, marks, ends[0], layer.logical, spikes)
        return spikes

    def _ends(self, caused: Any, begin: int) -> tuple[Any, int]:
        """(end of each event's spikes, on the GPU; end of the last event's), where the first begin at ``begin``."""
        stretches = -(-len(caused) // STRETCH)
        totals = self.buffers.take("totals", stretches, np.int64)
        self.launch(kernels.subtotal, stretches, caused, totals)
        begins = begin + np.cumsum([0, *totals.copy_to_host()])
        ends = self.buffers.take("ends", len(caused), np.int64)
        self.launch(kernels.cumulate, stretches, caused, upload(begins[:-1]), ends)
        return ends, int(begins[-1])

    def _kept(self, name: str, queue: Queue, chunk: Chunk) -> list[Events]:
        """The single spikes of a layer for the events of a ``chunk``, sample by sample."""
        causes, neurons = queue.tags.copy_to_host(), queue.sites.copy_to_host()
        events = at_neurons(chunk.events["t"][causes], neurons, self.program.map_of(name))
        return np.split(events, np.searchsorted(causes, chunk.first[1:-1]))
