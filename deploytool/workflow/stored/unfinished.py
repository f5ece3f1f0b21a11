"""Unfinished work in a store: kept samples of a run, the checkpoint of a training, locks and drafts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploytool.base.errors import ArtifactError
from deploytool.ir.recording_file import open_recording
from deploytool.run.jobs.parts import is_intact, parts_in
from deploytool.store.faults import CHANGED, WRONG_CONTENT, Fault
from deploytool.store.manifest import KINDS, UNCHANGED

CHECKPOINT: Final = "checkpoint.json"
RUNS_AGAIN: Final = "Delete it; its samples run again."


@dataclass(frozen=True)
class Work:
    """Unfinished work at ``path``, a folder or a file, in a few words."""

    path: Path
    says: str


def is_draft(path: Path) -> bool:
    """Whether ``path``, in a store, is an artifact that is being written, or was when its process was killed."""
    return path.name.startswith(".") and path.name[1:].partition("-")[0] in KINDS


def work_in(path: Path) -> Work:
    """What the unfinished work at ``path`` is."""
    if path.is_symlink() or not path.is_dir():
        return Work(path, "a lock" if path.suffix == ".lock" else "no work")
    if path.name.startswith("."):
        return Work(path, "a draft")
    if (path / CHECKPOINT).exists():
        return Work(path, "a training to be continued")
    kept = sum(part.stop - part.first for part in parts_in(path))
    return Work(path, f"a run to be continued, {kept} samples kept" if kept else "work that has just begun")


def faults_of_work(work: Work) -> Iterator[Fault]:
    """What is wrong with the checkpoint or with the kept samples of ``work``. Drafts are not read."""
    if work.path.name.startswith(".") or work.path.is_symlink() or not work.path.is_dir():
        return
    if (work.path / CHECKPOINT).exists():
        yield from _faults_of_checkpoint(work.path)
    for part in parts_in(work.path):
        try:
            if not is_intact(part):
                says = "its content does not match the digest in its name"
                yield Fault(part.path, CHANGED, ArtifactError(str(part.path), says, UNCHANGED, RUNS_AGAIN))
                continue
            open_recording(part.path, in_memory=0)
        except ArtifactError as error:
            yield Fault(part.path, WRONG_CONTENT, error)


def _faults_of_checkpoint(folder: Path) -> Iterator[Fault]:
    from deploytool.train.loop.checkpoint import load_checkpoint

    path = folder / CHECKPOINT
    try:
        load_checkpoint(folder, _key(path))
    except ArtifactError as error:
        yield Fault(path, CHANGED, error)


def _key(path: Path) -> str:
    """The key that the checkpoint ``path`` states, not verified; empty if it states none."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
