"""Files that a person names: whether they are there, and how they are written, whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from deploytool.base.errors import ArtifactError


def is_file(path: Path) -> bool:
    """Whether there is a file at ``path``, whatever its name looks like.

    Raises ArtifactError where that cannot be known, because a folder above it may not be entered.
    """
    return _is(path, Path.is_file)


def is_folder(path: Path) -> bool:
    """Whether there is a folder at ``path``. Raises as `is_file`."""
    return _is(path, Path.is_dir)


def listed(folder: Path) -> list[Path]:
    """What ``folder`` holds, by name; nothing where there is no folder. Raises ArtifactError if it may not be read."""
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
    """Writes ``content`` to ``path`` at once: the file is there whole, or as it was before."""
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
