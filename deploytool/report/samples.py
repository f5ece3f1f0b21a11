"""Samples as figures and tables: why each is shown, its spikes over time, and the answer of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.events import count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import SPIKE, Recording
from deploytool.report.choice import Choice
from deploytool.report.figures import maps, timeline
from deploytool.report.figures.timeline import Answered, Panel
from deploytool.report.player import player_data
from deploytool.report.runs import on_ladder, tied_classes

CLASSES_MAX: Final = 20
"""With more outputs than this, a sample's table shows only those that are its label or a prediction."""


@dataclass(frozen=True)
class Answer:
    """The answer of one run to a sample: spikes of the shown outputs, the prediction (-1 without spikes), and ties."""

    run: str
    counts: tuple[int, ...]
    prediction: int
    right: bool | None
    tied: tuple[int, ...]


@dataclass(frozen=True)
class SampleCard:
    """One sample as the page shows it; ``label`` is -1 if unknown. ``player`` is JSON, empty without spikes."""

    index: int
    name: str
    label: int
    reasons: tuple[str, ...]
    classes: tuple[int, ...]
    most: int
    answers: tuple[Answer, ...]
    timeline: tuple[Panel, ...]
    timed: str
    maps: tuple[maps.Picture, ...]
    player: str


@dataclass(frozen=True, eq=False)
class _Spikes:
    """The single spikes of one sample on one run."""

    run: str
    recording: Recording
    at: int

    def of(self, layer: str) -> NDArray[Any]:
        spikes = self.recording.spikes.get(layer, np.zeros(0, SPIKE))
        kept: NDArray[Any] = spikes[spikes["sample"] == self.at]
        return kept

    @property
    def answered(self) -> Answered:
        return Answered(self.run, *self.recording.answer(self.at))


def cards(
    runs: Mapping[str, Recording], replayed: Mapping[str, Recording], program: Program, chosen: Sequence[Choice]
) -> list[SampleCard]:
    """A card per ``chosen`` sample. ``replayed`` are runs of the chosen samples again, in order, with every spike."""
    return [_card(runs, replayed, program, place, choice) for place, choice in enumerate(chosen)]


def _card(
    runs: Mapping[str, Recording], replayed: Mapping[str, Recording], program: Program, place: int, choice: Choice
) -> SampleCard:
    ladder = on_ladder(runs)
    run, nearest = list(ladder.items())[-1]
    index, label = choice.index, int(nearest.labels[choice.index])
    predictions = [int(recording.predictions[index]) for recording in runs.values()]
    outputs = nearest.classes
    classes = tuple(range(outputs)) if outputs <= CLASSES_MAX else tuple(sorted({label, *predictions} - {-1}))
    answers = tuple(_answer(name, recording, index, classes) for name, recording in runs.items())
    spikes = [
        found for name, recording in ladder.items() if (found := _spikes(name, recording, replayed, place, index))
    ]
    shown = spikes[-1] if spikes else None
    duration_us = _duration_us(shown) if shown else 0
    return SampleCard(
        index=index,
        name=nearest.samples[index],
        label=label,
        reasons=choice.reasons,
        classes=classes,
        most=max((max(answer.counts, default=0) for answer in answers), default=0),
        answers=answers,
        timeline=_timeline(_compared(spikes), program, outputs, label, duration_us) if shown else (),
        timed=shown.run if shown else "",
        maps=tuple(_maps(nearest, run, shown, program, index)),
        player=_player(shown, program, duration_us) if shown else "",
    )


def _answer(name: str, recording: Recording, index: int, classes: Sequence[int]) -> Answer:
    prediction, label = int(recording.predictions[index]), int(recording.labels[index])
    return Answer(
        name,
        tuple(int(recording.output_counts[index, c]) for c in classes) if recording.outputs else (),
        prediction,
        None if label < 0 else prediction == label,
        tied_classes(recording, index),
    )


def _spikes(
    name: str, recording: Recording, replayed: Mapping[str, Recording], place: int, index: int
) -> _Spikes | None:
    """The single spikes of a sample on the run ``name``, replayed or kept; None if there are none."""
    for source, at in ((replayed.get(name), place), (recording, index)):
        if source and source.outputs and {INPUT, *source.outputs} <= source.spikes.keys():
            found = _Spikes(name, source, at)
            if len(found.of(INPUT)):
                return found
    return None


def _compared(spikes: Sequence[_Spikes]) -> list[_Spikes]:
    """At most two runs for a picture: the first, and the one nearest to silicon."""
    return [spikes[0], spikes[-1]] if len(spikes) > 1 else list(spikes)


def _duration_us(spikes: _Spikes) -> int:
    if len(spikes.recording.durations_us):
        return int(spikes.recording.durations_us[spikes.at])
    return 1 + max(int(spikes.of(name)["t"].max(initial=0)) for name in spikes.recording.spikes)


def _timeline(
    spikes: Sequence[_Spikes], program: Program, outputs: int, label: int, duration_us: int
) -> tuple[Panel, ...]:
    shown = spikes[-1]
    features, rows, _ = program.input_shape
    hidden = [name for name in shown.recording.spikes if name != INPUT and name not in shown.recording.outputs]
    answered = [each.answered for each in spikes]
    return (
        timeline.input_panel(shown.of(INPUT), rows, features, duration_us),
        *(timeline.layer_panel(name, shown.of(name)["t"], duration_us) for name in hidden),
        timeline.output_panel(answered, outputs, label, duration_us),
        timeline.decision_panel(answered, outputs, label, duration_us),
    )


def _player(shown: _Spikes, program: Program, duration_us: int) -> str:
    layers = {name: (program.map_of(name), shown.of(name)) for name in shown.recording.spikes}
    return player_data(layers, shown.recording.outputs, duration_us)


def _maps(nearest: Recording, name: str, shown: _Spikes | None, program: Program, index: int) -> list[maps.Picture]:
    """Spike counts per neuron of the input and of every layer but the answer, from the run nearest to silicon."""
    pictures = [maps.count_map(count(shown.of(INPUT), program.input_shape), "input")] if shown else []
    layers = [layer for layer in nearest.counts if layer not in nearest.outputs]
    return pictures + [maps.count_map(nearest.counts[layer][index], f"{layer}, {name}") for layer in layers]
