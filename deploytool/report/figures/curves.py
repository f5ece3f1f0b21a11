"""Training curves: loss and score per epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from deploytool.base.numbers import figure
from deploytool.report.figures.chart import Frame, rounded_scale, scale

HEIGHT = 150
SCORES: Final = {"accuracy": "Accuracy per epoch, in %", "r2": "R² per epoch", "si_sdr": "SI-SDR per epoch, in dB"}
"""{key of a score in the history: the title of its chart}."""


@dataclass(frozen=True)
class Chart:
    """A chart and the sentence below it."""

    title: str
    drawing: Markup
    caption: str


def training_curves(history: Sequence[Mapping[str, float]]) -> tuple[Chart, Chart]:
    """Loss and accuracy, R2 or SI-SDR per epoch, of training and validation; a dot marks the epoch that was chosen.

    That is the row with "chosen". Without one, it is the row with the best validation score; ties go to the lowest
    validation loss.
    """
    key = next(key for key in SCORES if f"validation_{key}" in history[0])
    best = min(history, key=lambda row: (-row[f"validation_{key}"], row["validation_loss"]))
    chosen = next((row for row in history if "chosen" in row), best)
    return _curves("Loss per epoch", "loss", history, chosen), _curves(SCORES[key], key, history, chosen)


def _curves(title: str, key: str, history: Sequence[Mapping[str, float]], chosen: Mapping[str, float]) -> Chart:
    epochs = [row["epoch"] for row in history]
    training, held_out = [row[key] for row in history], [row[f"validation_{key}"] for row in history]
    frame = Frame(
        scale(min(epochs), max(epochs), count=5, whole=True),
        rounded_scale(min(*training, *held_out), max(*training, *held_out)),
        HEIGHT,
    )
    at, value = chosen["epoch"], chosen[f"validation_{key}"]
    alt = f"{title}, over {len(history)} epochs; validation at the chosen epoch {at:.0f}: {figure(value)}"
    lines = [frame.line(epochs, training, "line second"), frame.line(epochs, held_out, "line first")]
    return Chart(
        title,
        frame.draw(alt, lines, [frame.dot(at, value, "dot")]),
        f"training in grey, validation in blue; chosen: epoch {at:.0f}, {figure(value)}",
    )
