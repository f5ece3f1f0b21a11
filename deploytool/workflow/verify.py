"""The verb verify: every byte of a store, what is damaged in it, and what was made from that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from deploytool.base.digest import file_digest
from deploytool.base.errors import ArtifactError, DeployError
from deploytool.base.files import is_file, is_folder, listed
from deploytool.base.messages import Messages
from deploytool.base.progress import Tick
from deploytool.store.artifact import UNFINISHED, Artifact
from deploytool.store.faults import NOT_LISTED, WRONG_CONTENT, Fault, faults_of, files_not_listed, manifest_or_fault
from deploytool.store.lineage import names_artifact
from deploytool.store.manifest import FILE as MANIFEST
from deploytool.store.manifest import KINDS, Manifest, stated
from deploytool.workflow.stored.payloads import read_payload
from deploytool.workflow.stored.unfinished import Work, faults_of_work, is_draft, work_in

PAUSES_S: Final = (0.1, 0.4, 1.5)
"""Before what is wrong is looked at again: another process may be deleting or writing it."""

REMADE: Final = (
    "Delete what is damaged, then run the commands that made it again: equal content has an equal name, so what was "
    "made from it is whole again."
)
EXTRA: Final = "Delete the files that are not in a manifest, or move them elsewhere."


@dataclass(frozen=True)
class Inspected:
    """An artifact as it was found: the ``inputs`` {role: digest} that its manifest states, and what is wrong."""

    folder: Path
    inputs: Mapping[str, str]
    files: int
    faults: tuple[Fault, ...]

    @property
    def is_damaged(self) -> bool:
        """Whether the artifact itself is not as it was written; a file beside it does not matter."""
        return any(fault.found != NOT_LISTED for fault in self.faults)


@dataclass(frozen=True)
class Verified:
    """What is in the ``store`` and what is wrong there.

    ``affected`` {artifact: the damaged ones that it was made from}, ``missing`` {artifact: its inputs that are not in
    the store}, ``others`` are what deploytool does not know.
    """

    store: Path
    artifacts: int
    files: int
    size: int
    faults: tuple[Fault, ...]
    affected: Mapping[str, Sequence[str]]
    missing: Mapping[str, Sequence[str]]
    unfinished: tuple[Work, ...]
    others: tuple[Path, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong. Inputs that were deleted and unfinished work are not."""
        return not self.faults

    @property
    def next(self) -> list[str]:
        """What to do about it, a sentence each."""
        extra = [fault.found == NOT_LISTED for fault in self.faults]
        return [REMADE] * (not all(extra)) + [EXTRA] * any(extra)

    def as_json(self) -> dict[str, Any]:
        """All that was found, as JSON values."""
        return {
            "store": str(self.store),
            "whole": self.whole,
            "artifacts": self.artifacts,
            "files": self.files,
            "megabytes": round(self.size / 1e6, 3),
            "damaged": [
                {"path": self._inside(fault.path), "found": fault.found, "says": str(fault.error)}
                for fault in self.faults
            ],
            "affected": _rows(self.affected, "made_from"),
            "missing": _rows(self.missing, "inputs"),
            "unfinished": [{"path": self._inside(work.path), "is": work.says} for work in self.unfinished],
            "unknown": [self._inside(path) for path in self.others],
            "next": self.next,
        }

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.store).as_posix()


def _rows(found: Mapping[str, Sequence[str]], key: str) -> list[dict[str, Any]]:
    return [{"artifact": name, key: list(names)} for name, names in found.items()]


def verify(root: Path, messages: Messages) -> Verified:
    """What the store ``root`` holds and what is wrong there: every file is hashed, and every payload read.

    No link is followed. What another process deletes or replaces meanwhile is not wrong.
    Raises ArtifactError if there is no such folder, or it cannot be read.
    """
    _require_store(root)
    folders, works, others = _survey(root)
    with messages.progress("verify", "megabyte") as tick:
        reader = _Reader(tick, sum(map(_size, folders)))
        found = [inspected for folder in folders if (inspected := _inspected(folder, reader.digest_of)) is not None]
        wrong = [fault for work in works for fault in faults_of_work(work)]
        for pause_s in PAUSES_S:
            if not wrong and not any(each.faults for each in found):
                break
            time.sleep(pause_s)
            found = [again for each in found if (again := _again(each)) is not None]
            works = [work for work in works if work.path.exists()]
            wrong = [fault for work in works for fault in faults_of_work(work)]
    by_digest = {each.folder.name.rpartition("-")[2]: each.folder.name for each in found}
    return Verified(
        root,
        len(found),
        sum(each.files for each in found),
        reader.done,
        (*(fault for each in found for fault in each.faults), *wrong),
        _affected(found, by_digest),
        _missing(found, by_digest),
        tuple(works),
        tuple(others),
    )


