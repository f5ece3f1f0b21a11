"""SVG as text. Colours and widths are in the page's style, by class, so that a figure fits light, dark and print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

STRETCHED: Final = 1000
"""The width of a drawing that is stretched to the width of the page."""


def element(name: str, *content: Markup | str, **attributes: object) -> Markup:
    """``<name attribute="value">content</name>``, all values escaped; None is left out.

    ``_`` in the name of an attribute stands for ``-``, and one at its end is dropped, as in ``class_``.
    """
    written = "".join(
        f' {_attribute(key)}="{escape(_text(value))}"' for key, value in attributes.items() if value is not None
    )
    inside = Markup("").join(content)
    return Markup(f"<{name}{written}>{inside}</{name}>" if content else f"<{name}{written}/>")


def _attribute(key: str) -> str:
    return key if key == "viewBox" or key == "preserveAspectRatio" else key.rstrip("_").replace("_", "-")


def _text(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """``value`` with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(share: float) -> str:
    """``12.5%`` of a share of 1, as a coordinate."""
    return f"{number(100 * share)}%"


def label(text: str, x: float | str, y: float, anchor: str = "start", class_: str | None = None) -> Markup:
    """A line of text."""
    return element("text", escape(text), x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_)


def drawing(height: float, alt: str, *content: Markup, class_: str = "chart") -> Markup:
    """A figure as wide as its place on the page, and ``height`` pixels high."""
    return element("svg", *content, class_=class_, width="100%", height=height, role="img", aria_label=alt)


def stretched(y: float, height: float, *content: Markup) -> Markup:
    """``content`` with x from 0 to `STRETCHED`, stretched to the width of the drawing, and y in pixels from ``y``."""
    return element(
        "svg",
        *content,
        y=y,
        width="100%",
        height=height,
        viewBox=f"0 0 {STRETCHED} {number(height)}",
        preserveAspectRatio="none",
    )


def path(commands: Iterable[str], class_: str) -> Markup:
    """A path. Lines in it keep their width when the drawing is stretched."""
    return element("path", d="".join(commands), class_=class_, vector_effect="non-scaling-stroke")


def ticks(shares: ArrayLike, tops: ArrayLike, length: float) -> list[str]:
    """Path commands of vertical lines that begin at ``tops`` pixels; ``shares`` of the width, one or more per place."""
    x = np.rint(np.asarray(shares, float) * STRETCHED).astype(int)
    y = np.broadcast_to(np.asarray(tops, float), x.shape)
    return [
        f"M{at} {number(top)}v{number(length)}" for at, top in sorted(set(zip(x.tolist(), y.tolist(), strict=True)))
    ]


def polyline(shares: ArrayLike, heights: ArrayLike) -> list[str]:
    """Path commands of a line through points, at ``shares`` of the width and ``heights`` in pixels."""
    x = np.asarray(shares, float) * STRETCHED
    return [
        f"{'L' if i else 'M'}{number(at)} {number(y)}"
        for i, (at, y) in enumerate(zip(x.tolist(), np.asarray(heights, float).tolist(), strict=True))
    ]


def steps(shares: ArrayLike, heights: ArrayLike) -> list[str]:
    """Path commands of a line that keeps each height until the next of ``shares``."""
    x = (np.asarray(shares, float) * STRETCHED).tolist()
    y = np.asarray(heights, float).tolist()
    if not x:
        return []
    return [f"M{number(x[0])} {number(y[0])}"] + [
        f"H{number(at)}V{number(to)}" for at, to in zip(x[1:], y[1:], strict=True)
    ]


def bars(edges: ArrayLike, heights: ArrayLike, floor: float) -> list[str]:
    """Path commands of a filled area of bars: ``edges`` (N + 1,) shares of the width, tops ``heights`` (N,) pixels."""
    x = (np.asarray(edges, float) * STRETCHED).tolist()
    tops = np.asarray(heights, float).tolist()
    commands = [f"M{number(x[0])} {number(floor)}"]
    for i, top in enumerate(tops):
        commands.append(f"V{number(top)}H{number(x[i + 1])}")
    return [*commands, f"V{number(floor)}Z"]
