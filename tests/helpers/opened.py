"""Which files are opened, by whatever function."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_WATCHED: list[tuple[Path, list[Path]]] = []
_HOOKED: list[bool] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _WATCHED and isinstance(arguments[0], str | bytes | os.PathLike):
        path = Path(os.fsdecode(arguments[0])).absolute()
        for folder, found in _WATCHED:
            if path.is_relative_to(folder):
                found.append(path)


@contextlib.contextmanager
def opened_in(folder: Path) -> Iterator[list[Path]]:
    """The list of the files in ``folder`` that are opened in the body, each as often as it is."""
    if not _HOOKED:
        sys.addaudithook(_hook)  # it stays until the process ends
        _HOOKED.append(True)
    watched: tuple[Path, list[Path]] = (folder.absolute(), [])
    _WATCHED.append(watched)
    try:
        yield watched[1]
    finally:
        _WATCHED.remove(watched)
