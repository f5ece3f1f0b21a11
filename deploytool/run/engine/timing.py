"""What is measured of time while samples run: the load of every layer, and the decision of every sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, frozen
from deploytool.ir.decision import UNDECIDED
from deploytool.ir.events import Events, EventStream
from deploytool.ir.program import INPUT, Program
from deploytool.run.engine.outputs import WindowCounts, places_of_outputs
from deploytool.run.kernels.batches import Queue
from deploytool.run.kernels.crossing import TIME
from deploytool.run.kernels.timing import BIN_US, bins_of, causes_of, follow, last_changes, measure, window_starts
from deploytool.run.plan.layers import Fired, LayerPlan, Plan

WINDOWS_MS: Final = frozen(np.array([1, 10], np.int64))
"""The windows whose largest load is measured, in ms; `deploytool.ir.recording.Load` has a field for each."""

KEPT: Final = 1 << 16
"""Number of arrivals after which `WindowTiming` evaluates them."""


class LoadMeter:
    """The load of ``layers`` for a batch of ``samples``. This object is mutable: the run adds to it.

    ``found`` {placed layer: (S, 3)}: synaptic updates in total, in the busiest ms, in the busiest 10 ms.
    """

    def __init__(self, layers: Iterable[LayerPlan], samples: int) -> None:
        self.found = {layer.name: np.zeros((samples, 1 + len(WINDOWS_MS)), np.int64) for layer in layers}
        self.last: dict[str, tuple[Array, Array, Array]] = {}

    def totals(self) -> NDArray[np.int64]:
        """(S,): the synaptic updates of each sample in all layers."""
        return np.asarray(np.sum([rows[:, 0] for rows in self.found.values()], axis=0))

    def add(self, layer: str, ms: Array, loads: Array, ends: Array) -> None:
        """Adds the ``loads`` (B,) of bins with the numbers ``ms`` (B,); those of each sample end at ``ends`` (S,).

        In each sample they follow those added before, which may include a part of the first bin.
        """
        rows, before = self.found[layer], self.last.get(layer)
        self.last[layer] = ms, loads, ends
        measure(loads, 0, ends, window_starts(ms, ends, WINDOWS_MS), rows)
        if before is not None:
            together = np.zeros_like(rows)
            self.last[layer] = ms, loads, ends = _followed(before, (ms, loads, ends))
            measure(loads, 0, ends, window_starts(ms, ends, WINDOWS_MS), together)
            np.maximum(rows[:, 1:], together[:, 1:], out=rows[:, 1:])


def _followed(before: tuple[Array, Array, Array], after: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """(ms, loads, ends) of both, without the bins that are too early for a window with one of ``after``."""
    samples = [np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0)) for _, _, ends in (before, after)]
    last = np.full(len(before[2]), -1, np.int64)
    last[samples[0]] = before[0]
    recent = before[0] > last[samples[0]] - WINDOWS_MS.max()
    sample = np.concatenate([samples[0][recent], samples[1]])
    order = np.argsort(sample, kind="stable")
    ms, loads = (np.concatenate([before[i][recent], after[i]])[order] for i in (0, 1))
    return ms, loads, np.searchsorted(sample[order], np.arange(len(last)), "right")


class Decisions:
    """The decisions of a batch of samples. This object is mutable: the run adds the output spikes.

    ``found`` (S,) are the times to the decision, as `deploytool.ir.decision` defines them.
    """

    def __init__(self, program: Program, streams: Sequence[EventStream]) -> None:
        self.places = places_of_outputs(program)
        self.starts_us = [int(stream.events["t"][0]) if len(stream) else None for stream in streams]
        self.counts = np.zeros((len(streams), sum(map(len, self.places.values()))), np.int64)
        self.answers = np.full(len(streams), -1, np.int64)
        self.found = np.full(len(streams), UNDECIDED, np.int64)

    def changes(self, places: Array, neurons: Array, ends: Array) -> NDArray[np.int64]:
        """(S,): positions in ``neurons`` of the spikes that changed each answer last, -1 where none did.

        The output spikes ``neurons`` (N,), in order of time, end at ``ends`` (S,) for each sample; neuron n is the
        output ``places[n]``.
        """
        found: NDArray[np.int64] = last_changes(self.counts, self.answers, neurons, ends, places)
        return found

    def add(self, fired: Mapping[str, Queue], times_us: Array) -> None:
        """Takes the decisions from what the output layers ``fired``; ``times_us`` are those of the causes."""
        queues = [fired[name] for name in self.places]
        places = np.concatenate([self.places[name][fired[name].neurons] for name in self.places])
        samples = [np.repeat(np.arange(len(queue.ends)), np.diff(queue.ends, prepend=0)) for queue in queues]
        t_us = times_us[np.concatenate([queue.causes for queue in queues])]
        order = np.lexsort((t_us, np.concatenate(samples)))
        ends = np.sum([queue.ends for queue in queues], axis=0)
        changes = self.changes(np.arange(self.counts.shape[1]), places[order], ends)
        if len(order):
            self.changed(changes, t_us[order][changes])

    def changed(self, changes: Array, t_us: Array) -> None:
        """Sets the decisions of the samples in which ``changes`` (S,) are not -1 to ``t_us`` (S,)."""
        for sample in np.flatnonzero(changes >= 0).tolist():
            if (start_us := self.starts_us[sample]) is not None:
                self.found[sample] = max(0, t_us[sample] - start_us)


class BatchTiming:
    """Load and decisions of a batch whose samples pass through each layer together. This object is mutable.

    Several output layers need queues with causes, to bring their spikes in order; so do windows, for their times.
    """

    def __init__(self, plan: Plan, streams: Sequence[EventStream]) -> None:
        self.layers = {layer.name: layer for layer in plan.layers}
        self.load = LoadMeter(plan.layers, len(streams))
        self.decisions = Decisions(plan.program, streams)
        self.windows = WindowCounts(plan.program, streams)
        self.caused: dict[str, Array] = {}

    def begin(self, events: Events, ends: Array) -> NDArray[np.int64]:
        """(B,): where the bins of the next ``events`` end; these are of samples that end at ``ends`` (S,)."""
        self.times_us = events["t"]
        self.ms, stops, self.ends = bins_of(events, ends)
        return np.asarray(stops)

    def passed(self, layer: LayerPlan, arrived: Queue, caused: Array) -> NDArray[np.int64]:
        """Adds the load of ``layer``, where the events ``arrived`` and ``caused`` (N,) spikes.

        Returns where the bins end among these spikes.
        """
        self.caused[layer.name] = caused
        loads, moved = follow(arrived.bins, arrived.neurons, layer.reach, caused)
        self.add(layer, loads)
        return np.asarray(moved)

    def add(self, layer: LayerPlan, loads: Array) -> None:
        """Adds ``loads`` (B,) of ``layer`` in the bins of these events."""
        self.load.add(layer.name, self.ms, loads, self.ends)

    def end(self, fired: Mapping[str, Queue]) -> None:
        """Takes the decisions and the windows from all that ``fired``."""
        if self.windows.wanted:
            self.windows.add(fired, self.times_us)
        decisions, outputs = self.decisions, self.decisions.places
        if len(outputs) > 1:
            decisions.add(fired, self.times_us)
            return
        ((name, places),) = outputs.items()
        changes = decisions.changes(places, fired[name].neurons, fired[name].ends)
        decisions.changed(changes, self._times(fired, name, changes))

    def _times(self, fired: Mapping[str, Queue], name: str, spikes: Array) -> Array:
        """(K,): the times in us of ``spikes`` (K,), positions in the queue of layer ``name``; any time where -1."""
        if not (spikes >= 0).any():
            return spikes
        if len(fired[name].causes):
            return self.times_us[fired[name].causes[spikes]]
        while name != INPUT:
            source, _ = self.layers[name].feeders[0]
            spikes = causes_of(spikes, fired[source].bins, fired[name].bins, self.caused[name])
            name = source
        return self.times_us[spikes]


class WindowTiming:
    """Load and decision of one sample that runs in windows of time. This object is mutable: the run adds to it.

    Keys contain times as those of `deploytool.run.engine.windowed.Roots` do.
    """

    def __init__(self, plan: Plan, stream: EventStream) -> None:
        self.load = LoadMeter(plan.layers, 1)
        self.decisions = Decisions(plan.program, [stream])
        self.windows = WindowCounts(plan.program, [stream])
        self.waiting: dict[str, list[Fired]] = {layer.name: [] for layer in plan.layers}
        self.layers, self.arrivals = plan.layers, 0

    def arrived(self, layer: LayerPlan, keys: Array, sites: Array) -> None:
        """Adds the events that arrived at ``sites`` (N,) of ``layer`` with ``keys`` (N,), in order."""
        self.waiting[layer.name].append((keys, sites))
        self.arrivals += len(keys)
        if self.arrivals > KEPT:
            self.evaluate()

    def fired(self, fired: Mapping[str, Fired]) -> None:
        """Takes the decision and the windows from all that ``fired`` in a window."""
        places = self.decisions.places
        keys = np.concatenate([fired[name][0] for name in places])
        neurons = np.concatenate([outputs[fired[name][1]] for name, outputs in places.items()])
        self.windows.count(0, keys >> TIME, neurons)
        order = np.argsort(keys >> TIME if len(places) > 1 else keys, kind="stable")
        every = np.arange(self.decisions.counts.shape[1])
        changes = self.decisions.changes(every, neurons[order], np.array([len(keys)]))
        if changes[0] >= 0:
            self.decisions.changed(changes, (keys[order] >> TIME)[changes])

    def evaluate(self) -> None:
        """Adds the load of the events that wait for it."""
        for layer in self.layers:
            if waiting := self.waiting[layer.name]:
                ms = (np.concatenate([keys for keys, _ in waiting]) >> TIME) // BIN_US
                loads = layer.reach[np.concatenate([sites for _, sites in waiting])].astype(np.int64)
                self.load.add(layer.name, ms, loads, np.array([len(ms)]))
                self.waiting[layer.name] = []
        self.arrivals = 0
