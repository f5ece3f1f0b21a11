"""Curves of a sweep as a picture for a paper: SVG, PDF or PNG, the same bytes for the same sweep.

Glyphs are embedded. Networks differ in marker and line as well as in colour, so that a print in grey can be read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.printable import printable
from deploytool.ir.sweep import Curve, Point, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1a1a1a", "#7a7a7a", "#e3e3e3"
COLOURS: Final = ("#0b559f", "#e8871e", "#1a1a1a", "#3f9c6f", "#b75fa6", "#8c6d1f", "#6fb7de")
"""The first ones differ in lightness too."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LINES: Final = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (5, 1.4, 1.2, 1.4)))

WIDTH_IN: Final = 7.0
"""The width of two columns of a page."""
ROW_IN: Final = 2.25
LEGEND_IN: Final = 0.3
"""The height of one line of a legend."""
LEGEND_COLUMNS: Final = 5
NOTE_IN: Final = 0.2
DPI: Final = 300
TICKS_MAX: Final = 7
"""Values on an axis of x."""
ROUND: Final = (1, 2, 2.5, 5, 10)
"""Steps between ticks, as multiples of a power of ten."""

_STYLE: Final[Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "deploytool",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.4,
    "lines.markeredgewidth": 0.5,
}
_METADATA: Final[Mapping[str, dict[str, Any]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""What would differ from one day or version to the next is left out."""


@dataclass(frozen=True)
class Measure:
    """A figure of a point, and the label of its axis; ``value`` is None where it is not known."""

    label: str
    value: Callable[[Point], float | None]


ACCURACY: Final = Measure("accuracy (%)", lambda point: point.accuracy)
DIFFERENCE: Final = Measure("spike difference (%)", lambda point: point.spike_difference)
SYNOPS: Final = Measure("SynOps per sample", lambda point: point.synops)
EVENTS: Final = Measure("input events used (mean)", lambda point: point.events)
MS: Final = Measure("time used (ms, mean)", lambda point: point.ms)


def drawn(sweep: Sweep, suffix: str) -> bytes:
    """The picture of ``sweep`` as a file of type ``suffix``: svg, pdf or png.

    A row has accuracy, spike difference and synaptic updates against what is varied, for all networks. Early exits have
    a row of their own: accuracy against the mean time, input events and updates that they use.
    """
    import matplotlib
    from matplotlib.figure import Figure

    rows = [row for row in (_varied(sweep), _exits(sweep)) if row.panels]
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        height = top = NOTE_IN + sum(row.legend_in + ROW_IN for row in rows)
        figure = Figure(figsize=(WIDTH_IN, height))
        for row in rows:
            _draw_row(figure, row, top)
            top -= row.legend_in + ROW_IN
        figure.text(0.06 / WIDTH_IN, 0.07 / height, printable(_note(sweep)), size=6, color=FAINT)
        stream = io.BytesIO()
        figure.savefig(stream, format=suffix, dpi=DPI, metadata=_METADATA[suffix])
        return stream.getvalue()


@dataclass(frozen=True)
class Panel:
    """One plot: ``curves``, each with its style, of ``y`` against ``x`` (None: the value that is varied)."""

    curves: tuple[tuple[Curve, dict[str, Any]], ...]
    x: Measure | None
    y: Measure

    def line(self, curve: Curve) -> list[tuple[float, float, Point]]:
        """(x, y, point) of the points of ``curve`` that have both, in order of x."""
        found = []
        for point in curve.points:
            x, y = point.value if self.x is None else self.x.value(point), self.y.value(point)
            if x is not None and y is not None:
                found.append((x, y, point))
        return sorted(found, key=lambda each: each[0])


@dataclass(frozen=True)
class Row:
    """Plots side by side, and the ``legend`` above them {label: style}."""

    panels: tuple[Panel, ...]
    legend: Mapping[str, dict[str, Any]]

    @property
    def legend_in(self) -> float:
        """The height of the legend."""
        return LEGEND_IN * -(-len(self.legend) // LEGEND_COLUMNS)


def _varied(sweep: Sweep) -> Row:
    """Accuracy, spike difference and synaptic updates against what is varied."""
    curves = [curve for curve in sweep.curves if curve.of.how != "exit"]
    several = len({curve.on for curve in curves}) > 1
    labels = [f"{curve.model} ({curve.on})" if several else curve.model for curve in curves]
    styles = [_style(i, i, i) for i in range(len(curves))]
    styled = tuple(zip(curves, styles, strict=True))
    panels = [Panel(styled, None, measure) for measure in (ACCURACY, DIFFERENCE, SYNOPS)]
    return Row(_known(panels), dict(zip(labels, styles, strict=True)))


def _exits(sweep: Sweep) -> Row:
    """Accuracy against what early exits use; colours are networks, if there are several, and lines are policies."""
    curves = sweep.varying("exit")
    models, policies = (list(dict.fromkeys(getattr(curve, key) for curve in curves)) for key in ("model", "quantity"))
    several = len(models) > 1
    styled = []
    for curve in curves:
        model, policy = models.index(curve.model), policies.index(curve.quantity)
        style = _style(model if several else policy, policy, policy)
        styled.append((curve, style | (_hollow(style) if several and model % 2 else {})))
    panels = [Panel(tuple(styled), measure, ACCURACY) for measure in (MS, EVENTS, SYNOPS)]
    names = {model: _style(i, 0, 0) for i, model in enumerate(models)}
    legend = {model: style | (_hollow(style) if i % 2 else {}) for i, (model, style) in enumerate(names.items())}
    exits = {
        f"exit by {policy}": _style(i, i, i) | ({"color": INK} if several else {}) for i, policy in enumerate(policies)
    }
    return Row(_known(panels), (legend if several else {}) | exits)


def _known(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    return tuple(panel for panel in panels if any(panel.line(curve) for curve, _ in panel.curves))


def _style(colour: int, marker: int, line: int) -> dict[str, Any]:
    return {
        "color": COLOURS[colour % len(COLOURS)],
        "marker": MARKERS[marker % len(MARKERS)],
        "markeredgecolor": "white",
        "linestyle": LINES[line % len(LINES)],
    }


def _hollow(style: Mapping[str, Any]) -> dict[str, Any]:
    """Markers that are white inside."""
    return {"markerfacecolor": "white", "markeredgecolor": style["color"], "markeredgewidth": 0.9}


def _draw_row(figure: Figure, row: Row, top: float) -> None:
    """Draws ``row`` below ``top``, in inches.

    Margins are in inches: matplotlib's layout solver would differ in the last digits from one run to the next.
    """
    from matplotlib.lines import Line2D

    _, height = figure.get_size_inches()
    left, right, gap, below, above = 0.5, 0.12, 0.58, 0.42, 0.08
    width = (WIDTH_IN - left - right - 2 * gap) / 3
    for i, panel in enumerate(row.panels):
        x, y = left + i * (width + gap), top - row.legend_in - ROW_IN + below
        place = (x / WIDTH_IN, y / height, width / WIDTH_IN, (ROW_IN - below - above) / height)
        _draw(figure.add_axes(place), panel)
    figure.legend(
        [Line2D([], [], **style) for style in row.legend.values()],
        [printable(label) for label in row.legend],
        loc="upper left",
        bbox_to_anchor=(0.02 / WIDTH_IN, top / height),
        ncols=min(len(row.legend), LEGEND_COLUMNS),
        handlelength=2.6,
        columnspacing=1.4,
        borderaxespad=0.3,
    )


def _draw(axes: Axes, panel: Panel) -> None:
    for curve, style in panel.curves:
        line = panel.line(curve)
        x = [x for x, _, _ in line]
        axes.plot(x, [y for _, y, _ in line], clip_on=False, zorder=3, **style)
        spans = [curve.band(point) for _, _, point in line]
        if panel.y is ACCURACY and panel.x is None and all(spans):
            low, high = ([each[side] for each in spans if each] for side in (0, 1))
            axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)
    first = panel.curves[0][0]
    axes.set_xlabel(first.of.axis if panel.x is None else panel.x.label)
    axes.set_ylabel(panel.y.label)
    _scale_x(axes, panel, first)
    _scale_y(axes, panel)


def _scale_x(axes: Axes, panel: Panel, first: Curve) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    values = sorted({x for curve, _ in panel.curves for x, _, _ in panel.line(curve)})
    if panel.x is not None:
        if panel.x is SYNOPS:
            axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
        return
    if first.of.log and values[0] > 0 and values[-1] / values[0] > 8:
        axes.set_xscale("log", base=2)
    if len(values) <= 2 * TICKS_MAX:
        axes.xaxis.set_major_locator(FixedLocator(values[:: -(-len(values) // TICKS_MAX)]))
    axes.xaxis.set_major_formatter(FuncFormatter(_short if values[-1] >= 10_000 else lambda x, _: f"{x:g}"))


def _scale_y(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    values = [y for curve, _ in panel.curves for _, y, _ in panel.line(curve)]
    if panel.y is ACCURACY:
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(100.0, high))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
        return
    if min(values) > 0 and max(values) / min(values) > 30:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.06 * max(values) or 1)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))


def _short(value: float, _: object) -> str:
    """``value`` with k for thousands and M for millions."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:g} {unit}"
    return f"{value:g}"


def _note(sweep: Sweep) -> str:
    """What ran, on what, and what the spike difference is from, on one line."""
    main = [curve for curve in sweep.curves if curve.of.how != "exit"] or list(sweep.curves)
    runs = " and ".join(dict.fromkeys(curve.on for curve in main))
    references = " or ".join(dict.fromkeys(curve.reference for curve in main if curve.reference))
    parts = [f"{sweep.data}, {sweep.samples} samples, {runs}", f"bands: {sweep.bands}"]
    return "; ".join(parts + ([f"spike difference from {references}"] if references else []))
