"""How values look on a terminal: mappings as aligned lines, lists of mappings as tables."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from deploytool.base.numbers import figure, whole


class _Console(Console):
    """A console that leaves a broken pipe to the command."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_value(value: Any) -> None:
    """Prints plain values (what JSON can say) for a person, on stdout."""
    console = _Console(width=max(shutil.get_terminal_size().columns, 60), highlight=False, markup=False, soft_wrap=True)
    _print(console, value, "")


def _print(console: Console, value: Any, indent: str) -> None:
    if isinstance(value, Mapping):
        short = {key: item for key, item in value.items() if not _is_long(item)}
        width = max((len(str(key)) for key in short), default=0)
        for key, item in short.items():
            console.print(f"{indent}{key!s:<{width}}  {_cell(item)}")
        for key, item in value.items():
            if _is_long(item):
                console.print(f"{indent}{key}")
                _print(console, item, indent + "  ")
    elif _is_table(value):
        table = Padding(_table(value, console.width - len(indent)), (0, 0, 0, len(indent)), expand=False)
        console.print(table, soft_wrap=False)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _print(console, item, indent)
    else:
        console.print(f"{indent}{_cell(value)}")


def _table(rows: Sequence[Mapping[str, Any]], width: int) -> Table:
    """``rows`` as a table; headers are broken into lines if it would be wider than ``width`` otherwise."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = {column: [_cell(row.get(column)) for row in rows] for column in columns}
    longest = {column: max(map(len, of_column)) for column, of_column in cells.items()}
    headers = {column: str(column).replace("_", " ") for column in columns}
    if sum(2 + max(longest[column], len(headers[column])) for column in columns) > width + 2:
        headers = {column: _broken(header, longest[column]) for column, header in headers.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, column in enumerate(columns):
        numbers = all(isinstance(row.get(column), (int, float, type(None))) for row in rows)
        table.add_column(headers[column], justify="right" if numbers and i else "left", no_wrap=numbers)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table


def _broken(header: str, width: int) -> str:
    """``header`` in lines of at most ``width``, or its longest word."""
    return textwrap.fill(header, max(width, *map(len, header.split())), break_long_words=False)


def _is_table(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _is_long(value: Any) -> bool:
    """Whether the value does not fit on one line with its key."""
    if isinstance(value, Mapping):
        return bool(value)
    if isinstance(value, (list, tuple)):
        return _is_table(value) or any(isinstance(item, str) and " " in item for item in value)
    return False


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return figure(value)
        case int():
            return whole(value)
        case list() | tuple():
            return ", ".join(map(_cell, value)) or "-"
        case Mapping():
            return ", ".join(f"{key} {_cell(item)}" for key, item in value.items()) or "-"
        case _:
            return str(value)
