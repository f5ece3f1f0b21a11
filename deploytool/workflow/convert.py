"""The verb convert: from a trained model, a file or a module to a graph in the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deploytool.base.files import require_writable, write_file
from deploytool.ir.graph import Graph
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import NETWORK
from deploytool.workflow.sources.classes import class_names, write_names
from deploytool.workflow.sources.networks import (
    NO_OPTIONS,
    ORIGINALS,
    ImportOptions,
    NamedNetwork,
    artifact_graph,
    named_network,
)
from deploytool.zoo.models import is_shipped


def convert(
    cache: StageCache, source: str, options: ImportOptions = NO_OPTIONS, output: Path | None = None
) -> Artifact:
    """The graph that ``source`` names, in the store, and also written to ``output``; see `named_network`."""
    if output is not None:
        require_writable(output)
    network = named_network(cache.store, source, options)
    if is_shipped(source) and network.artifact is not None:
        cache.adopted(network.artifact, source)
    graph = store_network(cache, network)
    if output is not None:
        write_file(output, (graph.path / NETWORK).read_bytes())
    return graph


def lint(source: Path) -> dict[str, Any]:
    """How other frameworks would read a .nir file, node by node."""
    from deploytool.convert.nir.lint import lint as lint_file

    return lint_file(source).as_json()


def convert_model(cache: StageCache, model: Artifact) -> Artifact:
    """The graph of a trained model, with the weights its chip will compute with."""
    return store_network(cache, NamedNetwork(artifact_graph(model), model))


def store_network(cache: StageCache, network: NamedNetwork) -> Artifact:
    """The graph of ``network`` in the store, reused if it is already stored."""
    graph, source = network.graph, network.artifact
    if source is not None and source.kind == "graph":
        return source
    if source is not None:
        decided = {} if graph.weight_bits is None else {"weight_bits": graph.weight_bits}
        request = Request("graph", {"model": source.digest}, decided)
    else:
        for layer, entry in network.entries.items():
            cache.messages.say(f"{layer:<10} has the weights of {entry}")
        if network.originals:
            pairs = (f"{original} is {layer}" for layer, original in network.originals.items())
            cache.messages.say(f"renamed    {', '.join(pairs)}")
        named = {"entries": dict(network.entries), ORIGINALS: dict(network.originals)}
        request = Request("graph", {"source": graph.digest}, {key: names for key, names in named.items() if names})
    names = () if source is None else class_names(cache.store, source)
    return cache.stored(request, lambda: graph, partial(_write, names))


def _write(names: Sequence[str], graph: Graph, folder: Path) -> None:
    from deploytool.convert.nir import write_nir

    write_nir(graph, folder / NETWORK)
    write_names(names, folder)
