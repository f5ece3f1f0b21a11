"""A network, from wherever a script has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploytool.api.model import Model
from deploytool.api.result import Result, artifact_in, counted, frame
from deploytool.api.session import cache_in
from deploytool.api.words import speaks_python
from deploytool.base.arrays import format_shape
from deploytool.base.errors import UsageError
from deploytool.ir.graph import Graph as Network
from deploytool.ir.nodes import Conv, Input, Linear, Output
from deploytool.store.cache import StageCache
from deploytool.store.file_names import NETWORK
from deploytool.workflow.convert import convert, convert_model, store_network
from deploytool.workflow.sources.networks import (
    ImportOptions,
    artifact_graph,
    originals_of,
    refuse_options,
    trained_for,
)
from deploytool.workflow.sources.script_networks import network_of

if TYPE_CHECKING:
    import nir
    import pandas

    from deploytool.base.arrays import Shape
    from deploytool.ir.neurons import Reset


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Result):
    """A network; ``value`` is the `deploytool.ir.graph.Graph` that every stage takes."""

    @cached_property
    def value(self) -> Network:
        """The network: nodes, edges, shapes."""
        return artifact_graph(self.artifact)

    @property
    def originals(self) -> Mapping[str, str]:
        """{layer: its name in the module or file} of those that got a readable name."""
        return originals_of(self.artifact)

    @property
    def chip(self) -> str | None:
        """The chip that it was trained for; None if that is not known."""
        return trained_for(self.cache.store, self.artifact)

    @property
    def input_shape(self) -> Shape:
        """The map (C, H, W) of its input."""
        return self.value.shapes[self.value.of_type(Input)[0]]

    @property
    def weights(self) -> int:
        """The number of weights, biases not counted."""
        return sum(map(self._weights_of, self.value.nodes))

    def rows(self) -> list[dict[str, Any]]:
        """One row per node: its name, the kind of node, the shape (C, H, W) that it gives, its number of weights."""
        rows: list[dict[str, Any]] = self.describe()["nodes"]
        return [{**row, "weights": self._weights_of(row["node"])} for row in rows]

    def to_nir(self) -> nir.NIRGraph:
        """The network as a graph of the nir package, which must be installed. Raises UsageError if it is not."""
        try:
            import nir
        except ImportError:
            raise UsageError("to_nir", "nir is not installed", "nir", "pip install nir") from None
        return nir.read(self.path / NETWORK)

    def _weights_of(self, name: str) -> int:
        node = self.value.nodes[name]
        return node.weight.size if isinstance(node, Conv | Linear) else 0

    def to_dataframe(self) -> pandas.DataFrame:
        """`rows` as a table of pandas."""
        return frame(self.rows())

    def _repr_html_(self) -> str:
        from deploytool.report.views.tables import network_view

        return network_view(repr(self), self.rows())

    def _facts(self) -> Iterable[str]:
        shapes = self.value.shapes
        ends = [[format_shape(shapes[name]) for name in self.value.of_type(kind)] for kind in (Input, Output)]
        yield " -> ".join(" + ".join(shapes) for shapes in ends)
        yield counted(self.weights, "weight")


@speaks_python
def load(
    source: object,
    reset: Reset | None = None,
    floor: float | None = None,
    *,
    dt_ms: float | None = None,
    delay_us: int | None = None,
    shape: Shape | None = None,
    network: str | Path | None = None,
    store: str | Path | None = None,
) -> Graph:
    """The network ``source``.

    ``source`` is a path (.nir, .onnx, a state dict), ``package.module:function``, the name of a trained model or a
    graph in ``store``, a `torch.nn.Module` (sinabs's too), a `nir.NIRGraph`, a state dict, a Model, or a
    `deploytool.ir.graph.Graph`. What it leaves out is stated: how neurons ``reset`` ("subtract" or "zero") and the
    ``floor`` of V, in the unit of the threshold; for NIR also the time step ``dt_ms`` and the delay ``delay_us`` of
    feedback; for a module the ``shape`` (C, H, W) of its input; for a state dict the recipe ``network`` whose layers
    it has. The result is kept in the folder ``store``, as `deploytool convert` does, or for this process only.

    Raises UsageError if something is still missing or has no effect, ArtifactError for a path or name that does not
    exist, InputError for damaged or ill-formed networks, UnsupportedError naming every layer that is not supported.
    """
    text = None if shape is None else ",".join(map(str, shape))
    options = ImportOptions(reset, floor, dt_ms, delay_us, text, None if network is None else Path(network))
    if isinstance(source, Graph | Model):
        refuse_options("an artifact", options)
        cache = source.cache if store is None else cache_in(store)
        return _kept(source, cache)
    cache = cache_in(store)
    if isinstance(source, str | Path):
        return Graph(convert(cache, str(source), options), cache)
    return Graph(store_network(cache, network_of(cache.store, source, options)), cache)


def _kept(source: Graph | Model, cache: StageCache) -> Graph:
    """``source`` as a network in the store of ``cache``."""
    artifact = artifact_in(source, cache)
    return Graph(artifact if isinstance(source, Graph) else convert_model(cache, artifact), cache)


def network_in(source: object, where: str) -> Graph:
    """``source`` as a network, for the function ``where``: a Graph, or what `load` takes without further statements."""
    if isinstance(source, Result) and not isinstance(source, Graph | Model):
        raise UsageError(where, f"a {type(source).__name__}", "a network: a Graph, a Model, or what load takes")
    return load(source)
