"""The recording: the results of a run, in the same form for every rung of the ladder from torch to silicon."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array, frozen
from deploytool.base.errors import InputError
from deploytool.ir.counts import Counts, Maps, concatenated
from deploytool.ir.events import Bins, places_of
from deploytool.ir.program import Arithmetic
from deploytool.ir.speech import Separated
from deploytool.ir.windows import OutputWindows, joined

RungName: TypeAlias = Literal["torch", "quantised", "simulator", "emulator", "board"]
RUNGS: Final[tuple[RungName, ...]] = ("torch", "quantised", "simulator", "emulator", "board")
"""torch: the trained network, clock-driven. quantised: the same with integers. The others are event-driven."""
EVENT_DRIVEN: Final[tuple[RungName, ...]] = ("simulator", "emulator", "board")
ON_CHIP: Final[tuple[RungName, ...]] = ("emulator", "board")
"""Rungs that run a program core by core."""

SPIKE: Final = np.dtype([("sample", "<u4"), ("t", "<i8"), ("c", "<u2"), ("y", "<u2"), ("x", "<u2")])
"""One recorded spike: index of its sample, time in microseconds, feature, row, column."""


@dataclass(frozen=True)
class Setup:
    """What a run was, independent of how and where it was computed. A default means "not known", or "none".

    ``network`` is the digest of the network that ran: its model's, or its graph's if it was not trained here.
    ``program`` is the digest of the program. ``weight_bits`` is the width that weights were quantised to.
    ``time_steps`` and ``bins`` are those of a clock-driven run. ``perturbation`` describes changes to the program and
    its input. ``imported`` is the name of the file that the recording was imported from.
    """

    network: str = ""
    program: str = ""
    arithmetic: Arithmetic | None = None
    weight_bits: int | None = None
    time_steps: int | None = None
    bins: Bins = "time"
    perturbation: str = ""
    imported: str = ""


DROPPED: Final = "dropped "
"""What the name of a figure begins with that counts the events that the balancer of a placed layer dropped."""

NO_POTENTIALS: Final = np.zeros((0, 0), np.float32)
"""Potentials of a recording whose outputs are spikes."""

NOT_KNOWN: Final = np.zeros(0, np.int64)
"""A figure of every sample that the run did not measure."""


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """Statistics of a layer in a run, apart from its spikes.

    ``weights_above`` is the number of weights larger than the threshold. ``updates`` (C, H, W) int64 is the number of
    synaptic updates of each neuron, summed over samples. ``reached`` is the measured (lowest, highest) V before reset,
    in int16; ``bound`` is the range that V cannot leave for any input. The last three are None if unknown.
    """

    weights_above: int
    updates: NDArray[np.int64] | None = None
    reached: tuple[int, int] | None = None
    bound: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.updates is not None:
            object.__setattr__(self, "updates", frozen(np.asarray(self.updates, np.int64)))


@dataclass(frozen=True)
class Load:
    """The synaptic updates over time of a placed layer: ``layer`` or a part of it, on ``core`` (None: not placed).

    ``synops`` is their number in all samples. ``busiest_ms`` is the largest number in one bin of 1 ms of any sample,
    with bins counted from the sample's start; ``busiest_10ms`` is the largest in ten successive bins.
    """

    layer: str
    core: int | None
    synops: int
    busiest_ms: int
    busiest_10ms: int

    def __add__(self, other: Load) -> Load:
        """The load of the samples of both."""
        return replace(
            self,
            synops=self.synops + other.synops,
            busiest_ms=max(self.busiest_ms, other.busiest_ms),
            busiest_10ms=max(self.busiest_10ms, other.busiest_10ms),
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """The results of S samples on one rung.

    ``counts`` {layer: (S, C, H, W) int64} are spikes per neuron, before pooling, of every watched layer: arrays, or
    `deploytool.ir.counts.Counts`, which are read from a file piece by piece.
    ``outputs`` are the layers whose spikes are the network's output. It is empty if the output is ``potentials`` (S, K)
    float32, the mean over time of V in a last layer that never fires, or if the output was not recorded.
    ``synops`` (S,) is the number of synaptic updates per sample, empty if not known. ``labels`` (S,) is -1 if unknown.
    ``spikes`` {layer or "input": (N,) of dtype SPIKE} are the single spikes that the run kept.
    ``aliases`` {graph node: layer} maps every node to the layer made from it.
    ``durations_us`` (S,) are the durations of the samples, empty if not recorded. ``activity`` {layer: ...} holds other
    statistics of the layers. ``setup`` says what the run was.
    ``decisions_us`` (S,) are the times from the first input event to the decision, as `deploytool.ir.decision` defines
    it, -1 for a sample without one; empty if not known. ``load`` {placed layer: ...}, empty if not known.
    ``measured`` {name: (S,)} are figures that only a board has, such as "seconds", "first_spike_us" and
    "power_mw VDD_RAM", and "dropped LAYER" of congestion balancers; NaN where a sample lacks it.
    ``windows`` are the output window by window, from which values are read; None if the task is a class.
    ``speech`` are the voices that the network separated; None for any other task.
    """

    rung: RungName
    samples: tuple[str, ...]
    labels: NDArray[np.int64]
    outputs: tuple[str, ...]
    counts: Mapping[str, Maps]
    synops: NDArray[np.int64]
    spikes: Mapping[str, Array]
    aliases: Mapping[str, str]
    durations_us: NDArray[np.int64] = field(default_factory=lambda: NOT_KNOWN)
    activity: Mapping[str, LayerActivity] = field(default_factory=dict)
    setup: Setup = Setup()
    potentials: NDArray[np.float32] = field(default_factory=lambda: NO_POTENTIALS)
    decisions_us: NDArray[np.int64] = field(default_factory=lambda: NOT_KNOWN)
    load: Mapping[str, Load] = field(default_factory=dict)
    measured: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    windows: OutputWindows | None = None
    speech: Separated | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "synops", "durations_us", "decisions_us"):
            object.__setattr__(self, name, frozen(np.asarray(getattr(self, name), np.int64)))
        object.__setattr__(self, "potentials", frozen(np.asarray(self.potentials, np.float32)))
        counts = {layer: _read_only(maps) for layer, maps in self.counts.items()}
        object.__setattr__(self, "counts", MappingProxyType(counts))
        object.__setattr__(self, "spikes", MappingProxyType({k: frozen(v) for k, v in self.spikes.items()}))
        object.__setattr__(self, "aliases", MappingProxyType(dict(self.aliases)))
        object.__setattr__(self, "activity", MappingProxyType(dict(self.activity)))
        object.__setattr__(self, "load", MappingProxyType(dict(self.load)))
        object.__setattr__(self, "measured", MappingProxyType({k: frozen(v) for k, v in self.measured.items()}))
        if missing := [name for name in self.outputs if name not in self.counts]:
            raise InputError("recording", f"no counts of the output {missing[0]!r}", "every output among the counts")
        if self.windows is not None and len(self.windows.number) != len(self):
            raise InputError("recording", f"windows of {len(self.windows.number)} samples", f"{len(self)}")
        if self.speech is not None and len(self.speech.sources) != len(self):
            raise InputError("recording", f"voices of {len(self.speech.sources)} samples", f"{len(self)}")

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def output_counts(self) -> NDArray[np.int64]:
        """(S, classes): spikes of each output neuron, with the outputs concatenated."""
        counts = [self.counts[name].reshape(len(self), math.prod(self.counts[name].shape[1:])) for name in self.outputs]
        return np.concatenate([np.zeros((len(self), 0), np.int64), *counts], axis=1)

    def answer(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(times in us, output neurons) of the kept spikes of sample ``index``; neurons as in `output_counts`."""
        times, neurons, first = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
        for name in self.outputs:
            _, channels, height, width = self.counts[name].shape
            spikes = self.spikes[name][self.spikes[name]["sample"] == index]
            times.append(spikes["t"].astype(np.int64))
            neurons.append(first + places_of(spikes, (channels, height, width)))
            first += channels * height * width
        return np.concatenate(times), np.concatenate(neurons)

    @property
    def reads_values(self) -> bool:
        """Whether its output is values, which a decoder reads."""
        return self.windows is not None and self.windows.decoder is not None

    @property
    def classes(self) -> int:
        """The number of classes; 0 if the output is values, or was not recorded."""
        return 0 if self.reads_values else self.output_neurons

    @property
    def output_neurons(self) -> int:
        """The number of neurons whose spikes or potentials are the output; 0 if it was not recorded."""
        return int(self.output_counts.shape[1] if self.outputs else self.potentials.shape[1])

    def layer(self, name: str) -> str:
        """The layer called ``name``, or made from the graph node ``name``. Raises InputError if there is none."""
        found = name if name in self.counts else self.aliases.get(name, "")
        if found not in self.counts:
            raise InputError("recording", f"no counts of layer {name!r}", f"one of {', '.join(self.counts)}")
        return found

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """(S,): the class with the largest potential, or else ``answers`` of the output counts; -1 without output."""
        if not self.classes:
            return np.full(len(self), -1)
        return answers(self.output_counts) if self.outputs else self.potentials.argmax(axis=1)


