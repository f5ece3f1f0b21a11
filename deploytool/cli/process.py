"""How the process of a command is interrupted, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from deploytool.base.errors import ArtifactError, UsageError
from deploytool.base.interrupts import SAID, Interrupted, exit_code, number_of, sentence
from deploytool.cli.streams import ResultError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from threading import Timer

SHOWN_S: Final = 1.0
"""Time in which a result is printed whole, in spite of a signal."""
LOOKED_S: Final = 0.2
"""Time after which Python looks for signals while it prints a result."""

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


@contextmanager
def showing_result() -> Iterator[None]:
    """The body prints the result, whole: a signal has no effect then, and the exit code is that of the result.

    If the body takes longer than `SHOWN_S` after a signal, or at a second one, the process ends: perhaps nobody reads
    the pipe. Raises OSError if the result cannot be written.
    """
    handlers = {number: signal.getsignal(number) for number in SAID}
    ours = {number: handler for number, handler in handlers.items() if handler in (_raise, _end_at_once)}
    late: list[Timer] = []

    def once(number: int, _frame: FrameType | None) -> None:
        from threading import Timer

        for each in ours:
            signal.signal(each, _end_half_shown)
        late.append(Timer(SHOWN_S, os.kill, (os.getpid(), number)))
        late[0].daemon = True
        late[0].start()

    for number in ours:
        signal.signal(number, once)
    try:
        with _looking_for_signals() if ours else contextlib.nullcontext():
            yield
            sys.stdout.flush()
    except BaseException:
        for number, handler in ours.items():
            signal.signal(number, handler)
        raise
    else:
        for number in ours:
            signal.signal(number, signal.SIG_IGN)
    finally:
        for timer in late:
            timer.cancel()


@contextmanager
def _looking_for_signals() -> Iterator[None]:
    """Handlers run every `LOOKED_S` in the body, also while it waits in a call of the system.

    Otherwise a signal that came just before such a call would be noticed after it: never, if nobody reads the pipe.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, LOOKED_S, LOOKED_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def failure(problems: Sequence[str], code: int) -> str:
    """The JSON object on stdout of a command that failed with exit ``code``."""
    import json

    return json.dumps({"error": {"exit_code": code, "problems": list(problems)}}, indent=2)


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
    _say(number)
    with contextlib.suppress(OSError):
        if "--json" in sys.argv:
            os.write(1, f"{failure((sentence(number),), exit_code(number))}\n".encode())
    _end_silently(number, None)


def _end_half_shown(number: int, _frame: FrameType | None) -> NoReturn:
    _say(number)
    os._exit(exit_code(number))


def _say(number: int) -> None:
    with contextlib.suppress(OSError):
        erased = "\r\x1b[2K" if os.isatty(2) else ""
        os.write(2, f"{erased}{sentence(number)}\n".encode())


def _end_silently(number: int, _frame: FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # RuntimeError: stdout is being written at the moment
        sys.stdout.flush()
    os._exit(exit_code(number))


def _unraisable(raised: UnraisableHookArgs) -> None:
    if isinstance(raised.exc_value, KeyboardInterrupt):
        _end_at_once(number_of(raised.exc_value), None)
    sys.__unraisablehook__(raised)


def require_working_directory() -> None:
    """Raises UsageError if the working directory was deleted: relative paths, and some libraries, need one."""
    try:
        Path.cwd()
    except FileNotFoundError:
        need = "one that exists"
        raise UsageError("working directory", "it was deleted", need, "Change to another one.") from None


def end(run: Callable[[], object]) -> NoReturn:
    """Ends the process with the exit code of ``run``, without taking the interpreter apart, which can take seconds.

    Functions registered for the exit are called. Threads that still compute are not waited for. A result that could not
    be written to stdout is an error.
    """
    code: object = 0
    try:
        run()
    except SystemExit as ended:
        code = 0 if isinstance(ended.__context__, BrokenPipeError) else ended.code  # Typer makes 1 of it
    except ResultError as error:
        code = _not_written(error)
    if isinstance(code, str):
        print(code, file=sys.stderr)
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except ResultError as error:
        code = code or _not_written(error)
    except (OSError, ValueError):
        pass
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _not_written(error: ResultError) -> int:
    print(error, file=sys.stderr)
    return ArtifactError.exit_code
