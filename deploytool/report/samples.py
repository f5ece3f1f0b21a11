"""Samples as figures and tables: why each is shown, its spikes over time, and the answer of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.events import count
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import SPIKE, Recording
from deploytool.report.choice import Choice
from deploytool.report.figures import maps, timeline
from deploytool.report.figures.curves import Chart
from deploytool.report.figures.timeline import Answered, Panel
from deploytool.report.player import ROOM, player_data
from deploytool.report.runs import on_ladder, tied_classes
from deploytool.report.values import sample_charts

MAPS_MAX: Final = 32
"""The maximum number of maps in a page, in all samples together, and `LAYERS_MAX` that of one sample."""
LAYERS_MAX: Final = 8
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
    """One sample as the page shows it; ``label`` is -1 if unknown.

    ``not_drawn`` layers have no map. ``player`` is JSON, empty without spikes. ``values`` are traces of the values that
    are read, empty if the output is classes.
    """

    index: int
    name: str
    label: int
    reasons: tuple[str, ...]
    classes: tuple[int, ...]
    most: int
    answers: tuple[Answer, ...]
    timeline: tuple[Panel, ...]
    maps: tuple[maps.Picture, ...]
    not_drawn: int
    player: str
    values: tuple[Chart, ...] = ()


@dataclass(frozen=True)
class _Shown:
    """The sample of ``choice``, which is number ``place`` ``of`` those on the page."""

    choice: Choice
    place: int
    of: int

    @property
    def maps(self) -> int:
        """The number of maps that it may have, the input's included."""
        return max(1, min(LAYERS_MAX, MAPS_MAX // self.of))

    @property
    def marks(self) -> int:
        """The number of marks that each of its rasters may have for a feature or a run."""
        return max(500, min(timeline.MARKS, 4 * timeline.MARKS // self.of))


@dataclass(frozen=True, eq=False)
class _Spikes:
    """The single spikes of one sample on one run."""

    run: str
    recording: Recording
    at: int

    @cached_property
    def by_layer(self) -> dict[str, NDArray[Any]]:
        """{layer or "input": its spikes}."""
        return {name: spikes[spikes["sample"] == self.at] for name, spikes in self.recording.spikes.items()}

    def of(self, layer: str) -> NDArray[Any]:
        return self.by_layer.get(layer, np.zeros(0, SPIKE))

    @property
    def answered(self) -> Answered:
        return Answered(self.run, *self.recording.answer(self.at))


def cards(
    runs: Mapping[str, Recording], replayed: Mapping[str, Recording], program: Program, chosen: Sequence[Choice]
) -> list[SampleCard]:
    """A card per ``chosen`` sample. ``replayed`` are runs of the chosen samples again, in order, with every spike."""
    return [_card(runs, replayed, program, _Shown(choice, place, len(chosen))) for place, choice in enumerate(chosen)]


def _card(
    runs: Mapping[str, Recording], replayed: Mapping[str, Recording], program: Program, shown: _Shown
) -> SampleCard:
    ladder = on_ladder(runs)
    run, nearest = list(ladder.items())[-1]
    index = shown.choice.index
    label = int(nearest.labels[index])
    predictions = [int(recording.predictions[index]) for recording in runs.values()]
    outputs = nearest.output_neurons
    classes = tuple(range(outputs)) if outputs <= CLASSES_MAX else tuple(sorted({label, *predictions} - {-1}))
    if nearest.reads_values:
        classes = ()
    answers = tuple(_answer(name, recording, index, classes) for name, recording in runs.items() if classes)
    found = [_spikes(name, recording, replayed, shown) for name, recording in ladder.items()]
    spikes = [each for each in found if each]
    last = spikes[-1] if spikes else None
    duration_us = _duration_us(last) if last else 0
    layers = [layer for layer in nearest.counts if layer not in nearest.outputs]
    drawn = layers[: shown.maps - 1]
    pictures = [maps.count_map(count(last.of(INPUT), program.input_shape), "input")] if last else []
    pictures += [maps.count_map(nearest.counts[layer][index], f"{layer}, {run}") for layer in drawn]
    return SampleCard(
        index=index,
        name=nearest.samples[index],
        label=label,
        reasons=shown.choice.reasons,
        classes=classes,
        most=max((max(answer.counts, default=0) for answer in answers), default=0),
        answers=answers,
        timeline=_timeline(_compared(spikes), program, label, duration_us, shown.marks) if last else (),
        maps=tuple(pictures),
        not_drawn=len(layers) - len(drawn),
        player=_player(last, program, duration_us, ROOM // shown.of) if last else "",
        values=sample_charts(ladder, index),
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


def _spikes(name: str, recording: Recording, replayed: Mapping[str, Recording], shown: _Shown) -> _Spikes | None:
    """The single spikes of a sample on the run ``name``, replayed or kept; None if there are none."""
    for source, at in ((replayed.get(name), shown.place), (recording, shown.choice.index)):
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
    spikes: Sequence[_Spikes], program: Program, label: int, duration_us: int, marks: int
) -> tuple[Panel, ...]:
    shown = spikes[-1]
    outputs = shown.recording.output_neurons
    features, rows, _ = program.input_shape
    hidden = [name for name in shown.recording.spikes if name != INPUT and name not in shown.recording.outputs]
    answered = [each.answered for each in spikes]
    return (
        timeline.input_panel(shown.of(INPUT), rows, features, duration_us, marks),
        *(timeline.layer_panel(name, shown.of(name)["t"], duration_us) for name in hidden),
        timeline.output_panel(answered, outputs, label, duration_us, marks),
        *(() if shown.recording.reads_values else (timeline.decision_panel(answered, label, duration_us),)),
    )


def _player(spikes: _Spikes, program: Program, duration_us: int, room: int) -> str:
    layers = {name: (program.map_of(name), spikes.of(name)) for name in spikes.recording.spikes}
    predicting = () if spikes.recording.reads_values else spikes.recording.outputs
    return player_data(layers, predicting, duration_us, room)
