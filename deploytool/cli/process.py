"""How the process of a command is interrupted, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from deploytool.base.errors import INTERRUPTED


def _end_interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def interrupts_end_the_process() -> None:
    """From now on SIGINT ends the process with exit code 130, outside `interruptible`."""
    signal.signal(signal.SIGINT, _end_interrupted)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt in the body, whatever it does to the process outside."""
    if signal.getsignal(signal.SIGINT) is not _end_interrupted:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        interrupts_end_the_process()


def end(run: Callable[[], object]) -> NoReturn:
    """Ends the process with the exit code of ``run``, without taking the interpreter apart, which can take seconds.

    Functions registered for the exit are called. Threads that still compute are not waited for.
    """
    code: object = 0
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)
