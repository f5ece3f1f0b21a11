"""The store: every value that passes between stages, named by the digest of its content.

    <store>/<kind>-<first 12 of digest>/manifest.json     its kind, the request, its inputs
    <store>/<kind>-<first 12 of digest>/...               its files

``digest`` covers the hashes of the files and the digests of the inputs, so it also certifies the lineage. ``key``
covers the request. The same key returns the stored artifact, so caching, resume and provenance are one mechanism. An
artifact is written to a temporary folder and moved into place, so that none is ever half-written. Every file is
verified when it is opened. No pickle is read or written anywhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.base.digest import digest, file_digest
from deploytool.base.errors import ArtifactError
from deploytool.base.files import FULL, is_file, listed, umask
from deploytool.base.json_text import canonical_json
from deploytool.base.locks import RANDOM, alone, draft_folder, remove_leftovers
from deploytool.base.messages import Messages
from deploytool.base.typed import read_checked
from deploytool.store.faults import faults_of
from deploytool.store.file_names import CONFIGURATION
from deploytool.store.manifest import FILE as MANIFEST
from deploytool.store.manifest import (
    IDENTITY_VERSION,
    KINDS,
    MADE_BY,
    REMAKE,
    Kind,
    Manifest,
    is_future,
    new_manifest,
    read_manifest,
    stated,
    stated_time,
)
from deploytool.store.payloads import SCHEMAS
from deploytool.zoo.models import is_shipped, model_folder, name_of

UNFINISHED: Final = "unfinished"
DAMAGED: Final = "-damaged"
DIGITS: Final = 12
"""The number of digits of a digest in a name."""

SILENT: Final = Messages(quiet=True)


@dataclass(frozen=True)
class Request:
    """A request: an artifact of ``kind`` made from ``inputs`` {role: digest}, as ``recipe`` decides."""

    kind: Kind
    inputs: Mapping[str, str]
    recipe: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The digest of the request and of the version of deploytool."""
        asked = [self.kind, IDENTITY_VERSION, MADE_BY, sorted(self.inputs.items()), canonical_json(self.recipe)]
        return digest(asked)


