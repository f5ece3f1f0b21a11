"""Text: a table of events, one line each, its columns separated by commas, semicolons, tabs or spaces.

The first line may name the columns, behind a # or not; without names their order must be stated.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.formats.arrays import events_in_array
from deploytool.data.formats.named import columns_named, complete
from deploytool.data.formats.reading import COLUMNS, RawEvents, Reading

_SEPARATORS: Final = re.compile(r"\s*[,;]\s*|\s+")
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?$")
HEAD_LINES: Final = 50
"""Number of leading lines that are searched for the column names."""


def is_table(head: bytes) -> bool:
    """Whether the lines at the beginning of a file name the columns of events, or have four numbers each."""
    try:
        text = head[: head.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    names, skipped = _names(text)
    rows = [_cells(line) for line in text.splitlines()[skipped : skipped + 4] if line.strip()]
    return bool(names) or (len(rows) > 1 and all(_numbers(row) for row in rows[1:-1] or rows[1:]))


def read(path: Path, reading: Reading) -> RawEvents:
    """The events in the file ``path``.

    Raises InputError if it is not a table of events, or if the order of its columns is not stated.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(str(path), "not UTF-8 text", "a table of events") from None
    names, skipped = _names(text)
    if names:
        table = _table(text, skipped, len(names), str(path))
        return columns_named({name: table[:, i] for i, name in enumerate(names)}, reading, str(path))
    return events_in_array(_table(text, 0, len(COLUMNS), str(path)), reading, str(path))


def _names(text: str) -> tuple[list[str], int]:
    """(column names, number of lines up to them); no names if the first line and comments before it have none."""
    for number, line in enumerate(text.splitlines()[:HEAD_LINES], start=1):
        if complete(names := _cells(line)):
            return names, number
        if line.strip() and not line.startswith("#"):
            break
    return [], 0


def _table(text: str, skipped: int, columns: int, name: str) -> Array:
    """(N, columns): the numbers after ``skipped`` lines, integers if all are whole; True and False are 1 and 0."""
    body = next((line for line in text.splitlines()[skipped:] if line.strip() and line[0] != "#"), None)
    if body is None:
        return np.empty((0, columns), np.int64)
    separator = next((mark for mark in ",;" if mark in body), None)
    text = text.replace("True", "1").replace("False", "0")
    for kind in (np.int64, np.float64):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                table: Array = np.loadtxt(io.StringIO(text), kind, delimiter=separator, skiprows=skipped, ndmin=2)
        except (ValueError, Warning) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            continue
        if table.shape[1] == columns:
            return table
        reason = f"{table.shape[1]} columns"
    raise InputError(name, f"a table that cannot be read ({reason})", f"{columns} columns of numbers")


def _cells(line: str) -> list[str]:
    return [cell.strip("\"'") for cell in _SEPARATORS.split(line.strip("# \t\r"))]


def _numbers(cells: list[str]) -> bool:
    return len(cells) >= len(COLUMNS) and all(_NUMBER.match(cell) or cell in ("True", "False") for cell in cells)
