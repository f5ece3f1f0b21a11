"""A command on a terminal of its own: what it wrote and when, what is left on the screen, how it ended."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """``written`` [(s since the start, text)] of a command that ended with ``status`` after ``took_s``."""

    written: tuple[tuple[float, str], ...]
    status: int
    took_s: float

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.written)

    @property
    def screen(self) -> list[str]:
        """The lines that are left: of a line that was erased, what came after."""
        return [re.split("\r\x1b\\[2K", line)[-1].rstrip("\r") for line in self.text.replace("\r\n", "\n").split("\n")]

    def first_s(self) -> float:
        """When the first output came."""
        return self.written[0][0]


def on_terminal(
    command: Sequence[str], columns: int = 80, interrupt: Callable[[str], int] = lambda _: 0, limit_s: float = 120
) -> Session:
    """Runs ``python -m deploytool`` with ``command`` on a terminal.

    ``interrupt(text so far)`` is the number of times that it should have been interrupted by then.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
        os.execvpe(sys.executable, [sys.executable, "-m", "deploytool", *command], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    started, written, sent = time.monotonic(), [], 0
    try:
        while time.monotonic() - started < limit_s:
            if select.select([terminal], [], [], 0.02)[0]:
                try:
                    chunk = os.read(terminal, 1 << 16)
                except OSError:
                    break
                if not chunk:
                    break
                written.append((time.monotonic() - started, chunk.decode(errors="replace")))
            if interrupt("".join(text for _, text in written)) > sent:
                os.kill(pid, signal.SIGINT)
                sent += 1
        else:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    return Session(tuple(written), os.waitstatus_to_exitcode(status), time.monotonic() - started)
