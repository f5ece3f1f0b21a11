"""Tables of text: one row a line, columns separated by commas, semicolons or tabs, named in the first line.

Cells with the separator, a quote or a line break are in double quotes. Lines that begin with # before the names are
comments. A file is read block by block.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.cells import unescaped
from deploytool.base.errors import InputError
from deploytool.data.spikes.rows import Rows, Texts
from deploytool.data.spikes.schema import FIELDS, LEFT_OUT, Header, Renames, header_of, names_columns

BLOCK: Final = 1 << 20
LINE_MAX: Final = 1 << 16
"""Longest line, in bytes; and the longest text in quotes."""
COMMENTS_MAX: Final = 100
WIDTH: Final = 16
WIDTH_MAX: Final = 1024
"""Bytes of a text in a column at first, and at most."""
SEPARATORS: Final = (",", ";", "\t")


class Reader:
    """Reads the table in ``file``, called ``where`` in messages, whose columns ``renames`` may rename.

    Raises InputError, naming the line and the column, for everything that cannot be read.
    """

    def __init__(self, file: IO[bytes], where: str, renames: Renames) -> None:
        self.file, self.where, self.line = file, where, 0
        cells = self._names(renames)
        self.header: Header = header_of(cells, renames, where)
        meant = {name: role for role, name in self.header.columns.items()}
        self.roles = [meant.get(cell, LEFT_OUT) for cell in cells]
        self.floats: set[str] = set()
        self.texts = {role for role in self.roles if role and FIELDS[role].text and role != "sample"}

    def __iter__(self) -> Iterator[Rows]:
        rest = b""
        while block := self.file.read(BLOCK):
            block = rest + block
            cut = _end_of_lines(block)
            if not cut and len(block) > BLOCK + LINE_MAX:
                found = f"a line, or a text in quotes, longer than {LINE_MAX:,} bytes"
                raise InputError(self._at(self.line + 1), found, "one row a line")
            rest = block[cut:]
            if cut:
                yield from self._rows(block[:cut])
        if rest.strip():
            if rest.count(b'"') % 2:
                raise InputError(self._at(self.line + 1), "a quote that is not closed", "a closing quote")
            yield from self._rows(rest)

    def _at(self, line: int) -> str:
        return f"{self.where}: line {line}"

    def _names(self, renames: Renames) -> list[str]:
        """The names of the columns; sets the separator."""
        for _ in range(COMMENTS_MAX):
            line = self.file.readline(LINE_MAX)
            self.line += 1
            if len(line) == LINE_MAX:
                raise InputError(self._at(self.line), f"longer than {LINE_MAX:,} bytes", "the names of the columns")
            try:
                text = line.decode("utf-8-sig").strip("\r\n")
            except UnicodeDecodeError:
                raise InputError(self.where, "not UTF-8 text", "a table with the names of its columns") from None
            bare = text.lstrip("# ")
            self.separator = next((mark for mark in SEPARATORS if mark in bare), ",")
            row = next(_read(csv.reader([bare], delimiter=self.separator), self.where), [])
            cells = [cell.strip() for cell in row]
            if line and (not bare or (text.startswith("#") and len(cells) < 2)):
                continue
            if not names_columns(cells, renames):
                found = f"begins with {', '.join(cells)}" if cells else "an empty file"
                raise InputError(self.where, found, "the names of the columns in the first line")
            return cells
        raise InputError(self.where, f"{COMMENTS_MAX} lines of comments", "the names of the columns in the first line")

    def _rows(self, block: bytes) -> Iterator[Rows]:
        """The rows in ``block``, which are whole lines."""
        text = block.decode("latin-1")
        first, lines = self.line + 1, text.count("\n") + (not text.endswith("\n"))
        self.line += lines
        table = self._parsed(text, first)
        if not len(table):
            return
        numbers = np.arange(first, first + lines)
        if len(table) != lines:
            reader = csv.reader(io.StringIO(text), delimiter=self.separator)
            numbers = np.array([first + reader.line_num - 1 for cells in _read(reader, self.where) if cells])
        columns: dict[str, Array | Texts] = {}
        for role in filter(None, self.roles):
            column = table[role]
            columns[role] = self._texts(column) if role in self.texts else column
        yield Rows(self.where, self.header, columns, numbers)

    def _parsed(self, text: str, first: int) -> Array:
        """The table in ``text``, which begins in line ``first``: a structured array with a field for each column."""
        width = WIDTH
        while True:
            kinds = np.dtype([(role or f" {i}", self._kind(role, width)) for i, role in enumerate(self.roles)])
            try:
                table: Array = (
                    np.loadtxt(
                        io.StringIO(text), kinds, delimiter=self.separator, comments=None, quotechar='"', ndmin=1
                    )
                    if text.strip()
                    else np.empty(0, kinds)
                )
            except ValueError as error:
                self._explain(text, first, str(error))
                continue
            if not any(_is_full(table[role]) for role in self.texts):
                return table
            width *= 4
            if width > WIDTH_MAX:
                raise InputError(self._at(first), f"a name of {WIDTH_MAX} bytes or more near here", "shorter names")

    def _kind(self, role: str, width: int) -> str:
        if role in self.texts:
            return f"S{width}"
        return "S1" if not role else "f8" if role in self.floats else "i8"

    def _explain(self, text: str, first: int, reason: str) -> None:
        """Raises InputError for the first cell of ``text`` that cannot be read, unless reading it otherwise helps."""
        reader = csv.reader(io.StringIO(text), delimiter=self.separator)
        for cells in filter(None, _read(reader, self.where)):
            where = self._at(first + reader.line_num - 1)
            if len(cells) != len(self.roles):
                raise InputError(where, f"{len(cells)} cells", f"{len(self.roles)}, one for each column")
            for role, cell in zip(self.roles, map(str.strip, cells), strict=True):
                if not role or role in self.texts or _is_integer(cell):
                    continue
                if role == "t_us" and _is_number(cell):
                    if role in self.floats:
                        continue
                    self.floats.add(role)
                    return
                if role == "sample" and cell:
                    self.texts.add(role)
                    return
                shown = repr(_decoded(cell)) if cell else "nothing"
                need = "a number" if role == "t_us" else "a whole number"
                raise InputError(where, f"{self.header.columns[role]} is {shown}", need)
        raise InputError(self._at(first), f"a table that cannot be read from here on ({reason})", "rows of numbers")

    def _texts(self, column: Array) -> Texts:
        codes, cells = distinct(column)
        return Texts(codes, [unescaped(_decoded(cell.decode("latin-1"))) for cell in cells])


def _end_of_lines(block: bytes) -> int:
    """The length of the part of ``block`` that is whole lines; quoted line breaks do not end one."""
    cut = block.rfind(b"\n") + 1
    if b'"' not in block:
        return cut
    while cut and block.count(b'"', 0, cut) % 2:
        cut = block.rfind(b"\n", 0, cut - 1) + 1
    return cut


def distinct(column: Array) -> tuple[NDArray[np.int64], list[bytes]]:
    """(codes (N,), texts): the distinct texts of ``column`` (N,), N > 0, of bytes of a width that 8 divides."""
    words = np.ascontiguousarray(column).view(np.uint64).reshape(len(column), -1)
    new = np.ones(len(column), bool)
    new[1:] = (words[1:] != words[:-1]).any(axis=1)
    heads = np.flatnonzero(new)
    codes = np.zeros(len(heads), np.int64)
    for word in words[heads].T:
        if (word != word[0]).any():
            _, part = np.unique(word, return_inverse=True)
            _, codes = np.unique(codes * (part.max() + 1) + part, return_inverse=True)
    _, where, codes = np.unique(codes, return_index=True, return_inverse=True)
    return np.repeat(codes, np.diff(heads, append=len(column))), column[heads[where]].tolist()


def _is_full(column: Array) -> bool:
    """Whether a text in ``column`` may have been cut."""
    last = np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.dtype.itemsize)[:, -1]
    return bool(last.any())


def _read(reader: Any, where: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(where, f"a table that cannot be read ({error})", "rows of cells") from None


def _decoded(cell: str) -> str:
    """``cell``, read as Latin-1, in UTF-8 as it is meant."""
    return cell.encode("latin-1").decode("utf-8", "replace")


def _is_integer(cell: str) -> bool:
    digits = cell[1:] if cell[:1] in ("+", "-") else cell
    return digits.isascii() and digits.isdecimal() and len(digits) < 19


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False
