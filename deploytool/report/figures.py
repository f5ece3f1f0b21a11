"""Figures as data URIs: count maps, spike rasters and training curves. The same values give the same bytes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.program import INPUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK, FAINT, ACCENT, WARM = "#1f2933", "#9aa5b1", "#1f5f99", "#b4531f"
_GAP: Final = (203, 210, 217)
_RAMP: Final = np.array([(255, 255, 255), (196, 217, 237), (107, 160, 209), (31, 95, 153), (10, 37, 71)], float)
MAPS_MAX: Final = 16
"""The maximum number of features shown per layer."""
_MAP_WIDTH: Final = 215
"""Approximate width of a count map, in CSS pixels."""

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "deploytool",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica Neue", "Arial"],
    "font.size": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Figure:
    """An image inside the page: its data URI, its width and height in CSS pixels, and a description."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str


def count_map(counts: NDArray[np.int64], name: str) -> Figure:
    """Spikes per neuron of a layer, ``counts`` (C, H, W), one tile per feature; white is 0, dark is the maximum.

    A vector (N, 1, 1) becomes one tile, row by row.
    """
    features = counts.shape[0]
    tiles = counts[:MAPS_MAX]
    if counts.shape[1:] == (1, 1):
        tiles, note = _square(counts.reshape(-1)), f"{features} neurons, row by row"
    elif name == INPUT and features == 2:
        note = "OFF left, ON right"
    else:
        note = f"{features} features" if features <= MAPS_MAX else f"the first {MAPS_MAX} of {features} features"
    most, total = int(counts.max(initial=0)), int(counts.sum())
    image = _tiled(tiles, most)
    return Figure(
        _png(image),
        image.shape[1],
        image.shape[0],
        f"Spike counts per neuron, {name}: {total} spikes, at most {most} per neuron",
        f"{name}: {total:,} spikes, 0 … {most} per neuron ({note})",
    )


