"""Files that a person names: written whole, or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from deploytool.base.errors import ArtifactError


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
