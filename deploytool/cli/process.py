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
from typing import TYPE_CHECKING, NoReturn

from deploytool.base.interrupts import SAID, Interrupted, exit_code, number_of, sentence

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_raised: list[int] = []
"""The signal that `_raise` raised."""

Handler = Callable[[int, FrameType | None], object]


def interrupts_end_the_process() -> None:
    """From now on a signal ends the process with its sentence and exit code, outside `interruptible`.

    These are SIGINT, SIGTERM and SIGHUP, unless that is ignored, as with nohup. An interrupt that is raised where
    Python cannot pass it on, as in a finalizer, ends the process too.
    """
    for number in SAID:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_at_once)
    sys.unraisablehook = _unraisable


@contextmanager
def interruptible() -> Iterator[None]:
    """A first signal raises Interrupted in the body, whatever it does to the process outside. A second one ends it."""
    handled = _replace(_end_at_once, _raise)
    try:
        yield
    finally:
        if handled:
            _replace(_raise, _end_at_once)


def interruption() -> int | None:
    """The signal that interrupted the command; None if none did. Libraries may make another error of it."""
    return _raised[0] if _raised else None


def interruption_is_told() -> None:
    """From now on a signal ends the process without a sentence."""
    _replace(_end_at_once, _end_silently)


def _replace(handler: Handler, by: Handler) -> bool:
    """Whether ``handler`` handled any signals, which ``by`` handles from now on."""
    handled = [number for number in SAID if signal.getsignal(number) is handler]
    for number in handled:
        signal.signal(number, by)
    return bool(handled)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    _replace(_raise, _end_at_once)
    _raised.append(number)
    raise Interrupted(number)


def _end_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError):
        erased = "\r\x1b[2K" if os.isatty(2) else ""
        os.write(2, f"{erased}{sentence(number)}\n".encode())
    os._exit(exit_code(number))


def _end_silently(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(exit_code(number))


def _unraisable(raised: UnraisableHookArgs) -> None:
    if isinstance(raised.exc_value, KeyboardInterrupt):
        _end_at_once(number_of(raised.exc_value), None)
    sys.__unraisablehook__(raised)


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
