"""The lineage of artifacts, and its way into another store."""

from __future__ import annotations

from pathlib import Path

from deploytool.store.artifact import Artifact, Request, Store, open_artifact
from deploytool.store.lineage import ancestors, copied, lineage
from deploytool.store.manifest import Kind


def put(store: Store, kind: Kind, text: str, **inputs: str) -> Artifact:
    return store.put(Request(kind, inputs, {}), lambda folder: (folder / "a.txt").write_text(text) and None)


def test_an_artifact_is_copied_with_all_that_it_was_made_from(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    model = put(store, "model", "m", data="0" * 64)
    graph = put(store, "graph", "g", model=model.digest)
    program = put(store, "program", "p", graph=graph.digest)
    put(store, "program", "another", graph=graph.digest)
    found = copied(program, store, other)
    assert found == open_artifact(other.root / program.name)
    assert ancestors(other, found) == tuple(open_artifact(other.root / each.name) for each in (graph, model))
    assert lineage(other, found) == (graph.name,)
    assert len(other.folders()) == 3
    assert copied(program, store, other) == found
