"""Finished parts of a run on disk, each with a digest of its content in its name.

    <folder>/<first>-<stop>-<digest>.npz      the recording of the samples first .. stop - 1

A part is moved into place when it is complete. A part whose content does not match its digest, or that repeats samples
of another, is deleted, and its samples run again.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import open_recording, write_recording
from deploytool.store.artifact import writing

DIGITS: Final = 16
"""Number of hexadecimal digits of a digest in a name."""


class Part(NamedTuple):
    """A file with the samples ``first`` .. ``stop`` - 1."""

    first: int
    stop: int
    digest: str
    path: Path


def parts_in(folder: Path) -> list[Part]:
    """The parts in ``folder``, in order, without any that repeats samples of one before. Contents are not checked."""
    found: list[Part] = []
    for path in sorted(folder.glob("*.npz")):
        match = re.fullmatch(rf"(\d+)-(\d+)-([0-9a-f]{{{DIGITS}}})", path.stem)
        if match and int(match[1]) >= (found[-1].stop if found else 0):
            found.append(Part(int(match[1]), int(match[2]), match[3], path))
    return found


def read_parts(folder: Path, say: Callable[[str], None]) -> dict[int, Recording]:
    """{first sample: recording} of the parts in ``folder``; deletes files that are damaged or repeat samples."""
    found = {}
    for part in parts_in(folder):
        if (recording := _read(part)) is None:
            say(f"{part.path.name} is damaged: its samples run again")
        else:
            found[part.first] = recording
    kept = {part.path for part in parts_in(folder) if part.first in found}
    with writing(folder):
        for path in set(folder.glob("*.npz")) - kept:
            path.unlink()
    return found


def _read(part: Part) -> Recording | None:
    """The recording of ``part``, None if it is damaged. Its counts stay on disk."""
    try:
        with part.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS] != part.digest:
                return None
        recording = open_recording(part.path, in_memory=0)
    except (OSError, ArtifactError):
        return None
    return recording if len(recording) == part.stop - part.first else None


def keep(recording: Recording, folder: Path, first: int) -> Recording:
    """``recording`` of the samples from ``first`` on, with its counts in a file of ``folder``."""
    buffer = io.BytesIO()
    write_recording(recording, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:DIGITS]
    path = folder / f"{first:09}-{first + len(recording):09}-{digest}.npz"
    draft = path.with_suffix(".draft")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(buffer.getvalue())
        draft.replace(path)
    return open_recording(path, in_memory=0)
