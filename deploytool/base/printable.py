"""Text from elsewhere, such as a name in a file, as it is shown to a person: on one line, and no longer than a limit.

A terminal obeys control characters, and Unicode's overrides of direction show a text in another order than it has.
"""

from __future__ import annotations

from typing import Final

SPACES: Final = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""Spaces that Python does not count as printable, and that text of our own has."""


def printable(text: str) -> str:
    """``text`` on one line: what a terminal would not simply show, such as a newline, is an escape, as in Python."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in SPACES else c.encode("unicode_escape").decode("ascii") for c in text)


def printable_lines(text: str) -> str:
    """``text`` with every line as `printable` shows it, for a page that a browser shows."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, length: int) -> str:
    """The beginning of ``text``, in at most ``length`` characters, the last of which says that there is more."""
    return text if len(text) <= length else f"{text[: max(length, 1) - 1]}…"