@dataclass(frozen=True)
class Artifact:
    """A stored artifact whose files have been verified."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def read_json(self, name: str) -> Any:
        """The value in the JSON file ``name`` of the artifact; None if it has no such file.

        Raises ArtifactError, naming the field, if it does not have the file's schema.
        """
        return read_checked(self.path / name, SCHEMAS[name]()) if name in self.manifest.files else None

    def stored_json(self, name: str) -> Any:
        """The value in the JSON file ``name``, as `read_json`. Raises ArtifactError if there is no such file."""
        if name not in self.manifest.files:
            raise ArtifactError(str(self.path / name), "not in the manifest", f"a {self.kind} with this file", REMAKE)
        return self.read_json(name)


class Store:
    """The artifacts in one folder. ``messages`` tell which artifact ``kind@latest`` is."""

    def __init__(self, root: Path, messages: Messages = SILENT) -> None:
        self.root = root
        self.messages = messages
        self._told: set[str] = set()

    def find(self, request: Request) -> Artifact | None:
        """The newest artifact made for ``request``, or None. A damaged one raises ArtifactError."""
        key = request.key
        made = [path for path in self._folders(request.kind) if stated(path).get("key") == key]
        return open_artifact(max(made, key=_age)) if made else None

    def put(self, request: Request, write: Callable[[Path], None], apart: Mapping[str, Any] | None = None) -> Artifact:
        """The artifact for ``request`` of the files that ``write(folder)`` writes, stored atomically.

        Its manifest states what is ``apart`` too, on which neither its name nor its digest depends.
        Raises ArtifactError when the store cannot be written.
        """
        with self._draft(request.kind) as draft:
            write(draft)
            manifest = _manifest(request, draft, apart)
            (draft / MANIFEST).write_text(manifest.text, encoding="utf-8")
            return _moved(draft, Artifact(self.root / manifest.name, manifest))

    def adopt(self, artifact: Artifact) -> Artifact:
        """``artifact``, of another store, in this one too. Raises ArtifactError when the store cannot be written."""
        with contextlib.suppress(ArtifactError):
            return open_artifact(self.root / artifact.manifest.name)
        with self._draft(artifact.kind) as draft:
            for name in (MANIFEST, *artifact.manifest.files):
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(artifact.path / name, draft / name)
            return _moved(draft, Artifact(self.root / artifact.manifest.name, artifact.manifest))

    @contextlib.contextmanager
    def _draft(self, kind: Kind) -> Iterator[Path]:
        """A new folder in the store for an artifact of ``kind``; it is removed, unless it was moved into place."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with draft_folder(self.root, f".{kind}-") as draft:
                yield draft

    def unfinished(self, request: Request) -> Path:
        """The folder for unfinished work on ``request``, which need not exist.

        Raises ArtifactError if it, the folder around it or a file in it is a link, which work would go through.
        """
        folder = self.root / UNFINISHED / request.key[:DIGITS]
        for path in (folder.parent, folder, *listed(folder)):
            if path.is_symlink():
                raise ArtifactError(str(path), "a link", "unfinished work that is in the store itself", "Delete it.")
        return folder

    @contextlib.contextmanager
    def alone(self, request: Request, wait: Callable[[str], None]) -> Iterator[None]:
        """A context that one process at a time is in for ``request``; ``wait(who)`` is called before waiting.

        Raises ArtifactError when the store cannot be written.
        """
        with contextlib.ExitStack() as lock:
            try:
                with writing(self.root):
                    lock.enter_context(alone(self.unfinished(request).with_suffix(".lock"), wait))
                yield
            finally:
                lock.close()
                self._remove_unused()

    def remove_leftovers(self) -> None:
        """Removes what killed processes left. Finished parts of unfinished work stay for the next run to continue."""
        remove_leftovers(self.root, rf"\.({'|'.join(KINDS)})-{RANDOM}({DAMAGED})?")
        if not (self.root / UNFINISHED).is_symlink():
            remove_leftovers(self.root / UNFINISHED, rf"[0-9a-f]{{{DIGITS}}}\.lock")
        self._remove_unused()

    def _remove_unused(self) -> None:
        with contextlib.suppress(OSError):
            (self.root / UNFINISHED).rmdir()

    def get(self, reference: str, *kinds: Kind, for_chip: bool = True) -> Artifact:
        """The artifact that ``reference`` names: a folder, ``kind-prefix``, ``kind@latest``, ``kind`` or ``zoo:NAME``.

        ``program@latest`` is a program for a chip if the newest one is the simulator's and is made from the same graph,
        unless not ``for_chip``.
        Raises ArtifactError when there is none, more than one, one of the wrong kind (not in ``kinds``), or a
        damaged one.
        """
        artifact = open_artifact(self._locate(reference, for_chip))
        if kinds and artifact.kind not in kinds:
            raise ArtifactError(reference, f"a {artifact.kind}", f"a {' or '.join(kinds)}")
        return artifact

    def by_digest(self, wanted: str) -> Artifact | None:
        """The artifact with the full digest ``wanted``, or None."""
        path = self.folder_of(wanted)
        return open_artifact(path) if path else None

    def folder_of(self, wanted: str) -> Path | None:
        """The folder of the artifact with the digest ``wanted``, not verified; None if it is not in the store."""
        paths = (self.root / f"{kind}-{wanted[:12]}" for kind in KINDS)
        return next((path for path in paths if path.is_dir()), None)

    def folders(self, *kinds: Kind) -> list[Path]:
        """The folders of artifacts of ``kinds`` (all kinds if none is given), newest first.

        The manifests state the times. Those that do not are older than those that do, in the order of file times; the
        names order equal times. Raises ArtifactError for a store that cannot be read.
        """
        return sorted(self._folders(*kinds), key=_age, reverse=True)

    def from_future(self, kind: Kind) -> Path | None:
        """The artifact that ``kind@latest`` stays because its time is still to come; None if there is none."""
        newest = next(iter(self.folders(kind)), None)
        return newest if newest is not None and is_future(stated(newest)) else None

    def _folders(self, *kinds: Kind) -> list[Path]:
        """The folders of artifacts of ``kinds``, by name. A folder without access permission counts."""
        wanted = kinds or KINDS
        return [path for path in listed(self.root) if path.name.partition("-")[0] in wanted and _has_manifest(path)]

    def _locate(self, reference: str, for_chip: bool) -> Path:
        if is_shipped(reference):
            return model_folder(name_of(reference))
        direct = Path(reference)
        if direct.name == MANIFEST:
            direct = direct.parent
        if is_file(direct / MANIFEST):
            return direct
        named = reference.removesuffix("@latest")
        if kind := next((kind for kind in KINDS if kind == named), None):
            return self._latest(kind, for_chip)
        matches = [path for path in self._folders() if path.name.startswith(reference)]
        if len(matches) == 1:
            return matches[0]
        found = f"{len(matches)} artifacts match it" if matches else f"no such artifact in {self.root}"
        known = ", ".join([path.name for path in self.folders()[:8]]) or "none yet"
        raise ArtifactError(reference, found, "a folder, kind-prefix or kind@latest", f"The store holds: {known}.")

    def _latest(self, kind: Kind, for_chip: bool) -> Path:
        """The folder of the newest artifact of ``kind``, which is said once."""
        if not (folders := self.folders(kind)):
            raise ArtifactError(f"{kind}@latest", f"no {kind} in {self.root}", "a store that holds one")
        newest = folders[0]
        chosen = _on_chip(newest, folders) if kind == "program" and for_chip else newest
        says = f"{kind}@latest is {chosen.name}"
        if chosen != newest:
            says += f", which is for a chip; the newer {newest.name} of the same graph is for the simulator"
        if says not in self._told:
            self._told.add(says)
            self.messages.say(says)
        return chosen