def _square(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """``counts`` (N,) as one near-square tile (1, rows, columns), -1 in unused places."""
    columns = math.ceil(math.sqrt(len(counts)))
    tile = np.full((1, math.ceil(len(counts) / columns), columns), -1, np.int64)
    tile.reshape(-1)[: len(counts)] = counts
    return tile


def _tiled(tiles: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """(rows, columns, 3): the tiles in a grid, a power of two in each row, with a line of one pixel around each."""
    number, height, width = tiles.shape
    columns = 1 << ((number - 1).bit_length() + 1) // 2
    rows = math.ceil(number / columns)
    factor = max(1, round(_MAP_WIDTH / columns / width))
    height, width = height * factor, width * factor
    image = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 255, np.uint8)
    for i in range(number):
        y, x = (i // columns) * (height + 1), (i % columns) * (width + 1)
        image[y : y + height + 2, x : x + width + 2] = _GAP
        tile = np.where(tiles[i][..., None] < 0, _GAP, _shade(tiles[i], most))
        image[y + 1 : y + height + 1, x + 1 : x + width + 1] = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    return image


def _shade(counts: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """(H, W, 3): the colour of each count, linear from white at 0 to dark blue at ``most``."""
    place = np.clip(counts, 0, None) / max(most, 1) * (len(_RAMP) - 1)
    channels = [np.interp(place, np.arange(len(_RAMP)), _RAMP[:, channel]) for channel in range(3)]
    shaded: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return shaded


def raster(
    inputs: NDArray[Any] | None,
    rows: Sequence[tuple[str, NDArray[np.int64], NDArray[np.int64]]],
    outputs: int,
    label: int,
    name: str,
) -> Figure:
    """Spikes over time in ms: ``inputs`` (dtype SPIKE) by row of the map, then the outputs of every rung.

    ``rows`` are (rung, times in us, output neurons); a line marks the neuron ``label``.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    heights = [1.3] * (inputs is not None) + [1.0] * len(rows)
    with matplotlib.rc_context(_STYLE):
        figure = Canvas(figsize=(4.0, 0.4 + 1.15 * sum(heights)))
        axes = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        _set_margins(figure)
        if inputs is not None:
            _input_raster(axes[0], inputs)
        for axis, (rung, times, neurons) in zip(axes[len(axes) - len(rows) :], rows, strict=True):
            if label >= 0:
                axis.axhline(label, color=WARM, linewidth=4, alpha=0.18)
            axis.scatter(times / 1000, neurons, s=14, marker="|", linewidths=0.7, color=ACCENT, rasterized=True)
            axis.set(title=f"{rung}, output neuron", ylim=(outputs - 0.4, -0.6), yticks=_neuron_ticks(outputs))
        axes[-1].set_xlabel("time (ms)")
        axes[-1].set_xlim(left=0)
        spikes = ", ".join(f"{rung} {len(times)}" for rung, times, _ in rows)
        return _svg(figure, f"Spikes over time, {name}: output spikes on {spikes or 'no rung'}")


def _input_raster(axis: Axes, inputs: NDArray[Any]) -> None:
    for feature, colour in ((0, FAINT), (1, INK)):
        spikes = inputs[inputs["c"] == feature] if feature == 0 else inputs[inputs["c"] >= 1]
        axis.scatter(spikes["t"] / 1000, spikes["y"], s=1.2, linewidths=0, color=colour, rasterized=True)
    two = len(inputs) and int(inputs["c"].max()) == 1
    axis.set_title("input, row of the map" + (" (grey OFF, black ON)" if two else ""))
    axis.invert_yaxis()


def _neuron_ticks(outputs: int) -> list[int]:
    step = max(1, math.ceil(outputs / 5))
    return list(range(0, outputs, step))


def training_curves(history: Sequence[Mapping[str, float]]) -> tuple[Figure, Figure]:
    """Loss and accuracy per epoch, of training and validation; a dot marks the epoch that was chosen.

    That is the row with "chosen". Without one, it is the row with the best validation accuracy; ties go to the lowest
    validation loss.
    """
    best = min(history, key=lambda row: (-row["validation_accuracy"], row["validation_loss"]))
    chosen = next((row for row in history if "chosen" in row), best)
    return _curves("Loss", "loss", history, chosen), _curves("Accuracy (%)", "accuracy", history, chosen)


def _curves(title: str, key: str, history: Sequence[Mapping[str, float]], chosen: Mapping[str, float]) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import MaxNLocator

    epochs, held_out = [row["epoch"] for row in history], f"validation_{key}"
    with matplotlib.rc_context(_STYLE):
        figure = Canvas(figsize=(4.0, 2.3))
        axis = figure.subplots()
        _set_margins(figure)
        axis.plot(epochs, [row[key] for row in history], color=FAINT, linewidth=1.4, label="training")
        axis.plot(epochs, [row[held_out] for row in history], color=ACCENT, linewidth=1.4, label="validation")
        axis.plot(chosen["epoch"], chosen[held_out], "o", markersize=5, color=WARM, label="chosen")
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
        alt = f"{title} per epoch over {len(history)} epochs; validation at the chosen epoch {chosen['epoch']:.0f}"
        return _svg(figure, f"{alt}: {chosen[held_out]:.4g}")


def _set_margins(figure: Canvas) -> None:
    """Margins in inches. Matplotlib's layout solver would differ in the last digits from one run to the next."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=0.36 / width, right=1 - 0.06 / width, bottom=0.42 / height, top=1 - 0.2 / height, hspace=0.32
    )


def _svg(figure: Canvas, alt: str) -> Figure:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Figure(_uri("image/svg+xml", stream.getvalue()), width, height, alt, "")


def _png(image: NDArray[np.uint8]) -> str:
    from matplotlib.image import imsave

    stream = io.BytesIO()
    imsave(stream, image, format="png")
    return _uri("image/png", stream.getvalue())


def _uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
