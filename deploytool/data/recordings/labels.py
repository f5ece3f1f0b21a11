"""Label files: ``labels.csv`` in a folder of recordings says the class or the values of a recording, or of spans of it.

The first line is ``file,label`` or ``file,start_ms,end_ms,label``; ``file`` is relative to the folder. A recording may
have several spans, also of several classes; what is in no span is not used. Instead of ``label``, other names state
values: each is a column of numbers, as in ``file,start_ms,end_ms,speed,angle``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from deploytool.base.errors import InputError
from deploytool.ir.events import DURATION_MAX_US

LABELS: Final = "labels.csv"
WHOLE: Final = ("file", "label")
SPANS: Final = ("file", "start_ms", "end_ms", "label")
PROBLEMS_TOLD: Final = 10
VALUE_MAX: Final = 1e38
"""Values are 32-bit reals."""


@dataclass(frozen=True)
class Span:
    """A stretch of a recording with the class called ``label``, from ``start_us`` to ``end_us``, None for its end.

    ``values`` (name, number) are stated instead of a class, whose label is then "".
    """

    label: str
    start_us: int = 0
    end_us: int | None = None
    values: tuple[tuple[str, float], ...] = ()


def read_labels(path: Path) -> dict[str, tuple[Span, ...]]:
    """{file, relative to the folder of ``path``: its spans in order of time} of the label file ``path``.

    Raises InputError, naming the lines, for another header, times that are not numbers, spans that end before they
    begin, files that are listed twice without spans, and lines without a label.
    """
    header, rows = table(path, (WHOLE, SPANS), (WHOLE[:-1], SPANS[:-1]))
    found: dict[str, list[Span]] = {}
    problems = []
    for where, row in rows:
        try:
            span = _span(dict(zip(header, row, strict=True)), where)
        except InputError as error:
            problems.append(error)
            continue
        of_file = found.setdefault(posix(row[0]), [])
        if of_file and "start_ms" not in header:
            problems.append(InputError(where, f"{row[0]} for the second time", "a file once, or columns for its spans"))
        of_file.append(span)
    refuse(problems)
    return {file: tuple(sorted(spans, key=lambda span: span.start_us)) for file, spans in found.items()}


def table(
    path: Path, headers: Sequence[tuple[str, ...]], begins: Sequence[tuple[str, ...]] = ()
) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """(the header, (where, cells) of every line with text) of the table ``path``, whose header is one of ``headers``.

    It may also be one of ``begins`` and, after that, other names. Raises InputError for another header, or a line with
    another number of cells.
    """
    needed = " or ".join([",".join(header) for header in headers] + [f"{','.join(each)},NAME,..." for each in begins])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            str(path), f"cannot be read ({reason})", f"a table in UTF-8 that begins with {needed}"
        ) from None
    try:
        lines = [
            (f"{path}, line {number}", [cell.strip() for cell in cells])
            for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1)
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise InputError(str(path), f"cannot be read ({error})", f"a table that begins with {needed}") from None
    first = tuple(cell.lower() for cell in lines[0][1]) if lines else ()
    header = next((each for each in headers if each == first), None) or _with_names(first, begins)
    if header is None:
        raise InputError(str(path), f"begins with {','.join(first)!r}", needed)
    refuse(
        [
            InputError(where, f"{len(cells)} cells", f"{len(header)}: {','.join(header)}")
            for where, cells in lines[1:]
            if len(cells) != len(header)
        ]
    )
    return header, lines[1:]


def _with_names(first: tuple[str, ...], begins: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """``first`` if it is one of ``begins`` and other names, each once; None if it is not."""
    for each in sorted(begins, key=len, reverse=True):
        names = first[len(each) :]
        if first[: len(each)] == each and names and not {*names} & {*SPANS}:
            return first if all(first) and len({*first}) == len(first) else None
    return None


def posix(name: str) -> str:
    """The relative path ``name`` as it is written everywhere: a/b.bin."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def refuse(problems: Sequence[InputError], told: int = PROBLEMS_TOLD) -> None:
    """Raises InputError with the first ``told`` of ``problems`` and the number of the others, if there are any."""
    if problems:
        raise InputError.together([*problems[:told], *_others(len(problems) - told)])


def _others(number: int) -> Iterator[InputError]:
    if number > 0:
        yield InputError("and", f"{number:,} more like these")


def _span(row: dict[str, str], where: str) -> Span:
    label, values = row.get("label", ""), _values(row, where)
    if not row["file"] or ("label" in row and not label):
        raise InputError(where, "no label" if row["file"] else "no file", "a file and its label")
    if "start_ms" not in row:
        return Span(label, values=values)
    try:
        start_us, end_us = (round(float(row[key]) * 1000) for key in ("start_ms", "end_ms"))
    except (ValueError, OverflowError):
        found = f"a span from {row['start_ms']!r} to {row['end_ms']!r}"
        raise InputError(where, found, "numbers, in milliseconds from the start of the recording") from None
    if end_us > DURATION_MAX_US:
        raise InputError(where, f"a span to {row['end_ms']} ms", f"at most {DURATION_MAX_US // 1000} ms")
    if not 0 <= start_us < end_us:
        raise InputError(where, f"a span from {row['start_ms']} to {row['end_ms']} ms", "0 <= start_ms < end_ms")
    return Span(label, start_us, end_us, values)


def _values(row: dict[str, str], where: str) -> tuple[tuple[str, float], ...]:
    """(name, number) of every value in a ``row``; none if it states a class."""
    found = []
    for name, text in row.items():
        if "label" not in row and name not in SPANS:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not abs(value) <= VALUE_MAX:
                raise InputError(where, f"{name} is {text!r}", f"a number, -{VALUE_MAX:g}..{VALUE_MAX:g}")
            found.append((name, value))
    return tuple(found)
