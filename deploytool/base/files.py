"""Files that a user names: whether they exist, and atomic writes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from deploytool.base.errors import ArtifactError
from deploytool.base.locks import RANDOM, draft_file, locked_folder, remove_leftovers

DRAFT: Final = ".deploytool-draft-"
"""What the names of files that are being written begin with."""

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a place without room for a file."""

TEMPORARY: Final = ".deploytool-temporary-"
"""What the names of temporary folders begin with."""


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``, for any name.

    Raises ArtifactError if that is unknown, because a parent folder cannot be entered.
    """
    return _is(path, Path.is_file)


def is_folder(path: Path) -> bool:
    """Whether there is a folder at ``path``. Raises as `is_file`."""
    return _is(path, Path.is_dir)


def listed(folder: Path) -> list[Path]:
    """The entries of ``folder``, sorted; empty if there is no folder. Raises ArtifactError if it cannot be read."""
    if not is_folder(folder):
        return []
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ArtifactError(str(folder), f"cannot be read ({error.strerror})", "a folder that you may read") from None


def _is(path: Path, ask: Callable[[Path], bool]) -> bool:
    try:
        return ask(path)
    except PermissionError as error:
        raise ArtifactError(str(path), f"cannot be read ({error.strerror})", "a path that you may read") from None
    except OSError:
        return False


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that lasts as long as the body.

    Raises as `new_temporary_folder`, and ArtifactError where the body finds no room for its files.
    """
    file, folder = new_temporary_folder()
    try:
        yield folder
    except OSError as error:
        if error.errno not in FULL:
            raise
        found, todo = f"cannot be written ({error.strerror})", "Free some space, or name another one in TMPDIR."
        raise ArtifactError("temporary folder", found, "room for temporary files", todo) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(file)


def new_temporary_folder() -> tuple[int, Path]:
    """A new folder for temporary files, as (open file that keeps it locked, path); those of killed processes go.

    Raises ArtifactError where there is no place for one.
    """
    try:
        parent = Path(tempfile.gettempdir())
        remove_leftovers(parent, re.escape(TEMPORARY) + RANDOM)
        return locked_folder(parent, TEMPORARY)
    except OSError as error:
        found, need = f"cannot be made ({error.strerror or error})", "a folder for temporary files"
        raise ArtifactError("temporary folder", found, need, "Name one in TMPDIR.") from None


def umask() -> int:
    """The permissions that this process withholds from what it creates."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_file(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically: the file is either complete or unchanged.

    A link is followed and stays a link. What is not a regular file, such as a pipe or a device, is written to directly.
    """
    with _target(path) as target:
        if target.exists() and not target.is_file():
            _write_through(target, content)
        else:
            _replace(target, content)


def require_writable(path: Path) -> None:
    """Raises ArtifactError, as `write_file` would, if no file can be written to ``path``; asked before long work."""
    with _target(path) as target:
        if target.is_file() or not target.exists():
            with draft_file(target.parent, DRAFT):
                pass


@contextlib.contextmanager
def _target(path: Path) -> Iterator[Path]:
    """What the file ``path`` is, or leads to. Raises ArtifactError for a folder, and for an OSError of the body."""
    if not path.name or is_folder(path):
        raise ArtifactError(f"--output {path}", "a folder", "the name of a file")
    try:
        yield path.resolve()
    except OSError as error:
        found = "a pipe that nobody reads" if error.errno == errno.ENXIO else f"cannot be written ({error.strerror})"
        raise ArtifactError(str(path), found, "a writable place") from None


def _write_through(path: Path, content: bytes) -> None:
    """Writes to a pipe or a device. Raises OSError ENXIO for a pipe without a reader."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "wb") as file:
        os.set_blocking(descriptor, True)
        file.write(content)


def _replace(path: Path, content: bytes) -> None:
    """Writes a draft beside ``path``, which nobody else can have made, and moves it into place."""
    remove_leftovers(path.parent, re.escape(DRAFT) + RANDOM)
    with draft_file(path.parent, DRAFT) as (descriptor, draft):
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        draft.chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~umask())
        draft.replace(path)
