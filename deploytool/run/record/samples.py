"""Results of one or several samples, and their conversion to a Recording."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.ir.decision import decided_us
from deploytool.ir.events import EVENT, Events, EventStream, places_of
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import (
    NOT_KNOWN,
    SPIKE,
    LayerActivity,
    Load,
    Recording,
    RungName,
    joined_measures,
)
from deploytool.ir.windows import OutputWindows, counted, joined, windows_in, windows_of
from deploytool.run.record.activity import bound, weights_above
from deploytool.run.record.checks import check_kept


@dataclass(frozen=True, eq=False)
class Sample:
    """Spikes of one stream: ``counts`` {logical layer: (C, H, W)}, number of synaptic updates ``synops``.

    ``spikes`` {logical layer or "input": (N,) of dtype EVENT, in the order they left}, if requested.
    ``extremes`` {layer: (lowest, highest)} are the V reached in int16, before reset; empty in other arithmetics.
    ``decision_us`` is the time from the first input event to the decision, None if not measured. ``load`` {placed
    layer: (synaptic updates, in the busiest ms, in the busiest 10 ms)}, empty if not measured. ``measured``
    {name: figure} are figures that only a board has. ``windows`` are those of the sample, None if it has none.
    """

    name: str
    label: int
    counts: Mapping[str, NDArray[np.int64]]
    synops: int
    spikes: Mapping[str, Events] = field(default_factory=dict)
    extremes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    decision_us: int | None = None
    load: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    windows: OutputWindows | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """Results of S streams, in order: the fields of `Sample` with one more axis.

    ``counts`` {logical layer: (S, C, H, W)}; ``spikes`` {logical layer or "input": (events of each sample)};
    ``extremes`` {layer: (S, 2)}; ``decisions_us`` (S,), empty if not measured; ``load`` {placed layer: (S, 3)};
    ``measured`` {name: (S,)}, NaN where a sample lacks it; ``windows`` of each sample, None if it has none.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    counts: Mapping[str, NDArray[np.int64]]
    synops: NDArray[np.int64]
    spikes: Mapping[str, Sequence[Events]] = field(default_factory=dict)
    extremes: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    decisions_us: NDArray[np.int64] = field(default_factory=lambda: NOT_KNOWN)
    load: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    measured: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    windows: Sequence[OutputWindows | None] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            name=self.names[index],
            label=self.labels[index],
            synops=int(self.synops[index]),
            counts={name: maps[index] for name, maps in self.counts.items()},
            spikes={name: events[index] for name, events in self.spikes.items()},
            extremes={name: (int(pairs[index, 0]), int(pairs[index, 1])) for name, pairs in self.extremes.items()},
            decision_us=int(self.decisions_us[index]) if len(self.decisions_us) else None,
            load={name: tuple(rows[index].tolist()) for name, rows in self.load.items()},
            measured={name: float(values[index]) for name, values in self.measured.items()},
            windows=self.windows[index] if self.windows else None,
        )


class Room:
    """Count arrays for the samples of a run, one per layer, allocated once to avoid a final copy.

    ``total`` is the number of samples if it is known in advance; samples beyond it get separate arrays. The single
    spikes of the first ``rasters`` samples are kept.
    """

    def __init__(self, program: Program, watch: Sequence[str], total: int = 0, rasters: int = 0) -> None:
        self.total, self.rasters = total, rasters
        self.counts = {name: np.zeros((total, *program.map_of(name)), np.int64) for name in watch}

    def take(self, first: int, number: int) -> dict[str, NDArray[np.int64]]:
        """{layer: zeros (``number``, C, H, W)} for the samples from ``first`` on."""
        if first + number > self.total:
            return {name: np.zeros((number, *maps.shape[1:]), np.int64) for name, maps in self.counts.items()}
        return {name: maps[first : first + number] for name, maps in self.counts.items()}

    def joined(self, batches: Sequence[Samples]) -> dict[str, NDArray[np.int64]]:
        """{layer: counts (S, C, H, W)} of ``batches``, which were counted in this room and are complete."""
        number = sum(map(len, batches))
        whole = {name: maps[:number] for name, maps in self.counts.items()}
        if number > self.total:
            whole = {name: np.concatenate([batch.counts[name] for batch in batches]) for name in whole}
        for maps in whole.values():
            maps.setflags(write=False)
        return whole


def decision_us(program: Program, stream: EventStream, spikes: Mapping[str, Events]) -> int:
    """The time from the first event of ``stream`` to the decision, from the ``spikes`` {logical layer: events}."""
    t_us, neurons, _ = _answer(program, spikes)
    return decided_us(t_us, neurons, int(stream.events["t"][0]) if len(stream) else None)


def output_windows(program: Program, stream: EventStream, spikes: Mapping[str, Events]) -> OutputWindows | None:
    """The windows of ``stream``, from the ``spikes`` {logical layer: events}; None if it has none."""
    if not (number := windows_in(stream, program.decoder)):
        return None
    t_us, neurons, outputs = _answer(program, spikes)
    return windows_of(stream, counted(t_us, neurons, outputs, number, stream.duration_us), program.decoder)


