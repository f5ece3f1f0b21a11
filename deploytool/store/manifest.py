"""The manifest of an artifact: what it states, how it is verified, and how older ones are read.

``digest`` covers everything that makes an artifact what it is. ``created`` is not part of that, so that equal content
has an equal name whenever it is made; ``created_check`` covers it, so that every byte of a manifest is verified.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator

from deploytool.base.digest import digest
from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import canonical_json, parse_json, read_bytes
from deploytool.base.typed import typed
from deploytool.store.requests import schema_of

Kind: TypeAlias = Literal["model", "graph", "program", "samples", "recording", "verdict", "sweep", "selftest", "report"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

SCHEMA_VERSION: Final = 4
"""2 added the time of creation, 3 the machine of a model, 4 the network of a program.

Only manifests that state a machine have version 3, and only those that state a network have version 4.
"""
IDENTITY_VERSION: Final = 1
"""The version of what digests and keys cover. While it stays, so do the names of artifacts."""

FILE: Final = "manifest.json"
NEED: Final = "the manifest of an artifact"
MADE_BY: Final = f"deploytool {version('deploytool')}"
UNCHANGED: Final = "what deploytool wrote"
REMAKE: Final = "Delete the artifact's folder and run the command again to recreate it."
_APART: Final = MappingProxyType({2: frozenset[str](), 3: frozenset({"machine"}), 4: frozenset({"network"})})
"""What manifests of each schema version state besides their creation, and apart from what their digest covers."""
_ALL_APART: Final = frozenset[str]().union(*_APART.values())
_DIGEST: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Manifest(BaseModel):
    """The description of an artifact. ``inputs`` {role: digest}, ``files`` {name: sha256}, ``recipe`` what decided.

    ``created`` is the time in UTC, with microseconds; manifests of version 1 do not state it. ``machine`` is where a
    model was trained: processor, instructions, threads, versions. ``network`` is the digest of what a program was made
    from: the model, or the graph if it was not trained here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    kind: Kind
    digest: str
    key: str
    inputs: dict[str, str]
    files: dict[str, str]
    recipe: dict[str, Any]
    made_by: str
    created: str | None = None
    machine: dict[str, str | int] | None = None
    network: str | None = None
    created_check: str | None = None

    @field_validator("inputs")
    @classmethod
    def _digests(cls, inputs: dict[str, str]) -> dict[str, str]:
        for role, named in inputs.items():
            if not _DIGEST.fullmatch(named):
                raise ValueError(f"{role!r}: {named!r}, which is no digest")
        return inputs

    @field_validator("network")
    @classmethod
    def _is_digest(cls, network: str | None) -> str | None:
        if network is not None and not _DIGEST.fullmatch(network):
            raise ValueError(f"{network!r}, which is no digest")
        return network

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            inside = PurePosixPath(name)
            if name != inside.as_posix() or "\0" in name or inside.is_absolute() or {".", ".."} & {name, *inside.parts}:
                raise ValueError(f"a file {name!r}, which is not inside the artifact")
        return files

    @property
    def name(self) -> str:
        """The name of the artifact and of its folder."""
        return f"{self.kind}-{self.digest[:12]}"

    @property
    def text(self) -> str:
        """The content of its file."""
        return canonical_json(self.model_dump(exclude_none=True))


def new_manifest(values: Mapping[str, Any], apart: Mapping[str, Any] | None = None) -> Manifest:
    """The manifest, created now, that states ``values``: kind, key, inputs, files and recipe.

    ``apart`` are the machine of a model, or the network of a program, on which the digest does not depend.
    """
    apart = apart or {}
    (number,) = (number for number, names in _APART.items() if names == apart.keys())
    stated = {**values, "schema_version": number, "made_by": MADE_BY}
    found: dict[str, Any] = {**stated, "digest": _digest_of(stated), "created": _now(), **apart}
    return Manifest(**found, created_check=_created_check(found))


def read_manifest(folder: Path) -> Manifest:
    """The verified manifest in ``folder``. Raises ArtifactError for a damaged one, or one of a newer version."""
    path = folder / FILE
    content = read_bytes(path, NEED)
    values = parse_json(content, str(path), NEED)
    found = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise ArtifactError(
            str(path),
            f"schema version {found}, written by {values.get('made_by')}",
            f"version {SCHEMA_VERSION} or older",
            "Update deploytool.",
        )
    if content != canonical_json(values).encode("utf-8") or not _is_intact(values):
        raise ArtifactError(str(path), "its content does not match its digest", UNCHANGED, REMAKE)
    manifest = typed(values, str(path), _adapter(), NEED)
    typed(values["recipe"], f"{path}: recipe", schema_of(manifest.kind), NEED)
    return manifest


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def stated(folder: Path) -> dict[str, Any]:
    """What the manifest in ``folder`` states, not verified; nothing if it cannot be read."""
    try:
        values = parse_json(read_bytes(folder / FILE), str(folder / FILE))
    except ArtifactError:
        return {}
    return values if isinstance(values, dict) else {}


def stated_time(values: Mapping[str, Any]) -> str | None:
    """The time of creation that the manifest ``values`` state, not verified; None if they state none."""
    created = values.get("created")
    return created if isinstance(created, str) and _TIME.fullmatch(created) else None


def is_future(values: Mapping[str, Any]) -> bool:
    """Whether the time of creation that the manifest ``values`` state is still to come: the clock was set back."""
    created = stated_time(values)
    return created is not None and created > _now()


def _is_intact(values: Any) -> bool:
    """Whether ``values`` are those of a manifest as it was written."""
    if not isinstance(values, dict) or "digest" not in values or _digest_of(values) != values["digest"]:
        return False
    match values.get("schema_version"):
        case bool():
            return False
        case 1:
            return not values.keys() & {"created", "created_check", *_ALL_APART}
        case int(number) if number in _APART:
            if stated_time(values) is None or _ALL_APART & values.keys() != _APART[number]:
                return False
            return values.get("created_check") == _created_check(values)
        case _:
            return False


def _digest_of(values: Mapping[str, Any]) -> str:
    """The digest of what makes the artifact of the manifest ``values`` what it is."""
    apart = {"digest", "created", "created_check", *_ALL_APART}
    covered = {name: value for name, value in values.items() if name not in apart}
    return digest(canonical_json({**covered, "schema_version": IDENTITY_VERSION}))


def _created_check(values: Mapping[str, Any]) -> str:
    """The checksum of what the digest of the manifest ``values`` does not cover."""
    covered = [values["schema_version"], values["digest"], values["created"]]
    apart = [canonical_json(values[name]) for name in sorted(_APART[values["schema_version"]])]
    return digest([*covered, *apart])[:16]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