def _require_store(root: Path) -> None:
    if not is_folder(root):
        raise ArtifactError(str(root), "no such folder", "the folder of a store")
    if is_file(root / MANIFEST):
        todo = f"To verify the store that it is in: deploytool verify {root.absolute().parent}"
        raise ArtifactError(str(root), "an artifact", "the folder of a store", todo)


def _survey(root: Path) -> tuple[list[Path], list[Work], list[Path]]:
    """(artifacts, also such without a manifest; unfinished work; all else) in the store ``root``."""
    folders, works, others = [], [], []
    for path in listed(root):
        if path.name == UNFINISHED and path.is_dir() and not path.is_symlink():
            works += [work_in(each) for each in listed(path)]
        elif is_draft(path):
            works.append(work_in(path))
        elif _is_artifact(path):
            folders.append(path)
        else:
            others.append(path)
    return folders, works, others


def _is_artifact(path: Path) -> bool:
    """Whether ``path`` is an artifact, or is named like one."""
    kind, _, digest = path.name.partition("-")
    if kind in KINDS and digest:
        return path.is_symlink() or path.is_dir()
    return not path.is_symlink() and path.is_dir() and is_file(path / MANIFEST)


class _Reader:
    """Hashes files and tells how much is done of ``total`` bytes."""

    def __init__(self, tick: Tick, total: int) -> None:
        self.done = 0
        self._tick = tick
        self._total = total

    def digest_of(self, path: Path) -> str:
        """The SHA-256 of the content of ``path``. Raises OSError if it cannot be read."""
        return file_digest(path, partial(self._read, path.parent.name))

    def _read(self, name: str, size: int) -> None:
        self.done += size
        self._tick(self.done / 1e6, max(1, round(self._total / 1e6)), name)


def _size(folder: Path) -> int:
    """The number of bytes in the files of ``folder``, as far as it is known: others may be deleting it."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(Path(place, name)).st_size
    return total


def _inspected(folder: Path, digest_of: Callable[[Path], str] = file_digest) -> Inspected | None:
    """The artifact in ``folder``, every file read; None if it is deleted meanwhile."""
    faults: list[Fault] = []
    files = 0
    if isinstance(manifest := manifest_or_fault(folder), Fault):
        faults.append(manifest)
        inputs = stated(folder).get("inputs")
    else:
        faults += faults_of(folder, manifest, digest_of)
        if not faults:
            faults += _faults_of_payload(folder, manifest)
        faults += files_not_listed(folder, manifest)
        inputs, files = manifest.inputs, len(manifest.files) + 1
    if not (folder.is_symlink() or folder.exists()):
        return None
    known = {role: text for role, text in inputs.items() if isinstance(text, str)} if isinstance(inputs, dict) else {}
    return Inspected(folder, known, files, tuple(faults))


def _again(inspected: Inspected) -> Inspected | None:
    """What was ``inspected``, once more if anything is wrong there."""
    return _inspected(inspected.folder) if inspected.faults else inspected


def _faults_of_payload(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    """What is wrong with the content of the files, which are as they were written."""
    try:
        read_payload(Artifact(folder, manifest))
    except DeployError as error:
        says = error if isinstance(error, ArtifactError) else ArtifactError.of_problems(error.problems)
        yield Fault(folder, WRONG_CONTENT, says)


def _affected(found: Sequence[Inspected], by_digest: Mapping[str, str]) -> dict[str, list[str]]:
    """{artifact: the damaged ones among all it was made from}, for those that were made from any."""
    parents = {
        each.folder.name: [by_digest[d[:12]] for d in each.inputs.values() if d[:12] in by_digest] for each in found
    }
    damaged = {each.folder.name for each in found if each.is_damaged}
    affected = {name: [a for a in _ancestors(name, parents) if a in damaged] for name in parents}
    return {name: sorted(names) for name, names in affected.items() if names}


def _ancestors(name: str, parents: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found - {name}


def _missing(found: Sequence[Inspected], by_digest: Mapping[str, str]) -> dict[str, list[str]]:
    """{artifact: the role and digest of its direct inputs that are not in the store}."""
    missing = {
        each.folder.name: [
            f"{role} {digest[:12]}"
            for role, digest in each.inputs.items()
            if names_artifact(role) and digest[:12] not in by_digest
        ]
        for each in found
    }
    return {name: inputs for name, inputs in missing.items() if inputs}
