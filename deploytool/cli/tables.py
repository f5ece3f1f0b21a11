"""Tables that fit a terminal: figures stay whole, sentences wrap, names are shortened in the middle."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

GAP: Final = 2
"""Spaces between two columns."""

NAME_MIN: Final = 16
"""A name is not shortened to fewer characters."""

_FIGURE: Final = re.compile(r"[-−+~<>]?[0-9]")


@dataclass(frozen=True)
class Column:
    """One column: its ``header``, its ``cells``, and whether they are ``numbers``, which stand to the right."""

    header: str
    cells: tuple[str, ...]
    numbers: bool = False

    @property
    def width(self) -> int:
        """The width of the longest line."""
        lines = [line for text in (self.header, *self.cells) for line in text.split("\n")]
        return max(map(len, lines))

    @property
    def header_broken(self) -> Column:
        """The column whose header is in lines no longer than its cells, or its longest word."""
        width = max(len(word) for text in (*self.cells, *self.header.split()) for word in text.split("\n"))
        return replace(self, header=_filled(self.header, width))

    def narrowed(self, width: int) -> Column:
        """The column with its sentences wrapped and its names shortened to ``width``, or as far as they can be."""
        header = self.header if self.numbers else _filled(self.header, max(width, *map(len, self.header.split()), 1))
        cells = self.cells if self.numbers else tuple(_narrowed(cell, width) for cell in self.cells)
        return replace(self, header=header, cells=cells)


def blocks(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """``columns`` in one table, or in several that each begin with the first column, none wider than ``width``.

    Headers are broken first, then sentences and names give way, the widest first. Only a figure or a word that is wider
    than ``width`` itself is left to stick out.
    """
    if width_of(columns) <= width:
        return [list(columns)]
    columns = [column.header_broken for column in columns]
    fitted = _fitted(columns, width)
    if width_of(fitted) <= width or len(columns) == 1:
        return [fitted]
    first, *rest = columns
    made: list[list[Column]] = []
    block = [first]
    for column in rest:
        if len(block) > 1 and width_of(_fitted([*block, column], width)) > width:
            made.append(_fitted(block, width))
            block = [first]
        block.append(column)
    return [*made, _fitted(block, width)]


def width_of(columns: Sequence[Column]) -> int:
    """The width of a table of ``columns``."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def shortened(name: str, width: int) -> str:
    """``name`` in at most ``width`` characters, by what is in its middle."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def _fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """``columns`` as narrow as ``width`` asks for, or as they can be."""
    fitted = list(columns)
    able = [not column.numbers for column in columns]
    while width_of(fitted) > width and any(able):
        widest = max((number for number, more in enumerate(able) if more), key=lambda number: fitted[number].width)
        wanted = fitted[widest].width - max(1, min(width_of(fitted) - width, fitted[widest].width // 4))
        narrower = columns[widest].narrowed(wanted)
        able[widest] = narrower.width < fitted[widest].width
        fitted[widest] = narrower if able[widest] else fitted[widest]
    return fitted


def _narrowed(cell: str, width: int) -> str:
    words = [shortened(word, max(width, NAME_MIN)) if not _FIGURE.match(word) else word for word in cell.split(" ")]
    return _filled(" ".join(words), max(width, *map(len, words), 1))


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
