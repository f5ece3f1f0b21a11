"""The standard streams of a command, also where they are closed or cannot be written.

The result goes to stdout: if it cannot be written, that is an error. Messages go to stderr, and are lost if nobody can
read them.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2
CLOSED: Final = "stdout: closed; need an open one for the result. Redirect it to /dev/null to drop the result."


class ResultError(OSError):
    """The result cannot be written to stdout, for another reason than that its reader has ended."""

    def __str__(self) -> str:
        return f"stdout: cannot be written ({self.strerror}); need a place for the result."


class _Result(io.TextIOWrapper):
    """A text stream whose errors are ResultErrors, except that of a pipe that nobody reads any more."""

    def write(self, text: str, /) -> int:
        with _told():
            return super().write(text)

    def flush(self) -> None:
        with _told():
            super().flush()


class _Messages(io.TextIOWrapper):
    """A text stream without errors: what cannot be written is lost."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, ResultError):
        raise
    except OSError as error:
        raise ResultError(error.errno, error.strerror) from None


def open_streams() -> bool:
    """Opens the standard streams that are closed, so that no other file takes their numbers; whether stdout was open.

    What a stream cannot show is escaped. From now on stdout raises ResultError, and stderr no error.
    """
    was_open = _opened(STDIN), _opened(STDOUT), _opened(STDERR)
    if os.name != "nt":
        sys.stdout = _replaced(sys.stdout, STDOUT, _Result)
        sys.stderr = _replaced(sys.stderr, STDERR, _Messages)
    return was_open[STDOUT]


def _opened(number: int) -> bool:
    """Whether the file ``number`` was open; if not, it is the null device now."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        return False
    return True


def _replaced(stream: TextIO | None, number: int, kind: type[io.TextIOWrapper]) -> TextIO:
    """A text stream of this ``kind`` like ``stream``.

    Its file is a plain one: in a file with a `write` in Python, a signal could raise between what was written and its
    return, and the buffer would write the same again.
    """
    known = stream if isinstance(stream, io.TextIOWrapper) else None
    return kind(
        io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
        encoding=known.encoding if known else "utf-8",
        errors="backslashreplace",
        line_buffering=number == STDERR or (known.line_buffering if known else False),
        write_through=known.write_through if known else False,
    )
