"""How values look on a terminal: mappings as aligned lines, lists of mappings as tables."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
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
        console.print(_table(value, indent), soft_wrap=False)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _print(console, item, indent)
    else:
        console.print(f"{indent}{_cell(value)}")


def _table(rows: Sequence[Mapping[str, Any]], indent: str) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, column in enumerate(columns):
        numbers = all(isinstance(row.get(column), (int, float, type(None))) for row in rows)
        header = str(column).replace("_", " ")
        table.add_column(indent + header if i == 0 else header, justify="right" if numbers and i else "left")
    for row in rows:
        cells = [_cell(row.get(column)) for column in columns]
        table.add_row(indent + cells[0], *cells[1:])
    return table


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
