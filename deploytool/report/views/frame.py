"""The frame of a view: its style, its title, tables, and bars in them.

Text and lines have the colour of the notebook's text, so that a view fits light and dark pages. Colours of its own are
of middle brightness. A notebook's style sheet has rules for tables, which the style overrides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from markupsafe import Markup, escape

from deploytool.base.printable import printable_lines
from deploytool.report.figures.svg import element

Cell: TypeAlias = str | int | Markup | None

STYLE: Final = Markup(
    ".dt-view{font:13px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:inherit;max-width:700px}"
    ".dt-view p{margin:.35em 0}"
    ".dt-view .dt-scroll{overflow-x:auto;margin:.5em 0}"
    ".dt-view table{border-collapse:collapse;table-layout:auto;width:auto;margin:0;border:0;font-size:inherit}"
    ".dt-view tr{background:none!important}"
    ".dt-view th,.dt-view td{border:0;border-bottom:1px solid rgba(128,128,128,.3);padding:3px 14px 3px 0;"
    "text-align:left;vertical-align:top;background:none;color:inherit;max-width:24em;white-space:nowrap}"
    ".dt-view td.dt-text{white-space:normal;overflow-wrap:anywhere;min-width:9em}"
    ".dt-view p,.dt-view li{overflow-wrap:anywhere}"
    ".dt-view th{font-weight:600;white-space:normal;vertical-align:bottom}"
    ".dt-view .dt-number{text-align:right;font-variant-numeric:tabular-nums}"
    ".dt-view .dt-quiet{opacity:.65}"
    ".dt-view ul,.dt-view ol{margin:.35em 0;padding-left:1.6em}"
    ".dt-view svg{display:block;max-width:100%;overflow:visible}"
    ".dt-view svg.dt-bar{max-width:none;margin:2px 0 3px}"
    ".dt-view svg text{fill:currentColor;font:11px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    ".dt-view svg text.dt-name{font-weight:600;font-size:12px}"
    ".dt-view .dt-box{fill:rgba(128,128,128,.08);stroke:rgba(128,128,128,.45)}"
    ".dt-view .dt-room{fill:rgba(128,128,128,.25)}"
    ".dt-view .dt-held{fill:#2f81c7}"
    ".dt-view .dt-lost{fill:#2f81c7;fill-opacity:.4}"
    ".dt-view .dt-over{fill:#c8641e}"
    ".dt-view .dt-on{stroke:#2f81c7;stroke-width:1.4;fill:none}"
    ".dt-view .dt-off{stroke:rgba(128,128,128,.75);stroke-width:1.4;fill:none}"
    ".dt-view .dt-line{stroke:rgba(128,128,128,.45);fill:none}"
)
"""The style of every view, under the class ``dt-view``."""

BAR: Final = 92
"""The width of a bar in a table, in pixels."""
THICK: Final = 5
"""Its height."""
LONG: Final = 28
"""A text longer than this may be broken into lines."""
_FIGURE: Final = re.compile(r"[−-]?[\d,.]+(\s?(%|ms|s))?|undefined")


def view(title: str, *parts: Markup | None) -> str:
    """The HTML of a view; parts that are None are left out."""
    kept = [part for part in parts if part is not None]
    head = element("p", element("b", escape(title)))
    return printable_lines(str(element("div", element("style", STYLE), head, *kept, class_="dt-view")))


def paragraph(text: str, quiet: bool = False) -> Markup:
    """A paragraph; a ``quiet`` one is paler."""
    return element("p", escape(text), class_="dt-quiet" if quiet else None)


def items(title: str, texts: Iterable[str], kind: Literal["ul", "ol"] = "ul") -> Markup | None:
    """A list of sentences under a ``title``, numbered if ``kind`` is "ol"; None if there is none."""
    entries = [element("li", escape(text)) for text in texts]
    return element("div", element("p", element("b", escape(title))), element(kind, *entries)) if entries else None


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Markup:
    """A table, which scrolls by itself if it is wider than the page; numbers are on the right."""
    cells = [list(row) for row in rows]
    numbers = [all(_is_number(row[at]) for row in cells) for at in range(len(columns))]
    head = [element("th", escape(name), class_="dt-number" if numbers[at] else None) for at, name in enumerate(columns)]
    body = [element("tr", *map(_cell, row, numbers)) for row in cells]
    inner = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", inner, class_="dt-scroll")


def _is_number(cell: Cell) -> bool:
    if isinstance(cell, Markup):
        return False
    return isinstance(cell, int | None) or _FIGURE.fullmatch(cell) is not None


def _cell(cell: Cell, number: bool) -> Markup:
    if isinstance(cell, Markup):
        return element("td", cell)
    text = f"{cell:,}" if isinstance(cell, int) else "–" if cell is None else cell
    class_ = "dt-number" if number else "dt-text" if len(text) > LONG else None
    return element("td", escape(text), class_=class_)


def bar(held: float, taken: float, whole: float, says: str) -> Markup:
    """What a cell ``says``, over a bar of ``held`` and ``taken`` of a ``whole``, which is orange beyond the whole."""
    scale = BAR / max(whole, 1)
    over = taken > whole
    drawn = [
        element("rect", width=BAR, height=THICK, rx=1, class_="dt-room"),
        element("rect", width=min(BAR, taken * scale), height=THICK, rx=1, class_="dt-over" if over else "dt-lost"),
    ]
    if not over:
        drawn.append(element("rect", width=min(BAR, held * scale), height=THICK, rx=1, class_="dt-held"))
    size = {"width": BAR, "height": THICK, "viewBox": f"0 0 {BAR} {THICK}"}
    return escape(says) + element("svg", *drawn, **size, class_="dt-bar", aria_hidden="true")
