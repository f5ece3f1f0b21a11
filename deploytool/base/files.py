"""Files that a user names: whether they exist, and atomic writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from deploytool.base.errors import ArtifactError


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


def write_file(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically: the file is either complete or unchanged."""
    if not path.name or path.is_dir():
        raise ArtifactError(f"--output {path}", "a folder", "the name of a file")
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise ArtifactError(str(path), f"cannot be written ({error.strerror})", "a writable place") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
