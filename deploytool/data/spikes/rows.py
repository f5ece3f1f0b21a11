"""Rows of a table, as every reader gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.data.spikes.schema import Header


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of N texts: row i has ``texts[codes[i]]``."""

    codes: NDArray[np.int64]
    texts: Sequence[str]

    def only(self, chosen: NDArray[np.bool_]) -> Texts:
        """The ``chosen`` (N,) rows, with the texts that they have."""
        used, codes = np.unique(self.codes[chosen], return_inverse=True)
        return Texts(codes, [self.texts[code] for code in used.tolist()])


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of a table of the file ``where``, with the columns of ``header``: integers, floats or `Texts`.

    ``numbers`` (N,) are the numbers of the rows in the file, which messages call ``unit``. ``layer`` is the name of the
    layer of all rows, if the file states it elsewhere than in a column.
    """

    where: str
    header: Header
    columns: Mapping[str, Array | Texts]
    numbers: NDArray[np.int64]
    unit: str = "line"
    layer: str | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, chosen: NDArray[np.bool_]) -> Rows:
        """The ``chosen`` (N,) rows."""
        columns = {
            role: column.only(chosen) if isinstance(column, Texts) else column[chosen]
            for role, column in self.columns.items()
        }
        return replace(self, columns=columns, numbers=self.numbers[chosen])

    def place(self, row: int) -> str:
        """What messages call row ``row``."""
        return f"{self.where}: {self.unit} {self.numbers[row]}"

    def integers(self, role: str) -> NDArray[np.int64]:
        """(N,): the column ``role`` of integers."""
        column = self.columns[role]
        assert not isinstance(column, Texts)
        return column

    def need(self, right: NDArray[np.bool_], role: str, need: str, todo: str = "") -> None:
        """Raises InputError for the first row for which ``right`` (N,) is false, naming the column ``role``."""
        if right.all():
            return
        row = int(np.argmin(right))
        found = f"{self.header.columns[role]} = {self.integers(role)[row]}"
        raise InputError(self.place(row), found, need, todo)
