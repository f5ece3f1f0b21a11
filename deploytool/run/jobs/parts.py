"""Finished parts of a run on disk, each with a digest of its content in its name.

    <folder>/<first>-<stop>-<digest>.npz      the recording of the samples first .. stop - 1

A part is moved into place when it is complete. A part whose content does not match its digest, or whose samples are not
there or are those of another, is deleted, and its samples run again.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording import Recording, join
from deploytool.ir.recording_file import open_recording, write_recording
from deploytool.store.artifact import writing

DIGITS: Final = 16
"""Number of hexadecimal digits of a digest in a name."""

AT_ONCE: Final = 64
"""Number of parts that are joined together."""


REMEDY: Final = "Delete it, and run again."

Form: TypeAlias = tuple[Any, ...]
"""What the parts of a run have in common."""


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
        if match and (found[-1].stop if found else 0) <= int(match[1]) <= int(match[2]):
            found.append(Part(int(match[1]), int(match[2]), match[3], path))
    return found


def checked_parts(folder: Path, total: int, say: Callable[[str], None]) -> list[Part]:
    """The intact parts in ``folder`` of ``total`` samples, in order; deletes all other files of parts."""
    found = []
    for part in parts_in(folder):
        if part.stop <= total and is_intact(part):
            found.append(part)
        else:
            say(f"{part.path.name} is damaged: its samples run again")
    with writing(folder):
        for path in set(folder.glob("*.npz")) - {part.path for part in found}:
            path.unlink()
    return found


def is_intact(part: Part) -> bool:
    """Whether the content of ``part`` matches the digest in its name."""
    try:
        with part.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS] == part.digest
    except OSError:
        return False


def keep(recording: Recording, folder: Path, first: int) -> Part:
    """The part in ``folder`` of ``recording``, whose samples are those from ``first`` on."""
    buffer = io.BytesIO()
    write_recording(recording, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:DIGITS]
    stop = first + len(recording)
    path = folder / f"{first:09}-{stop:09}-{digest}.npz"
    draft = path.with_suffix(".draft")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(buffer.getvalue())
        draft.replace(path)
    return Part(first, stop, digest, path)


def joined(parts: Sequence[Part]) -> Recording:
    """The recording of all ``parts``, whose counts stay on disk. Statistics of a few parts are in memory at a time.

    Raises ArtifactError for a part that is intact, but not of the same run, or not of the samples in its name.
    """
    ordered = sorted(parts)
    return _joined(ordered, _form(_opened(ordered[0])))


def _joined(parts: Sequence[Part], form: Form) -> Recording:
    if len(parts) > AT_ONCE:
        return join([_joined(parts[i : i + AT_ONCE], form) for i in range(0, len(parts), AT_ONCE)])
    found = [_opened(part) for part in parts]
    for part, recording in zip(parts, found, strict=True):
        if _form(recording) != form:
            raise ArtifactError(str(part.path), "of another run than the parts before", "parts of one run", REMEDY)
    return join(found)


def _opened(part: Part) -> Recording:
    """The recording of ``part``, with counts on disk."""
    recording = open_recording(part.path, in_memory=0)
    if len(recording) != part.stop - part.first:
        need = f"{part.stop - part.first}, as its name says"
        raise ArtifactError(str(part.path), f"{len(recording)} samples", need, REMEDY)
    return recording


def _form(recording: Recording) -> Form:
    """What the parts of a run have in common: the setup, and which figures of which layers there are."""
    windows = recording.windows
    return (
        recording.rung,
        recording.outputs,
        recording.setup,
        recording.speech is None,
        {layer: maps.shape[1:] for layer, maps in recording.counts.items()},
        {layer: None if each.updates is None else each.updates.shape for layer, each in recording.activity.items()},
        recording.potentials.shape[1:],
        len(recording.synops) == len(recording),
        len(recording.durations_us) == len(recording),
        None if windows is None else [each.shape[1:] for each in (windows.counts, windows.targets, windows.potentials)],
    )