def _age(folder: Path) -> tuple[str, int, str]:
    """A key that sorts artifacts by their age, the oldest first."""
    if (created := stated_time(stated(folder))) is not None:
        return created, 0, folder.name
    try:
        return "", folder.stat().st_mtime_ns, folder.name
    except OSError:  # deleted just now
        return "", 0, folder.name


def _on_chip(newest: Path, folders: Sequence[Path]) -> Path:
    """The newest program for a chip, made from the graph of the ``newest`` one; that one if there is none."""
    graph = _graph_of(newest)
    for_chips = (path for path in folders if CONFIGURATION in _files_of(path))
    return next((path for path in for_chips if _graph_of(path) == graph), newest)


def _files_of(folder: Path) -> Collection[str]:
    files = stated(folder).get("files")
    return files if isinstance(files, dict) else ()


def _graph_of(program: Path) -> Any:
    inputs = stated(program).get("inputs")
    return inputs.get("graph") if isinstance(inputs, dict) else None


def _has_manifest(folder: Path) -> bool:
    """Whether ``folder`` is an artifact, or may be one because it cannot be entered."""
    try:
        return is_file(folder / MANIFEST)
    except ArtifactError:
        return True


def _moved(draft: Path, made: Artifact) -> Artifact:
    """``made``, moved from ``draft`` to its path. An artifact already there is the same one, and stays if intact."""
    draft.chmod(0o777 & ~umask())
    try:
        draft.rename(made.path)
    except OSError:
        if not made.path.exists():
            raise
        try:
            return open_artifact(made.path)
        except ArtifactError:
            aside = draft.with_name(f"{draft.name}{DAMAGED}")
            made.path.rename(aside)
            draft.rename(made.path)
            shutil.rmtree(aside, ignore_errors=True)
    return made


def open_artifact(path: Path) -> Artifact:
    """The artifact in folder ``path``, every file verified. Raises ArtifactError, naming the file.

    A folder named like an artifact holds that one, and no link leads out of it.
    """
    manifest = read_manifest(path)
    for fault in faults_of(path, manifest):
        raise fault.error
    return Artifact(path, manifest)


def _manifest(request: Request, folder: Path, apart: Mapping[str, Any] | None) -> Manifest:
    files = {
        path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    asked = {"kind": request.kind, "key": request.key, "inputs": dict(request.inputs), "recipe": dict(request.recipe)}
    return new_manifest({**asked, "files": files}, apart)


class StoreError(ArtifactError):
    """An artifact, or unfinished work, that cannot be written."""


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns a full disk or an unwritable store into a StoreError, one sentence."""
    try:
        yield
    except OSError as error:
        todo = "Choose another one, which takes artifacts of this one by their folders."
        if error.errno in FULL:
            todo = "Free some space, or choose another --store."
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreError(str(root), f"cannot be written ({reason})", "a writable --store", todo) from None
