"""The output of samples while they run: the neurons that are read, and their spikes window by window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from deploytool.base.arrays import Array, frozen
from deploytool.base.errors import UnsupportedError
from deploytool.ir.events import Bins, EventStream, to_channels_last
from deploytool.ir.program import Program
from deploytool.ir.windows import OutputWindows, counted, windows_in, windows_of
from deploytool.run.kernels.batches import Queue
from deploytool.run.plan.layers import Fired


@lru_cache(maxsize=8)
def places_of_outputs(program: Program) -> Mapping[str, Array]:
    """{logical output layer: (N,) the place among all outputs of each neuron, channels-last}."""
    found: dict[str, Array] = {}
    first = 0
    for name in dict.fromkeys(program.place_in(name)[0] for name in program.outputs):
        shape = program.map_of(name)
        found[name] = frozen(first + to_channels_last(np.arange(math.prod(shape)).reshape(shape)))
        first += math.prod(shape)
    return MappingProxyType(found)


class WindowCounts:
    """The output spikes of a batch of samples, window by window. This object is mutable: the run adds to it.

    ``wanted``: at least one sample has windows.
    """

    def __init__(self, program: Program, streams: Sequence[EventStream]) -> None:
        self.streams, self.decoder = streams, program.decoder
        self.places = places_of_outputs(program)
        outputs = sum(map(len, self.places.values()))
        self.counts = [np.zeros((windows_in(stream, program.decoder), outputs), np.int64) for stream in streams]
        self.wanted = any(map(len, self.counts))

    def add(self, fired: Mapping[str, Queue], times_us: Array) -> None:
        """Takes what the output layers ``fired``; ``times_us`` are those of the causes."""
        for name, places in self.places.items():
            queue = fired[name]
            t_us, neurons, starts = times_us[queue.causes], places[queue.neurons], [0, *queue.ends.tolist()]
            for sample, (start, end) in enumerate(itertools.pairwise(starts)):
                self.count(sample, t_us[start:end], neurons[start:end])

    def count(self, sample: int, t_us: Array, neurons: Array) -> None:
        """Takes the output spikes of ``neurons`` (N,) at ``t_us`` (N,), in any order."""
        windows, outputs = self.counts[sample].shape
        if windows:
            self.counts[sample] += counted(t_us, neurons, outputs, windows, self.streams[sample].duration_us)

    @property
    def found(self) -> list[OutputWindows | None]:
        """The windows of every sample, None for one that has none."""
        pairs = zip(self.streams, self.counts, strict=True)
        return [windows_of(stream, counts, self.decoder) if len(counts) else None for stream, counts in pairs]


class StepCounts:
    """The output spikes of one sample in time steps, window by window. This object is mutable: the run adds to it.

    Raises UnsupportedError unless every window consists of whole time steps.
    """

    def __init__(self, program: Program, stream: EventStream, steps: int, bins: Bins) -> None:
        number = windows_in(stream, program.decoder)
        if number > 1 and (steps % number or bins != "time"):
            found = f"{steps} of equal {bins}"
            raise UnsupportedError(
                "time steps", found, f"a multiple of {number}, the windows of a sample, of equal time"
            )
        self.stream, self.decoder, self.steps = stream, program.decoder, steps
        self.places = places_of_outputs(program)
        self.counts = np.zeros((number, sum(map(len, self.places.values()))), np.int64)

    def add(self, fired: Mapping[str, Fired], step: int) -> None:
        """Takes what the output layers ``fired`` {layer: (amounts, neurons)} in ``step``."""
        if len(self.counts):
            row = self.counts[step * len(self.counts) // self.steps]
            for name, places in self.places.items():
                amounts, neurons = fired[name]
                row[places[neurons]] += amounts

    @property
    def found(self) -> OutputWindows | None:
        """The windows of the sample, None if it has none."""
        return windows_of(self.stream, self.counts, self.decoder) if len(self.counts) else None
