"""The process of the `deploytool` command, also as `python -m deploytool`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Final, NoReturn

COLLECT_AFTER: Final = 50_000
"""Number of new objects after which Python looks for cycles that nothing uses. What is imported stays in use, and to
look through it 700 objects at a time, as Python does by default, takes an eighth of the time of a short command."""


def main() -> None:
    """Runs the command. An interrupt while it is being imported ends the process without a traceback.

    A closed stdout is refused before anything is done.
    """
    signal.signal(signal.SIGINT, _end_at_once)  # the imports that follow take a while
    from deploytool.base.errors import ArtifactError
    from deploytool.cli.process import end, interrupts_end_the_process
    from deploytool.cli.streams import CLOSED, open_streams

    interrupts_end_the_process()
    if not open_streams():
        print(CLOSED, file=sys.stderr)
        sys.exit(ArtifactError.exit_code)
    gc.set_threshold(COLLECT_AFTER)
    from deploytool.cli.app import main as run

    end(run)


def _end_at_once(number: int, _frame: object) -> NoReturn:
    os.write(2, b"Interrupted.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
