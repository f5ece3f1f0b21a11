"""Families that end in each outcome on purpose, for the tests of the harness."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
import warnings
from pathlib import Path
from typing import Final

from deploytool.base.errors import InputError
from tests.fuzz.family import Family


def _written(random: random.Random, folder: Path) -> Path:
    path = folder / "input"
    path.write_bytes(random.randbytes(16))
    return path


def _refused(path: Path) -> None:
    raise InputError(path.name, "found this", "that")


def _traceback(_: Path) -> None:
    raise ValueError("a bug")


def _panic(_: Path) -> None:
    raise BaseException("as a panic in Rust ends")


def _memory(_: Path) -> object:
    return bytearray(10 * 2**30)


def _hidden_memory(path: Path) -> object:
    try:
        return bytearray(10 * 2**30)
    except MemoryError as error:
        raise InputError(path.name, f"damaged ({error})") from None


def _busy(_: Path) -> None:
    for _number in itertools.count():
        pass


def _in_c(_: Path) -> int:
    """Busy without ever giving the interpreter a chance to raise an exception."""
    return sum(itertools.repeat(1))


def _asleep(_: Path) -> None:
    time.sleep(1e6)


def _killed(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _left(_: Path) -> None:
    os._exit(3)


def _warning(_: Path) -> None:
    warnings.warn("a library is not sure", UserWarning, stacklevel=1)


def _problems(*problems: str) -> Family:
    def read(_: Path) -> None:
        error = InputError("", "")
        error.problems = problems  # as they are: an error made in the usual way has only sentences that are fit
        raise error

    return Family("", _written, read)


FAMILIES: Final = (
    Family("refused", _written, _refused),
    Family("taken", _written, Path.read_bytes),
    Family("traceback", _written, _traceback),
    Family("panic", _written, _panic),
    Family("memory", _written, _memory),
    Family("hidden-memory", _written, _hidden_memory),
    Family("busy", _written, _busy),
    Family("busy-in-c", _written, _in_c),
    Family("asleep", _written, _asleep),
    Family("killed", _written, _killed),
    Family("left", _written, _left),
    Family("two-lines", _written, _problems("a line\nand another").read),
    Family("escape", _written, _problems("red \x1b[31m").read),
    Family("empty", _written, _problems("").read),
    Family("long", _written, _problems("x" * 1001).read),
    Family("warning", _written, _warning),
    Family("no-sentence", _written, _problems().read),
)
