"""Small pieces of Markdown, as the pages need them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def definitions(items: Iterable[tuple[str, str]]) -> str:
    """A list of (term, what it means); the meaning may have several paragraphs."""
    entries = (f"{term}\n: {meaning.strip().replace(chr(10), chr(10) + '  ')}\n" for term, meaning in items)
    return "\n".join(entries)


def listed(values: Sequence[str], last: str = "or") -> str:
    """``values`` in one phrase: "a, b or c"."""
    *most, final = values
    return f"{', '.join(most)} {last} {final}" if most else final


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", paragraph)[0]


def prose(text: str) -> str:
    """Text of a docstring in Markdown: its double backquotes become single ones."""
    return text.replace("``", "`")


def slug(*parts: str) -> str:
    """The anchor of something named ``parts``."""
    return "-".join(re.sub(r"\W+", "-", part).strip("-") for part in parts if part).lower()
