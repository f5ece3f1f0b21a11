"""Samples as figures and tables: the input, the spikes of each layer, the answer of each rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.events import count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import RUNGS, Recording
from deploytool.report import figures

CLASSES_MAX: Final = 20
"""With more outputs than this, a sample's table shows only those that are its label or a prediction."""


@dataclass(frozen=True)
class Answer:
    """The answer of one rung to a sample: spikes of the shown outputs, and the prediction (-1 without spikes)."""

    rung: str
    counts: tuple[int, ...]
    prediction: int
    right: bool | None


@dataclass(frozen=True)
class SampleCard:
    """One sample as the page shows it; ``label`` is -1 if unknown."""

    index: int
    name: str
    label: int
    classes: tuple[int, ...]
    most: int
    answers: tuple[Answer, ...]
    raster: figures.Figure | None
    maps: tuple[figures.Figure, ...]


def cards(recordings: Sequence[Recording], program: Program, limit: int) -> list[SampleCard]:
    """The first ``limit`` samples of ``recordings``, with recordings in the order of the rungs."""
    ordered = sorted(recordings, key=lambda recording: RUNGS.index(recording.rung))
    return [_card(ordered, program, index) for index in range(min(limit, min(map(len, ordered), default=0)))]


def _card(recordings: Sequence[Recording], program: Program, index: int) -> SampleCard:
    nearest = recordings[-1]
    label = int(nearest.labels[index])
    predictions = [int(recording.predictions[index]) for recording in recordings]
    outputs = nearest.output_counts.shape[1]
    classes = tuple(range(outputs)) if outputs <= CLASSES_MAX else tuple(sorted({label, *predictions} - {-1}))
    answers = tuple(
        Answer(
            recording.rung,
            tuple(int(recording.output_counts[index, c]) for c in classes),
            prediction,
            None if label < 0 else prediction == label,
        )
        for recording, prediction in zip(recordings, predictions, strict=True)
    )
    return SampleCard(
        index=index,
        name=nearest.samples[index],
        label=label,
        classes=classes,
        most=max((max(answer.counts, default=0) for answer in answers), default=0),
        answers=answers,
        raster=_raster(recordings, index, label, outputs),
        maps=tuple(_maps(recordings, program, index)),
    )


def _of_sample(spikes: NDArray[Any], index: int) -> NDArray[Any]:
    kept: NDArray[Any] = spikes[spikes["sample"] == index]
    return kept


def _raster(recordings: Sequence[Recording], index: int, label: int, outputs: int) -> figures.Figure | None:
    """Input and output spikes over time, for every rung that kept the spikes of this sample."""
    inputs = next((found for r in reversed(recordings) if len(found := _input_spikes(r, index))), None)
    rows = []
    for recording in recordings:
        kept = [recording.spikes[name] for name in recording.outputs if name in recording.spikes]
        if kept and any(len(_of_sample(spikes, index)) for spikes in kept):
            rows.append((recording.rung, *recording.answer(index)))
    if inputs is None and not rows:
        return None
    return figures.raster(inputs, rows, outputs, label, f"sample {index}")


def _input_spikes(recording: Recording, index: int) -> NDArray[Any]:
    spikes = recording.spikes.get(INPUT)
    return np.empty(0) if spikes is None else _of_sample(spikes, index)


def _maps(recordings: Sequence[Recording], program: Program, index: int) -> list[figures.Figure]:
    """Spike counts per neuron of the input and of every layer but the answer, from the rung nearest to silicon."""
    nearest = recordings[-1]
    maps = []
    for recording in reversed(recordings):
        if len(spikes := _input_spikes(recording, index)):
            maps.append(figures.count_map(count(spikes, program.input_shape), "input"))
            break
    layers = [name for name in nearest.counts if name not in nearest.outputs]
    return maps + [figures.count_map(nearest.counts[name][index], f"{name}, {nearest.rung}") for name in layers]