def _answer(program: Program, spikes: Mapping[str, Events]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(times in us, output neurons of these spikes, in order of time, number of output neurons)."""
    times, neurons, first = [], [], 0
    for name in dict.fromkeys(program.place_in(name)[0] for name in program.outputs):
        times.append(spikes[name]["t"])
        neurons.append(first + places_of(spikes[name], program.map_of(name)))
        first += math.prod(program.map_of(name))
    t_us = np.concatenate(times)
    order = np.argsort(t_us, kind="stable")
    return t_us[order], np.concatenate(neurons)[order], first


def together(samples: Sequence[Sample]) -> Samples:
    """The `Samples` made from ``samples`` of one run, at least one."""
    first = samples[0]
    return Samples(
        names=tuple(sample.name for sample in samples),
        labels=tuple(sample.label for sample in samples),
        synops=np.array([sample.synops for sample in samples], np.int64),
        counts={name: np.stack([sample.counts[name] for sample in samples]) for name in first.counts},
        spikes={name: [sample.spikes[name] for sample in samples] for name in first.spikes},
        extremes={name: np.array([sample.extremes[name] for sample in samples]) for name in first.extremes},
        decisions_us=np.array([sample.decision_us for sample in samples if sample.decision_us is not None], np.int64),
        load={name: np.array([sample.load[name] for sample in samples], np.int64) for name in first.load},
        measured={name: np.array([sample.measured[name] for sample in samples]) for name in first.measured},
        windows=[sample.windows for sample in samples],
    )


def as_recording(program: Program, rung: RungName, watch: Sequence[str], samples: Iterable[Sample]) -> Recording:
    """The Recording of ``samples``, in their order, with the counts of the layers in ``watch``."""
    return recording_of(program, rung, Room(program, watch), (together([sample]) for sample in samples))


def recording_of(program: Program, rung: RungName, room: Room, batches: Iterable[Samples]) -> Recording:
    """The Recording of the samples of all ``batches``, one after the other, which were counted in ``room``."""
    listed, single = [], 0
    for batch in batches:
        single += sum(len(events) for name, each in batch.spikes.items() if name != INPUT for events in each)
        check_kept(batch.names[0], single)
        listed.append(batch)
    counts = room.joined(listed)
    layers = (INPUT, *counts)
    return Recording(
        rung=rung,
        samples=tuple(name for batch in listed for name in batch.names),
        labels=np.array([label for batch in listed for label in batch.labels], np.int64),
        outputs=tuple(dict.fromkeys(program.place_in(name)[0] for name in program.outputs)),
        counts=counts,
        synops=np.concatenate([np.zeros(0, np.int64), *(batch.synops for batch in listed)]),
        spikes={name: _numbered(name, listed) for name in layers if any(name in batch.spikes for batch in listed)},
        aliases=program.aliases,
        activity={name: _activity(program, name, listed) for name in counts},
        decisions_us=np.concatenate([NOT_KNOWN, *(batch.decisions_us for batch in listed)]),
        load={name: _load(program, name, listed) for name in (listed[0].load if listed else ())},
        measured=joined_measures([(batch.measured, len(batch)) for batch in listed]),
        windows=joined([each for batch in listed for each in batch.windows]),
    )


def _load(program: Program, name: str, batches: Sequence[Samples]) -> Load:
    """The load of the placed layer ``name`` over all samples."""
    synops, busiest_ms, busiest_10ms = np.concatenate([batch.load[name] for batch in batches]).T
    return Load(
        layer=program.place_in(name)[0],
        core=program.core_of.get(name),
        synops=int(synops.sum()),
        busiest_ms=int(busiest_ms.max()),
        busiest_10ms=int(busiest_10ms.max()),
    )


def _activity(program: Program, name: str, batches: Sequence[Samples]) -> LayerActivity:
    """Statistics of the logical layer ``name``; extremes of V only if every sample has them for every part."""
    parts = program.parts[name]
    reached = [_spanned(batch.extremes.get(part)) for batch in batches for part in parts]
    bounds = [bound(program.layers[part], program.arithmetic) for part in parts]
    return LayerActivity(
        weights_above=sum(weights_above(program.layers[part]) for part in parts),
        reached=_widest(reached),
        bound=_widest(bounds),
    )


def _spanned(extremes: NDArray[np.int64] | None) -> tuple[int, int] | None:
    return None if extremes is None else (int(extremes[:, 0].min()), int(extremes[:, 1].max()))


def _widest(ranges: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [each for each in ranges if each is not None]
    if not known or len(known) < len(ranges):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _numbered(name: str, batches: Sequence[Samples]) -> Array:
    """Spikes (N,) of dtype SPIKE: those of ``name`` in all samples, each with the index of its sample."""
    parts, first = [], 0
    for batch in batches:
        for index, events in enumerate(batch.spikes.get(name, ()), first):
            spikes = np.empty(len(events), SPIKE)
            spikes["sample"] = index
            for column in EVENT.fields or ():
                spikes[column] = events[column]
            parts.append(spikes)
        first += len(batch)
    return np.concatenate(parts)
