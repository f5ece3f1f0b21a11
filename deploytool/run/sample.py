"""What came out of one sample, and how samples become a Recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deploytool.events import EVENT, Events, Shape
from deploytool.graph import Array
from deploytool.program import INPUT, Program
from deploytool.recording import SPIKE, LayerActivity, Recording, Rung
from deploytool.run.activity import bound, weights_above
from deploytool.run.checks import aliases


@dataclass(frozen=True, eq=False)
class Sample:
    """Spikes of one stream: ``counts`` {logical layer: (C, H, W)}, number of synaptic updates ``synops``.

    ``spikes`` {logical layer or "input": (N,) of dtype EVENT, in the order they left} where they were asked for.
    ``extremes`` {layer: (lowest, highest)} are the V reached in int16, before reset; empty in other arithmetics.
    """

    name: str
    label: int
    counts: Mapping[str, NDArray[np.int64]]
    synops: int
    spikes: Mapping[str, Events] = field(default_factory=dict)
    extremes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def count(events: Events, shape: Shape) -> NDArray[np.int64]:
    """How many of ``events`` (N,) there are at each place of a map of ``shape`` (C, H, W)."""
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (events["c"], events["y"], events["x"]), 1)
    return counts


def at_times(t_us: Array, neurons: Array, shape: Shape) -> Events:
    """Spikes of ``neurons`` (N,), channels-last on a map of ``shape`` (C, H, W), at ``t_us`` (N,)."""
    channels, _, width = shape
    events = np.empty(len(neurons), EVENT)
    events["t"] = t_us
    events["c"] = neurons % channels
    events["x"] = neurons // channels % width
    events["y"] = neurons // channels // width
    return events


def as_map(neurons: Array, shape: Shape) -> Array:
    """Values of neurons (C * H * W,), channels-last, as a map (C, H, W)."""
    channels, height, width = shape
    return neurons.reshape(height, width, channels).transpose(2, 0, 1)


def as_recording(program: Program, rung: Rung, watch: Sequence[str], samples: Iterable[Sample]) -> Recording:
    """The Recording of ``samples``, in their order, with the counts of the layers in ``watch``."""
    listed = list(samples)
    layers = (INPUT, *watch)
    return Recording(
        rung=rung,
        samples=tuple(sample.name for sample in listed),
        labels=np.array([sample.label for sample in listed], np.int64),
        outputs=tuple(dict.fromkeys(program.place_in(name)[0] for name in program.outputs)),
        counts={name: _stacked([sample.counts[name] for sample in listed], program.map_of(name)) for name in watch},
        synops=np.array([sample.synops for sample in listed], np.int64),
        spikes={name: _numbered(name, listed) for name in layers if any(name in sample.spikes for sample in listed)},
        aliases=aliases(program),
        activity={name: _activity(program, name, listed) for name in watch},
    )


def _activity(program: Program, name: str, samples: list[Sample]) -> LayerActivity:
    """What is known of the logical layer ``name``; V only where every sample tells it of every part."""
    parts = program.parts[name]
    reached = [sample.extremes.get(part) for sample in samples for part in parts]
    bounds = [bound(program.layers[part], program.arithmetic) for part in parts]
    return LayerActivity(
        weights_above=sum(weights_above(program.layers[part]) for part in parts),
        reached=_widest(reached), bound=_widest(bounds),
    )  # fmt: skip


def _widest(ranges: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [each for each in ranges if each is not None]
    if not known or len(known) < len(ranges):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _stacked(maps: list[NDArray[np.int64]], shape: Shape) -> NDArray[np.int64]:
    return np.stack(maps) if maps else np.zeros((0, *shape), np.int64)


def _numbered(name: str, samples: list[Sample]) -> Array:
    """Spikes (N,) of dtype SPIKE: those of ``name`` in all samples, each with the index of its sample."""
    parts = []
    for index, sample in enumerate(samples):
        if name in sample.spikes:
            events = sample.spikes[name]
            spikes = np.empty(len(events), SPIKE)
            spikes["sample"] = index
            for column in EVENT.fields or ():
                spikes[column] = events[column]
            parts.append(spikes)
    return np.concatenate(parts)
