"""What is wrong with an artifact in a store: its folder, its manifest, and each of its files.

Every file is read to its end. No link is followed: an artifact is a folder of plain files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from deploytool.base.digest import file_digest
from deploytool.base.errors import ArtifactError
from deploytool.store.manifest import FILE as MANIFEST
from deploytool.store.manifest import KINDS, REMAKE, SCHEMA_VERSION, UNCHANGED, Manifest, read_manifest, stated
from deploytool.store.payloads import required_files

DigestOf: TypeAlias = Callable[[Path], str]
"""The SHA-256 of the content of a file. Raises OSError if it cannot be read."""

CHANGED: Final = "changed"
MISSING: Final = "missing"
UNREADABLE: Final = "unreadable"
LINK: Final = "a link"
NEWER: Final = "newer version"
NOT_LISTED: Final = "not listed"
WRONG_CONTENT: Final = "wrong content"


@dataclass(frozen=True)
class Fault:
    """What is wrong at ``path``: ``found`` in a few words, ``error`` in a sentence."""

    path: Path
    found: str
    error: ArtifactError


def manifest_or_fault(folder: Path) -> Manifest | Fault:
    """The intact manifest of the artifact in ``folder``, or what is wrong with it."""
    try:
        return read_manifest(folder)
    except ArtifactError as error:
        return Fault(folder / MANIFEST, _of_manifest(folder), error)


def _of_manifest(folder: Path) -> str:
    """What is wrong with the manifest in ``folder``, in a few words."""
    path = folder / MANIFEST
    try:
        with path.open("rb"):
            version = stated(folder).get("schema_version")
    except FileNotFoundError:
        return MISSING
    except OSError:
        return UNREADABLE
    return NEWER if isinstance(version, int) and version > SCHEMA_VERSION else CHANGED


def faults_of(folder: Path, manifest: Manifest, digest_of: DigestOf = file_digest) -> Iterator[Fault]:
    """What is wrong with the artifact in ``folder``, whose manifest is intact.

    Itself, then each file that its kind must have and that is not listed, then each file listed.
    """
    for path in (folder, folder / MANIFEST):
        if path.is_symlink():
            yield _fault(path, LINK, "a link", "the file itself")
    if (name := folder.name) != manifest.name and name.partition("-")[0] in KINDS:
        todo = "Rename it, or delete it."
        holds, need = f"holds {manifest.name}", "a folder with the name of its artifact"
        yield _fault(folder, holds, holds, need, todo)
    for file in required_files(manifest.kind):
        if file not in manifest.files:
            yield _fault(folder / file, MISSING, "not in the manifest", f"a {manifest.kind} with this file")
    for file, expected in manifest.files.items():
        if (fault := _fault_of_file(folder, file, expected, digest_of)) is not None:
            yield fault


def files_not_listed(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    """What the artifact in ``folder`` holds beside its files. No command reads it, and nothing verifies it."""
    known = {MANIFEST, *manifest.files}
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(place) / name
            if path.relative_to(folder).as_posix() not in known:
                yield _fault(path, NOT_LISTED, "not in the manifest", "only files that deploytool wrote", "Delete it.")


def _fault_of_file(folder: Path, name: str, expected: str, digest_of: DigestOf) -> Fault | None:
    path = folder / name
    if any(part.is_symlink() for part in (path, *path.parents[: name.count("/")])):
        return _fault(path, LINK, "a link", "the file itself")
    try:
        if not path.is_file():
            return _fault(path, MISSING, "missing", "the file the manifest lists")
        if digest_of(path) == expected:
            return None
    except OSError as error:
        return _fault(path, UNREADABLE, f"cannot be read ({error.strerror})", "a file that you may read")
    return _fault(path, CHANGED, "its content does not match its SHA-256", UNCHANGED)


def _fault(path: Path, brief: str, found: str, need: str, todo: str = REMAKE) -> Fault:
    return Fault(path, brief, ArtifactError(str(path), found, need, todo))
