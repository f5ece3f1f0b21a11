"""A disk that fails: the n-th change below a folder, and all that follow, raise OSError, as on a full disk."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WRITES = set("wax+")


class FailingDisk:
    """Counts the changes below ``root``: files and folders that are made, moved or written to.

    From number ``fails_at`` on each raises OSError ``number``; deleting still works. With ``once`` only that one fails.
    """

    def __init__(self, root: Path, fails_at: int | None = None, number: int = errno.ENOSPC, once: bool = False) -> None:
        self.root = os.path.realpath(root)
        self.fails_at = fails_at
        self.number = number
        self.once = once
        self.changes: list[str] = []
        self._descriptors: set[int] = set()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Puts this disk under Python's functions for files, as long as ``patch`` lasts."""
        opened = io.open

        def open_file(file: Any, mode: str = "r", *args: Any, **keywords: Any) -> Any:
            if not WRITES & set(mode) or not self._is_below(file):
                return opened(file, mode, *args, **keywords)
            if not isinstance(file, int):
                self.change("create", file)
            return _File(opened(file, mode, *args, **keywords), self)

        patch.setattr(io, "open", open_file)
        patch.setattr(builtins, "open", open_file)
        low = os.open

        def open_descriptor(path: Any, flags: int, *args: Any, **keywords: Any) -> int:
            ours = bool(flags & (os.O_WRONLY | os.O_RDWR)) and self._is_below(path)
            if ours:
                self.change("create", path)
            descriptor = low(path, flags, *args, **keywords)
            if ours:
                self._descriptors.add(descriptor)
            return descriptor

        patch.setattr(os, "open", open_descriptor)
        for name in ("mkdir", "rename", "replace", "chmod", "link", "symlink", "write", "pwrite", "ftruncate", "fsync"):
            self._count(patch, name)
        closed = os.close

        def close(descriptor: int) -> None:
            self._descriptors.discard(descriptor)
            closed(descriptor)

        patch.setattr(os, "close", close)

    def _count(self, patch: pytest.MonkeyPatch, name: str) -> None:
        function: Callable[..., Any] = getattr(os, name)

        def counted(first: Any, *args: Any, **keywords: Any) -> Any:
            if self._is_below(first):
                self.change(name, first)
            return function(first, *args, **keywords)

        patch.setattr(os, name, counted)

    def change(self, name: str, where: Any) -> None:
        """Counts a change. Raises OSError if the disk fails there."""
        self.changes.append(f"{name} {where}")
        here = len(self.changes)
        if self.fails_at is not None and (here == self.fails_at or (here > self.fails_at and not self.once)):
            raise OSError(self.number, os.strerror(self.number), None if isinstance(where, int) else str(where))

    def _is_below(self, file: Any) -> bool:
        if isinstance(file, int):
            return file in self._descriptors
        return os.path.realpath(os.fspath(file)).startswith(self.root + os.sep)


class _File:
    """An open file whose writes are changes of a disk."""

    def __init__(self, file: Any, disk: FailingDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, content: Any) -> Any:
        self._disk.change("write", getattr(self._file, "name", ""))
        return self._file.write(content)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
