"""The standard streams of a command, also where they are closed or cannot be written.

The result goes to stdout: if it cannot be written, that is an error. Messages go to stderr, and are lost if nobody can
read them.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2
CLOSED: Final = "stdout: closed; need an open one for the result. Redirect it to /dev/null to drop the result."


class ResultError(OSError):
    """The result cannot be written to stdout, for another reason than that its reader has ended."""

    def __str__(self) -> str:
        return f"stdout: cannot be written ({self.strerror}); need a place for the result."


class _Result(io.FileIO):
    """A file whose errors are ResultErrors, except that of a pipe that nobody reads any more."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ResultError(error.errno, error.strerror) from None


class _Messages(io.FileIO):
    """A file that loses what cannot be written."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(memoryview(content).cast("B"))


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


def _replaced(stream: TextIO | None, number: int, kind: Callable[..., io.FileIO]) -> TextIO:
    """A text stream like ``stream`` that writes to a file of this ``kind``."""
    raw = kind(number, "w", closefd=False)
    known = stream if isinstance(stream, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=known.encoding if known else "utf-8",
        errors="backslashreplace",
        line_buffering=number == STDERR or (known.line_buffering if known else False),
        write_through=known.write_through if known else False,
    )
