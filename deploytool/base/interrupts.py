"""Signals that end a command before its work is done: from the keyboard, to terminate, of a closed terminal."""

from __future__ import annotations

import signal
from typing import Final

NAMES: Final = {"SIGINT": "Interrupted", "SIGTERM": "Terminated", "SIGHUP": "The terminal was closed"}

SAID: Final = {getattr(signal, name): said for name, said in NAMES.items() if hasattr(signal, name)}
"""{signal: the words for it}, of those that this system has."""


class Interrupted(KeyboardInterrupt):
    """The signal ``number`` has come."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def number_of(error: BaseException | None) -> int:
    """The signal that raised ``error``: SIGINT if it does not say."""
    return error.number if isinstance(error, Interrupted) else signal.SIGINT


def exit_code(number: int) -> int:
    """The exit code of a command that signal ``number`` ended, as shells state it: 130, 143 or 129."""
    return 128 + number


def sentence(number: int) -> str:
    """What is said of a command that signal ``number`` ended."""
    return f"{SAID[number]}. Run the same command again to continue; finished work is kept."
