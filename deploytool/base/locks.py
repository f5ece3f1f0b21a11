"""Locks between processes: a context that one of them is in at a time, and drafts that nobody else takes for leftovers.

Every lock is an flock of an open file or folder. The system frees it when the process ends, however that ends. A draft
that is not locked belongs to a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

RANDOM: Final = "[a-z0-9_]{8}"
"""What `tempfile` ends a name with."""

TRIES: Final = 3
TRIED_EVERY_S: Final = 0.02
"""Tries, and the time between them, to get a lock that `remove_leftovers` in another process may have for a moment."""


@contextlib.contextmanager
def alone(path: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """A context that one process at a time is in; ``path`` is its lock file, which goes with it.

    ``wait(who)`` is called before waiting for another process. A file system without locks locks nothing.
    Raises OSError if the file cannot be written, or is a link.
    """
    file = _taken(path, wait)
    try:
        yield
    finally:
        if _is_at(file, path):
            path.unlink(missing_ok=True)
        os.close(file)


def _taken(path: Path, wait: Callable[[str], None]) -> int:
    """The open lock file at ``path``, locked, with the name of this process in it."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            if not _locked_soon(file):
                wait(_stated(file))
                _lock(file, waits=True)
            if _is_at(file, path):
                _state(file, path)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _state(file: int, path: Path) -> None:
    """Writes the name of this process to its lock ``file`` at ``path``, which goes if the disk is full."""
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()} {platform.node()}".encode(), 0)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _locked_soon(file: int) -> bool:
    """Locks the open ``file`` unless another process keeps it locked for longer than `remove_leftovers` does."""
    for _ in range(TRIES):
        if _lock(file):
            return True
        time.sleep(TRIED_EVERY_S)
    return _lock(file)


def _stated(file: int) -> str:
    """The process that the lock ``file`` names."""
    number, _, machine = os.pread(file, 1024, 0).decode(errors="replace").partition(" ")
    if not (number.isascii() and number.isdecimal()):
        return "another process"
    return f"process {number}" + (f" on {machine}" if machine != platform.node() else "")


def _lock(file: int, waits: bool = False) -> bool:
    """Locks the open ``file``; False if another process has it locked. Without locks, it is True."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, ImportError):
        return True
    return True


def _is_at(file: int, path: Path) -> bool:
    """Whether ``path`` still is the open ``file``."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except OSError:
        return False


@contextlib.contextmanager
def draft_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new locked folder ``<prefix><8 random characters>`` in ``parent``; it is removed, unless it was moved."""
    file, draft = locked_folder(parent, prefix)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(file)


def locked_folder(parent: Path, prefix: str) -> tuple[int, Path]:
    """A new folder ``<prefix><8 random characters>`` in ``parent``, as (open file that keeps it locked, path)."""
    while True:
        draft = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            file = os.open(draft, os.O_RDONLY)
        except FileNotFoundError:  # `remove_leftovers` in another process came before the lock
            continue
        if _lock(file) and _is_at(file, draft):
            return file, draft
        os.close(file)


@contextlib.contextmanager
def draft_file(parent: Path, prefix: str) -> Iterator[tuple[int, Path]]:
    """A new locked file, as (open file, path), like a `draft_folder`."""
    while True:
        file, name = tempfile.mkstemp(prefix=prefix, dir=parent)
        if _lock(file) and _is_at(file, Path(name)):
            break
        os.close(file)
    try:
        yield file, Path(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
        os.close(file)


def remove_leftovers(parent: Path, pattern: str) -> None:
    """Removes what killed processes left in ``parent``: own unlocked files and folders whose names match ``pattern``.

    What cannot be locked, or removed, stays.
    """
    try:
        entries = [entry for entry in os.scandir(parent) if re.fullmatch(pattern, entry.name)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            _remove_leftover(Path(entry.path))


def _remove_leftover(path: Path) -> None:
    import fcntl

    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_uid != os.geteuid() or not _is_at(file, path):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)
