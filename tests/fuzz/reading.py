"""What commands do with a file, in this process: its graph into a store, and its programs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploytool.base.errors import FitError, UnsupportedError
from deploytool.base.messages import Messages
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.networks import ImportOptions

SILENT: Final = Messages(quiet=True)


def cache_of(folder: Path) -> StageCache:
    """The store ``folder``/store, which says nothing."""
    return StageCache(Store(folder / "store", SILENT), SILENT)


def convert_and_map(source: Path, options: ImportOptions) -> list[Artifact]:
    """The graph of ``source`` in a store beside it, and its programs for the simulator and the Speck2e.

    Every artifact is opened again from the disk. A graph that has no program is well, but nothing that cannot be read
    may be in the store.
    """
    cache = cache_of(source.parent)
    graph = cache.store.get(convert(cache, str(source), options).name)
    made = [graph]
    for target in ("simulator", "speck2e"):
        try:
            made.append(cache.store.get(map_graph(cache, graph, target).name))
        except (FitError, UnsupportedError):
            continue
    return made
