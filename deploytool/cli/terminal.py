"""How values look on a terminal: mappings as aligned lines, lists of mappings as tables."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table

from deploytool.base.numbers import figure, whole
from deploytool.base.printable import printable
from deploytool.cli.tables import GAP, Column, blocks, width_of


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
        width = max((len(_text(key)) for key in short), default=0)
        for key, item in short.items():
            _print_text(console, f"{indent}{_text(key):<{width}}  ", _cell(item))
        for key, item in value.items():
            if _is_long(item):
                console.print(f"{indent}{_text(key)}")
                _print(console, item, indent + "  ")
    elif _is_table(value):
        for columns in blocks(_columns(value), console.width - len(indent)):
            table = Padding(_table(columns), (0, 0, 0, len(indent)), expand=False)
            console.print(table, soft_wrap=False, width=max(console.width, len(indent) + width_of(columns)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            _print(console, item, indent)
    else:
        _print_text(console, indent, _cell(value))


def _print_text(console: Console, before: str, text: str) -> None:
    """Prints ``text`` after ``before``, on a terminal in lines that end between two words."""
    if console.is_terminal and len(before) + len(text) > console.width:
        indent = " " * min(len(before), console.width // 2)
        text = textwrap.fill(
            text,
            console.width,
            initial_indent=" " * len(before),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )[len(before) :]
    console.print(f"{before}{text}")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    return [
        Column(
            _text(name).replace("_", " "),
            tuple(_cell(row.get(name)) for row in rows),
            all(isinstance(row.get(name), (int, float, type(None))) for row in rows),
        )
        for name in dict.fromkeys(key for row in rows for key in row)
    ]


def _table(columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        justify: JustifyMethod = "right" if column.numbers and number else "left"
        table.add_column(column.header, justify=justify, min_width=column.width, no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
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
            return ", ".join(f"{_text(key)} {_cell(item)}" for key, item in value.items()) or "-"
        case _:
            return _text(value)


def _text(value: object) -> str:
    """``value`` as text that a terminal shows as it is: names come from files."""
    return printable(str(value))
