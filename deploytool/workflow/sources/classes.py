"""The names of the classes that a network tells apart: from the data of its training to every artifact after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from deploytool.base.json_text import canonical_json
from deploytool.data.recordings.classes import Classes
from deploytool.ir.program import Program
from deploytool.store.artifact import Artifact, Store
from deploytool.store.file_names import CLASSES
from deploytool.store.lineage import ancestors


def class_names(store: Store, artifact: Artifact) -> tuple[str, ...]:
    """The names of the classes of ``artifact``, or of the network it comes from; none if they are not known."""
    for each in (artifact, *ancestors(store, artifact)):
        if names := each.read_json(CLASSES):
            return tuple(names)
    return ()


def classes_of(store: Store, artifact: Artifact, program: Program) -> Classes:
    """The classes that ``program``, of ``artifact``, tells apart."""
    outputs = sum(math.prod(program.map_of(name)) for name in program.outputs)
    return Classes(outputs, class_names(store, artifact))


def trained_on(store: Store, artifact: Artifact, folder: Path) -> bool:
    """Whether the network of ``artifact`` was trained on recordings in ``folder``, as far as its lineage says it."""
    for each in (artifact, *ancestors(store, artifact)):
        root = (each.manifest.recipe.get("data") or {}).get("root") if each.kind == "model" else None
        if root is not None and Path(root).expanduser().absolute() == folder.absolute():
            return True
    return False


def write_names(names: Sequence[str], folder: Path) -> None:
    """Writes the ``names`` of classes, if there are any, into the ``folder`` of an artifact."""
    if names:
        (folder / CLASSES).write_text(canonical_json(list(names)), encoding="utf-8")
