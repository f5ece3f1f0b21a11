"""What commands do with a file, in this process: its graph into a store, and its programs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from deploytool.base.errors import DeployError, FitError, UnsupportedError
from deploytool.base.messages import Messages
from deploytool.convert.nir import read_nir
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import NETWORK
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.sources.networks import ImportOptions

SILENT: Final = Messages(quiet=True)


def cache_of(folder: Path) -> StageCache:
    """The store ``folder``/store, which says nothing."""
    return StageCache(Store(folder / "store", SILENT), SILENT)


def convert_and_map(source: Path, options: ImportOptions) -> list[Artifact]:
    """The graph of ``source`` in a store beside it, and its programs for the simulator and the Speck2e.

    Every artifact is opened again from the disk. A graph that has no program is well, but nothing that cannot be read,
    or is read as another graph, may be in the store: that raises AssertionError.
    """
    cache = cache_of(source.parent)
    graph = cache.store.get(convert(cache, str(source), options).name)
    made = [graph]
    try:
        if (found := read_nir(graph.path / NETWORK).digest) != graph.manifest.inputs["source"]:
            raise AssertionError(f"the stored graph is read as {found}")
        for target in ("simulator", "speck2e"):
            with contextlib.suppress(FitError, UnsupportedError):
                made.append(cache.store.get(map_graph(cache, graph, target).name))
    except DeployError as error:
        raise AssertionError(f"a graph in the store that cannot be used: {error}") from error
    return made
