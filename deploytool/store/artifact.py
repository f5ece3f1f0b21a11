"""The store: every value that passes between stages, named by the digest of its content.

    <store>/<kind>-<first 12 of digest>/manifest.json     its kind, the request, its inputs
    <store>/<kind>-<first 12 of digest>/...               its files

``digest`` covers the whole manifest, including the hashes of the files and the digests of the inputs, so it also
certifies the lineage. ``key`` covers the request. The same key returns the stored artifact, so caching, resume and
provenance are one mechanism. An artifact is written to a temporary folder and moved into place, so that none is ever
half-written. Every file is verified when it is opened. No pickle is read or written anywhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from deploytool.base.digest import digest
from deploytool.base.errors import ArtifactError
from deploytool.base.files import is_file, listed
from deploytool.base.json_text import canonical_json, read_json

Kind: TypeAlias = Literal["model", "graph", "program", "recording", "verdict", "report"]
_UNCHANGED: Final = "what deploytool wrote"
_REMAKE: Final = "Delete the artifact's folder and run the command again to recreate it."
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MADE_BY: Final = f"deploytool {version('deploytool')}"


class Manifest(BaseModel):
    """The description of an artifact. ``inputs`` {role: digest}, ``files`` {name: sha256}, ``recipe`` what decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    kind: Kind
    digest: str
    key: str
    inputs: dict[str, str]
    files: dict[str, str]
    recipe: dict[str, Any]
    made_by: str


@dataclass(frozen=True)
class Request:
    """A request: an artifact of ``kind`` made from ``inputs`` {role: digest}, as ``recipe`` decides."""

    kind: Kind
    inputs: Mapping[str, str]
    recipe: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The digest of the request and of the version of deploytool."""
        asked = [self.kind, SCHEMA_VERSION, MADE_BY, sorted(self.inputs.items()), canonical_json(self.recipe)]
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
        """The value in the JSON file ``name`` of the artifact; None if it has no such file."""
        return read_json(self.path / name) if name in self.manifest.files else None


class Store:
    """The artifacts in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, request: Request) -> Artifact | None:
        """The artifact made for ``request``, or None. A damaged one raises ArtifactError."""
        key = request.key
        for path in self.folders(request.kind):
            if _key_of(path) == key:
                return open_artifact(path)
        return None

    def put(self, request: Request, write: Callable[[Path], None]) -> Artifact:
        """The artifact for ``request`` of the files that ``write(folder)`` writes, stored atomically.

        Raises ArtifactError when the store cannot be written.
        """
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{request.kind}-", dir=self.root))
            try:
                write(draft)
                manifest = _manifest(request, draft)
                (draft / MANIFEST).write_text(canonical_json(manifest.model_dump()), encoding="utf-8")
                path = self.root / f"{request.kind}-{manifest.digest[:12]}"
                draft.chmod(0o755)
                _move_into_place(draft, path)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return Artifact(path, manifest)

    def get(self, reference: str, *kinds: Kind) -> Artifact:
        """The artifact that ``reference`` names: a folder, ``kind-prefix`` or ``kind@latest``.

        Raises ArtifactError when there is none, more than one, one of the wrong kind (not in ``kinds``), or a
        damaged one.
        """
        artifact = open_artifact(self._locate(reference))
        if kinds and artifact.kind not in kinds:
            raise ArtifactError(reference, f"a {artifact.kind}", f"a {' or '.join(kinds)}")
        return artifact

    def by_digest(self, wanted: str) -> Artifact | None:
        """The artifact with the full digest ``wanted``, or None."""
        for kind in KINDS:
            if (path := self.root / f"{kind}-{wanted[:12]}").is_dir():
                return open_artifact(path)
        return None

    def folders(self, *kinds: Kind) -> list[Path]:
        """The folders of artifacts of ``kinds`` (all kinds if none is given), newest first.

        A folder without access permission counts. Raises ArtifactError for a store that cannot be read.
        """
        wanted = kinds or KINDS
        found = [path for path in listed(self.root) if path.name.partition("-")[0] in wanted and _has_manifest(path)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _locate(self, reference: str) -> Path:
        direct = Path(reference)
        if direct.name == MANIFEST:
            direct = direct.parent
        if is_file(direct / MANIFEST):
            return direct
        kind, at, when = reference.partition("@")
        if at and kind in KINDS and when == "latest":
            if not (folders := self.folders(kind)):
                raise ArtifactError(reference, f"no {kind} in {self.root}", "a store that holds one")
            return folders[0]
        matches = [path for path in self.folders() if path.name.startswith(reference)]
        if len(matches) == 1:
            return matches[0]
        found = f"{len(matches)} artifacts match it" if matches else f"no such artifact in {self.root}"
        known = ", ".join([path.name for path in self.folders()[:8]]) or "none yet"
        raise ArtifactError(reference, found, "a folder, kind-prefix or kind@latest", f"The store holds: {known}.")


def _has_manifest(folder: Path) -> bool:
    """Whether ``folder`` is an artifact, or may be one because it cannot be entered."""
    try:
        return is_file(folder / MANIFEST)
    except ArtifactError:
        return True


def _move_into_place(draft: Path, path: Path) -> None:
    """Moves ``draft`` to ``path``. A folder already there is identical, and stays unless it is damaged."""
    try:
        draft.rename(path)
    except OSError:
        try:
            open_artifact(path)
        except ArtifactError:
            aside = draft.with_name(f"{draft.name}-damaged")
            path.rename(aside)
            draft.rename(path)
            shutil.rmtree(aside, ignore_errors=True)


def open_artifact(path: Path) -> Artifact:
    """The artifact in folder ``path``, every file verified. Raises ArtifactError, naming the file."""
    manifest_path = path / MANIFEST
    try:
        text = manifest_path.read_bytes().decode("utf-8")
        values = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(str(manifest_path), f"not readable ({error})", "the manifest of an artifact") from None
    found = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise ArtifactError(
            str(manifest_path),
            f"schema version {found}, written by {values.get('made_by')}",
            f"version {SCHEMA_VERSION} or older",
            "Update deploytool.",
        )
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError:
        manifest = None
    if manifest is None or text != canonical_json(values) or _digest_of(values) != manifest.digest:
        raise ArtifactError(str(manifest_path), "its content does not match its digest", _UNCHANGED, _REMAKE)
    for name, expected in manifest.files.items():
        if not is_file(path / name):
            raise ArtifactError(str(path / name), "missing", "the file the manifest lists", _REMAKE)
        if _sha256(path / name) != expected:
            raise ArtifactError(str(path / name), "its content does not match its SHA-256", _UNCHANGED, _REMAKE)
    return Artifact(path, manifest)


def _manifest(request: Request, folder: Path) -> Manifest:
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    values = {
        "schema_version": SCHEMA_VERSION,
        "kind": request.kind,
        "key": request.key,
        "inputs": dict(request.inputs),
        "files": files,
        "recipe": dict(request.recipe),
        "made_by": MADE_BY,
    }
    return Manifest.model_validate({**values, "digest": _digest_of(values)})


def _digest_of(values: Mapping[str, Any]) -> str:
    return digest(canonical_json({name: value for name, value in values.items() if name != "digest"}))


def _key_of(path: Path) -> str | None:
    try:
        return str(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns a full disk or an unwritable store into a one-sentence error."""
    try:
        yield
    except OSError as error:
        todo = "Free some space, or choose another --store." if error.errno == errno.ENOSPC else "Choose another one."
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = str(error.filename or root)
        raise ArtifactError(where, f"cannot be written ({reason})", "a writable --store", todo) from None
