"""Label files: ``labels.csv`` in a folder of recordings says the class of a recording, or of spans of it.

The first line is ``file,label`` or ``file,start_ms,end_ms,label``; ``file`` is relative to the folder. A recording may
have several spans, also of several classes; what is in no span is not used.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from deploytool.base.errors import InputError

LABELS: Final = "labels.csv"
WHOLE: Final = ("file", "label")
SPANS: Final = ("file", "start_ms", "end_ms", "label")
PROBLEMS_TOLD: Final = 10


@dataclass(frozen=True)
class Span:
    """A stretch of a recording with the class called ``label``, from ``start_us`` to ``end_us``, None for its end."""

    label: str
    start_us: int = 0
    end_us: int | None = None


def read_labels(path: Path) -> dict[str, tuple[Span, ...]]:
    """{file, relative to the folder of ``path``: its spans in order of time} of the label file ``path``.

    Raises InputError, naming the lines, for another header, times that are not numbers, spans that end before they
    begin, files that are listed twice without spans, and lines without a label.
    """
    header, rows = table(path, (WHOLE, SPANS))
    found: dict[str, list[Span]] = {}
    problems = []
    for where, row in rows:
        try:
            span = _span(dict(zip(header, row, strict=True)), where)
        except InputError as error:
            problems.append(error)
            continue
        of_file = found.setdefault(posix(row[0]), [])
        if of_file and header == WHOLE:
            problems.append(InputError(where, f"{row[0]} for the second time", "a file once, or columns for its spans"))
        of_file.append(span)
    refuse(problems)
    return {file: tuple(sorted(spans, key=lambda span: span.start_us)) for file, spans in found.items()}


def table(path: Path, headers: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """(the header, (where, cells) of every line with text) of the table ``path``, whose header is one of ``headers``.

    Raises InputError for another header, or a line with another number of cells.
    """
    needed = " or ".join(",".join(header) for header in headers)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            str(path), f"cannot be read ({reason})", f"a table in UTF-8 that begins with {needed}"
        ) from None
    lines = [
        (f"{path}, line {number}", [cell.strip() for cell in cells])
        for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1)
        if any(cell.strip() for cell in cells)
    ]
    first = tuple(cell.lower() for cell in lines[0][1]) if lines else ()
    header = next((each for each in headers if each == first), None)
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
    if not row["label"] or not row["file"]:
        raise InputError(where, "no label" if row["file"] else "no file", "a file and its label")
    if "start_ms" not in row:
        return Span(row["label"])
    try:
        start_us, end_us = (round(float(row[key]) * 1000) for key in ("start_ms", "end_ms"))
    except (ValueError, OverflowError):
        found = f"a span from {row['start_ms']!r} to {row['end_ms']!r}"
        raise InputError(where, found, "numbers, in milliseconds from the start of the recording") from None
    if not 0 <= start_us < end_us:
        raise InputError(where, f"a span from {row['start_ms']} to {row['end_ms']} ms", "0 <= start_ms < end_ms")
    return Span(row["label"], start_us, end_us)
