"""The lineage of an artifact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from deploytool.store.artifact import Artifact, Store

_OF_ARTIFACTS: Final = re.compile(r"(model|graph|program|recording|verdict|sweep)\d*|against|reference|test|\d+\.\d+")
"""The roles of inputs that are artifacts; all others are digests of data, of files, or of networks in memory."""


def names_artifact(role: str) -> bool:
    """Whether the input with this ``role`` is an artifact."""
    return _OF_ARTIFACTS.fullmatch(role) is not None


def ancestors(store: Store, artifact: Artifact) -> tuple[Artifact, ...]:
    """Every artifact in ``store`` that ``artifact`` was made from, nearest first, without duplicates."""
    found: dict[str, Artifact] = {}
    waiting = [artifact]
    while waiting:
        for digest in waiting.pop(0).manifest.inputs.values():
            if digest not in found and (source := store.by_digest(digest)):
                found[digest] = source
                waiting.append(source)
    return tuple(found.values())


def machine_of(store: Store, artifact: Artifact) -> Mapping[str, str | int] | None:
    """The machine that the model behind ``artifact`` was trained on; None if there is none, or it is not known."""
    found = (each.manifest.machine for each in (artifact, *ancestors(store, artifact)))
    return next((machine for machine in found if machine), None)


def sweeps_of(store: Store, artifact: Artifact) -> tuple[Artifact, ...]:
    """The sweeps in ``store`` that have a model, graph or program in common with ``artifact``, newest first."""
    networks = ("model", "graph", "program")
    wanted = {each.digest for each in (artifact, *ancestors(store, artifact)) if each.kind in networks}
    found = [store.get(str(path)) for path in store.folders("sweep")]
    return tuple(each for each in found if wanted & {source.digest for source in ancestors(store, each)})


def copied(artifact: Artifact, source: Store, target: Store) -> Artifact:
    """``artifact`` of the store ``source`` in the store ``target``, with every artifact that it was made from."""
    for ancestor in ancestors(source, artifact):
        target.adopt(ancestor)
    return target.adopt(artifact)


def lineage(store: Store, artifact: Artifact) -> tuple[str, ...]:
    """The direct inputs of ``artifact``: names in the store, or role and digest of inputs that are not in it."""
    names = []
    for role, digest in artifact.manifest.inputs.items():
        source = store.folder_of(digest)
        names.append(source.name if source else f"{role} {digest[:12]}")
    return tuple(names)
