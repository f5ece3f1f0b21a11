"""Text in the cells of a table that a spreadsheet may open."""

from __future__ import annotations

from typing import Final

FORMULA: Final = "=+-@'\t\r\n＝＋－＠"
"""A text that begins with one of these is written behind a ', so that no spreadsheet computes it."""


def escaped(text: str) -> str:
    """``text`` as it is written in a table."""
    return f"'{text}" if text[:1] and text[0] in FORMULA else text


def unescaped(cell: str) -> str:
    """The text that ``cell`` of a table stands for."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in FORMULA else cell
