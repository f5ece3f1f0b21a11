"""The samples of a foreign recording: which one a number or a name in a file means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import ARRAYS_ALLOWED
from deploytool.data.spikes.rows import Rows, Texts
from deploytool.ir.events import DURATION_MAX_US, EventStream
from deploytool.ir.recording import Recording

NONE: Final = np.zeros(0, np.int64)
BYTES_PER_NAME: Final = 100
"""What the name of a sample takes in memory."""
SAMPLES_MAX: Final = 1 << 32
"""Recorded spikes have the number of their sample in 32 bits."""


@dataclass(frozen=True, eq=False)
class Samples:
    """S samples in their order: ``names``, ``labels`` (S,), -1 if unknown, ``durations_us`` (S,), empty if unknown.

    ``numbers`` (S,) are what files call them; by default 0 to S - 1.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    durations_us: NDArray[np.int64] = field(default_factory=lambda: NONE)
    numbers: NDArray[np.int64] = field(default_factory=lambda: NONE)

    def __post_init__(self) -> None:
        if not len(self.numbers):
            object.__setattr__(self, "numbers", np.arange(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)


def check_number(samples: int, bytes_each: int, bytes_allowed: int, where: str) -> None:
    """Raises InputError if ``samples``, of which only the file ``where`` says that there are so many, take too much.

    Each takes ``bytes_each`` for its counts, and its name.
    """
    if samples * (BYTES_PER_NAME + bytes_each) > bytes_allowed:
        found = f"{samples:,} samples are too many for a file of this size"
        need = f"counts of {ARRAYS_ALLOWED}"
        todo = "Number the samples from 0, or give the samples with --samples-of."
        raise InputError(where, found, need, todo)


def samples_of(recording: Recording) -> Samples:
    """The samples of ``recording``."""
    return Samples(recording.samples, recording.labels, recording.durations_us)


def samples_of_streams(streams: Sequence[EventStream]) -> Samples:
    """The samples in ``streams``."""
    labels = np.array([stream.label for stream in streams], np.int64)
    durations = np.array([stream.duration_us for stream in streams], np.int64)
    return Samples(tuple(stream.name for stream in streams), labels, durations)


def samples_in(tables: Sequence[Rows], where: str) -> Samples:
    """The samples in ``tables``, which are those of the file ``where``; all columns but the names may be missing.

    Raises InputError for a number or a name that occurs twice, and for numbers out of range.
    """
    names, columns = [], {"sample": [NONE], "label": [NONE], "duration_us": [NONE]}
    for rows in tables:
        column = rows.columns["name"]
        assert isinstance(column, Texts)
        names += [column.texts[code] for code in column.codes.tolist()]
        for role, parts in columns.items():
            if role in rows.columns:
                if isinstance(rows.columns[role], Texts):
                    raise InputError(where, f"names in the column {rows.header.columns[role]}", "whole numbers")
                least, most = (-1, 10**6) if role == "label" else (0, DURATION_MAX_US)
                values = rows.integers(role)
                rows.need((values >= least) & (values <= most), role, f"{least}..{most}")
                parts.append(values)
    sample, labels, durations = (np.concatenate(parts) for parts in columns.values())
    for what, often in (("name", Counter[str | int](names)), ("number", Counter[str | int](sample.tolist()))):
        if twice := [value for value, number in often.items() if number > 1]:
            raise InputError(where, f"two samples with the {what} {twice[0]!r}", "each sample once")
    return Samples(tuple(names), labels if len(labels) else np.full(len(names), -1), durations, sample)


class Found:
    """The samples that a file names, or the numbers of those in ``known``.

    A known sample may be called by its number, its name, or the last part of a name that is a path.
    """

    def __init__(self, known: Samples | None) -> None:
        self.known = known
        self.names: dict[str, int] = {}
        self.most = 0
        self.number_of: dict[int, int] = {}
        if known is not None:
            short = [name.rsplit("/", 1)[-1] for name in known.names]
            often = Counter(short)
            self.names = {name: i for i, name in enumerate(short) if often[name] == 1}
            self.names |= {name: i for i, name in enumerate(known.names)}
            self.number_of = {number: i for i, number in enumerate(known.numbers.tolist())}

    def __len__(self) -> int:
        return len(self.known) if self.known is not None else len(self.names) or self.most

    def indices(self, rows: Rows) -> NDArray[np.int64]:
        """(N,): the index of the sample of each row. Raises InputError for a sample that is not among the known."""
        column = rows.columns.get("sample")
        if column is None:
            return self._only(rows)
        if isinstance(column, Texts):
            indices = np.array([self._named(text, rows, code, column) for code, text in enumerate(column.texts)])
            return indices[column.codes]
        if self.known is None:
            rows.need((column >= 0) & (column < SAMPLES_MAX), "sample", f"0..{SAMPLES_MAX - 1}")
            self._refuse_mixture(rows, numbers=True)
            self.most = max(self.most, int(column.max(initial=-1)) + 1)
            return column
        return self._numbered(column, rows)

    def result(self) -> Samples:
        """The samples: those known, or those found."""
        if self.known is not None:
            return self.known
        names = tuple(self.names) or tuple(map(str, range(self.most)))
        return Samples(names, np.full(len(names), -1))

    def _only(self, rows: Rows) -> NDArray[np.int64]:
        if self.known is not None and len(self.known) != 1:
            found = f"no column sample, and {len(self.known)} samples"
            raise InputError(rows.where, found, "a column sample with the number of the sample")
        self.most = max(self.most, 1)
        return np.zeros(len(rows), np.int64)

    def _numbered(self, column: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
        assert self.known is not None
        numbers = self.known.numbers
        if not len(numbers):
            rows.need(np.zeros(len(column), np.bool_), "sample", "one of the samples, of which there are none")
            return column
        order = np.argsort(numbers)
        places = np.minimum(np.searchsorted(numbers, column, sorter=order), len(numbers) - 1)
        indices: NDArray[np.int64] = order[places]
        one = f"one of the {len(numbers)} samples, {numbers.min()} to {numbers.max()}"
        rows.need(numbers[indices] == column, "sample", one)
        return indices

    def _named(self, text: str, rows: Rows, code: int, column: Texts) -> int:
        text = text if text in self.names else text.strip()
        if text in self.names:
            return self.names[text]
        if text.isascii() and text.isdecimal() and len(text) < 19:
            return self._index_of(int(text), rows, code, column)
        place = rows.place(int(np.argmax(column.codes == code)))
        if self.known is not None:
            need = f"one of the {len(self.known)} samples, such as {self.known.names[0]!r}" if len(self.known) else ""
            raise InputError(place, f"no sample {text!r}", need)
        if not text:
            raise InputError(place, "an empty name of a sample", "the number or the name of the sample")
        self.names[text] = len(self.names)
        self._refuse_mixture(rows, numbers=False)
        return self.names[text]

    def _index_of(self, number: int, rows: Rows, code: int, column: Texts) -> int:
        if self.known is not None and number in self.number_of:
            return self.number_of[number]
        if self.known is None and number < SAMPLES_MAX:
            self.most = max(self.most, number + 1)
            self._refuse_mixture(rows, numbers=True)
            return number
        place = rows.place(int(np.argmax(column.codes == code)))
        need = f"0..{SAMPLES_MAX - 1}" if self.known is None else f"one of the {len(self.known)} samples"
        raise InputError(place, f"sample = {number}", need)

    def _refuse_mixture(self, rows: Rows, numbers: bool) -> None:
        if self.names if numbers else self.most:
            need = "one of the two, or --samples-of with the samples that are meant"
            raise InputError(rows.where, "both numbers and names of samples", need)
