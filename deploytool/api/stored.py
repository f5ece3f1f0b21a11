"""Results in stores: kept beyond the process, and opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from deploytool.api.graph import Graph, load
from deploytool.api.model import Model
from deploytool.api.program import Program
from deploytool.api.recording import Recording
from deploytool.api.result import Result, artifact_in
from deploytool.api.session import cache_in
from deploytool.api.verdict import Comparison, Verdict
from deploytool.api.words import speaks_python
from deploytool.base.errors import UsageError
from deploytool.base.files import write_file
from deploytool.store.file_names import NETWORK
from deploytool.store.manifest import Kind

R = TypeVar("R", bound=Result)

RESULTS: Final[Mapping[Kind, type[Result]]] = MappingProxyType(
    {"model": Model, "graph": Graph, "program": Program, "recording": Recording, "verdict": Verdict}
)
"""The kinds of artifacts that `open` opens."""

DEFAULT_STORE: Final = "artifacts"


@speaks_python
def open(name: str | Path, store: str | Path = DEFAULT_STORE) -> Result:  # noqa: A001
    """The artifact ``name`` in the folder ``store``: a Model, a Graph, a Program, a Recording, a Verdict.

    ``name`` is a folder, the beginning of a name, or "kind@latest", as for `deploytool show`.
    Raises ArtifactError if there is none, or it is damaged.
    """
    cache = cache_in(store)
    artifact = cache.store.get(str(name), *RESULTS)
    if artifact.kind == "verdict" and "compare" in artifact.manifest.recipe:
        return Comparison(artifact, cache)
    return RESULTS[artifact.kind](artifact, cache)


@speaks_python
def save(result: R, where: str | Path = DEFAULT_STORE) -> R:
    """``result`` in the store ``where``, a folder, with everything that it was made from; a network also as .nir file.

    Raises UsageError for anything but a result, ArtifactError where it cannot be written.
    """
    if not isinstance(result, Result):
        raise UsageError("save", f"a {type(result).__name__}", f"a {', a '.join(k.__name__ for k in RESULTS.values())}")
    if Path(where).suffix == ".nir":
        if not isinstance(result, Graph | Model):
            raise UsageError(f"save {where}", f"a {type(result).__name__}", "a Graph or a Model for a .nir file")
        write_file(Path(where), (load(result).artifact.path / NETWORK).read_bytes())
        return result
    cache = cache_in(where)
    return replace(result, artifact=artifact_in(result, cache), cache=cache)
