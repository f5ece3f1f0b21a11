"""Text: a table of events, one line each, its columns separated by commas, semicolons, tabs or spaces.

The first line may name the columns, behind a # or not; without names their order must be stated.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.arrays import events_in_array
from deploytool.data.formats.named import columns_named, complete
from deploytool.data.formats.parts import START, Part, Parts, Place
from deploytool.data.formats.reading import COLUMNS, Reading

_SEPARATORS: Final = re.compile(r"\s*[,;]\s*|\s+")
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?$")
HEAD_LINES: Final = 50
"""Number of leading lines that are searched for the column names."""
HEAD: Final = 1 << 16
"""Number of characters in which these are, and in which a line must end."""
BLOCK: Final = 1 << 21
"""Number of characters read at a time."""


def is_table(head: bytes) -> bool:
    """Whether the lines at the beginning of a file name the columns of events, or have four numbers each."""
    try:
        text = head[: head.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    names, skipped = _names(text)
    rows = [_cells(line) for line in text.splitlines()[skipped : skipped + 4] if line.strip()]
    return bool(names) or (len(rows) > 1 and all(_numbers(row) for row in rows[1:-1] or rows[1:]))


def parts(path: Path, reading: Reading, place: Place = START) -> Parts:
    """The events in the file ``path``.

    Raises InputError if it is not a table of events, or if the order of its columns is not stated.
    """
    name = str(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.read(HEAD)
            names, skipped = _names(head)
            separator = _separator(head, skipped)
            file.seek(place.at)
            for _ in range(skipped if place == START else 0):
                file.readline(HEAD)
            rows = place.knows[0] if place.knows else 0
            for at, text in _blocks(file, name):
                table = _table(text, separator, len(names or COLUMNS), rows, name)
                found = {column: table[:, i] for i, column in enumerate(names)}
                events = columns_named(found, reading, name) if names else events_in_array(table, reading, name)
                yield Part(events, Place(at, (rows,)))
                rows += len(table)
    except UnicodeDecodeError:
        raise InputError(name, "not UTF-8 text", "a table of events") from None


def _blocks(file: TextIO, name: str) -> Iterator[tuple[int, str]]:
    """(where it begins, lines): the rest of the ``file``, many lines at a time, without blocks that have no row.

    Raises InputError if a line is too long.
    """
    while True:
        at = file.tell()
        text = file.read(BLOCK)
        if not text:
            return
        text += (end := file.readline(HEAD))
        if len(end) == HEAD:
            raise InputError(name, f"a line of more than {HEAD} characters", "a table of events")
        if _first_row(text):
            yield at, text


def _names(text: str) -> tuple[list[str], int]:
    """(column names, number of lines up to them); no names if the first line and comments before it have none."""
    for number, line in enumerate(text.splitlines()[:HEAD_LINES], start=1):
        if complete(names := _cells(line)):
            return names, number
        if line.strip() and not line.startswith("#"):
            break
    return [], 0


def _separator(head: str, skipped: int) -> str | None:
    """What separates the columns after ``skipped`` lines of ``head``; None for spaces and tabs."""
    row = _first_row("\n".join(head.splitlines()[skipped:])) or ""
    return next((mark for mark in ",;" if mark in row), None)


def _first_row(text: str) -> str | None:
    """The first line of ``text`` that is neither empty nor a comment."""
    return next((line for line in io.StringIO(text) if line.strip() and line[0] != "#"), None)


def _table(text: str, separator: str | None, columns: int, rows: int, name: str) -> Array:
    """(N, columns): the numbers in ``text``, integers if all are whole; True and False are 1 and 0.

    Raises InputError that counts the rows of the file, of which there are ``rows`` before.
    """
    text = text.replace("True", "1").replace("False", "0")
    for kind in (np.int64, np.float64):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                table: Array = np.loadtxt(io.StringIO(text), kind, delimiter=separator, ndmin=2)
        except (ValueError, Warning) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            reason = re.sub(r"\brow (\d+)", lambda found: f"row {rows + int(found[1])}", reason)
            continue
        if table.shape[1] == columns:
            return table
        reason = f"{table.shape[1]} columns"
    raise InputError(name, f"a table that cannot be read ({reason})", f"{columns} columns of numbers")


def _cells(line: str) -> list[str]:
    return [cell.strip("\"'") for cell in _SEPARATORS.split(line.strip("# \t\r"))]


def _numbers(cells: list[str]) -> bool:
    return len(cells) >= len(COLUMNS) and all(_NUMBER.match(cell) or cell in ("True", "False") for cell in cells)