def _read_only(maps: object) -> Maps:
    return cast(Maps, maps) if isinstance(maps, Counts) else frozen(np.asarray(maps, np.int64))


def answers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(S,): the output neuron with most spikes in ``counts`` (S, classes), the first if tied; -1 without spikes."""
    return np.where(counts.max(axis=1) > 0, counts.argmax(axis=1), -1)


def join(parts: Sequence[Recording]) -> Recording:
    """One recording with the samples of all ``parts`` of a run, in that order."""
    first = parts[0]
    starts = np.cumsum([0, *map(len, parts)])
    recorded = dict.fromkeys(layer for part in parts for layer in part.spikes)
    return replace(
        first,
        samples=tuple(name for part in parts for name in part.samples),
        labels=np.concatenate([part.labels for part in parts]),
        counts={layer: concatenated([part.counts[layer] for part in parts]) for layer in first.counts},
        synops=np.concatenate([part.synops for part in parts]),
        potentials=np.concatenate([part.potentials for part in parts]),
        spikes={layer: _renumbered(parts, starts, layer) for layer in recorded},
        durations_us=np.concatenate([part.durations_us for part in parts]),
        activity={layer: _added([part.activity[layer] for part in parts]) for layer in first.activity},
        decisions_us=_decisions(parts),
        load=_load(parts),
        measured=joined_measures([(part.measured, len(part)) for part in parts]),
        windows=_windows(parts),
    )


def _windows(parts: Sequence[Recording]) -> OutputWindows | None:
    """The windows of all ``parts``, if they are known of each that holds a sample."""
    known = [part.windows for part in parts if part.windows is not None]
    return joined(known) if all(part.windows is not None for part in parts if len(part)) else None


def _decisions(parts: Sequence[Recording]) -> NDArray[np.int64]:
    """The decisions of all ``parts``, if they are known of each."""
    known = all(len(part.decisions_us) == len(part) for part in parts)
    return np.concatenate([part.decisions_us for part in parts]) if known else NOT_KNOWN


def _load(parts: Sequence[Recording]) -> dict[str, Load]:
    """The load of all ``parts`` together, if it is known of each that holds a sample."""
    each = [part.load for part in parts if len(part)]
    if not each or any(load.keys() != each[0].keys() for load in each):
        return {}
    return {name: reduce(operator.add, (load[name] for load in each)) for name in each[0]}


def joined_measures(
    parts: Sequence[tuple[Mapping[str, NDArray[np.float64]], int]],
) -> dict[str, NDArray[np.float64]]:
    """{name: (S,)} of ``parts`` (figures, number of samples), one after the other; NaN where a part lacks a figure."""
    names = dict.fromkeys(name for measured, _ in parts for name in measured)
    return {
        name: np.concatenate([measured.get(name, np.full(number, np.nan)) for measured, number in parts])
        for name in names
    }


def _renumbered(parts: Sequence[Recording], starts: Array, layer: str) -> Array:
    """The spikes of ``layer`` in all ``parts``, with sample numbers offset by ``starts``."""
    found = []
    for start, part in zip(starts.tolist(), parts, strict=False):
        if layer in part.spikes:
            found.append(part.spikes[layer].copy())
            found[-1]["sample"] += start
    return np.concatenate(found)


def _added(parts: Sequence[LayerActivity]) -> LayerActivity:
    updates = [part.updates for part in parts if part.updates is not None]
    reached = [part.reached for part in parts if part.reached is not None]
    return replace(
        parts[0],
        updates=np.sum(updates, axis=0) if len(updates) == len(parts) else None,
        reached=(min(low for low, _ in reached), max(high for _, high in reached)) if reached else None,
    )
