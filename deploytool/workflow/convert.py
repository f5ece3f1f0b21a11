"""The verb convert: a trained model, a file or a module to a graph in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploytool.base.files import write_file
from deploytool.base.tensors import read_tensors
from deploytool.ir.graph import Graph
from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.store.file_names import NETWORK, WEIGHTS
from deploytool.train.methods.table import method_of
from deploytool.workflow.networks import NO_OPTIONS, ImportOptions, is_artifact, read_network, refuse_options


def convert(
    cache: StageCache, source: str, options: ImportOptions = NO_OPTIONS, output: Path | None = None
) -> Artifact:
    """The graph in ``source`` (a model, a file, or ``package.module:function``), also written to ``output``."""
    if is_artifact(source):
        refuse_options("a trained model", options)
        graph = convert_model(cache, cache.store.get(source, "model"))
    else:
        network = read_network(source, options)
        graph = _stored_graph(cache, network, {"source": network.digest}, {})
    if output is not None:
        write_file(output, (graph.path / NETWORK).read_bytes())
    return graph


def lint(source: Path) -> dict[str, Any]:
    """What other frameworks would make of a .nir file, node by node."""
    from deploytool.convert.nir.lint import lint as lint_file

    return lint_file(source).as_json()


def convert_model(cache: StageCache, model: Artifact) -> Artifact:
    """The graph of a trained model, with the weights its chip will compute with."""
    from deploytool.convert.model import to_graph

    spec = TrainSection.model_validate(model.manifest.recipe["train"])
    method = method_of(spec)
    method.require_deployable(spec)
    network = method.trained_network(NetworkSection.model_validate(model.manifest.recipe["network"]), spec)
    constraints = ConstraintsSection.model_validate(model.manifest.recipe["constraints"])
    graph = to_graph(read_tensors(model.path / WEIGHTS), network, constraints)
    decided = {} if graph.weight_bits is None else {"weight_bits": graph.weight_bits}
    return _stored_graph(cache, graph, {"model": model.digest}, decided)


def _stored_graph(cache: StageCache, graph: Graph, inputs: Mapping[str, str], decided: Mapping[str, Any]) -> Artifact:
    def write(graph: Graph, folder: Path) -> None:
        from deploytool.convert.nir import write_nir

        write_nir(graph, folder / NETWORK)

    return cache.stored(Request("graph", inputs, decided), lambda: graph, write)
