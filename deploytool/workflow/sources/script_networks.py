"""Networks that a script holds: modules of torch and sinabs, NIR graphs, state dicts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from deploytool.base.errors import InputError
from deploytool.base.files import temporary_folder
from deploytool.ir.graph import Graph
from deploytool.store.artifact import Store
from deploytool.workflow.sources.networks import (
    ImportOptions,
    NamedNetwork,
    named_network,
    refuse_options,
    renamed,
    stated_shape,
    with_state,
)

NEED: Final = "a path, an artifact's name, a torch.nn.Module, a nir.NIRGraph, a state dict, or a Graph"


def network_of(store: Store, source: object, options: ImportOptions) -> NamedNetwork:
    """The network, with its weights, that ``source`` is. Raises as `named_network`, InputError for any other object."""
    if isinstance(source, Graph):
        refuse_options("an artifact", options)
        return NamedNetwork(source)
    if _is_a(source, "nir", "NIRGraph"):
        return _nir(store, source, options)
    if _is_a(source, "torch.nn", "Module"):
        refuse_options("a module", options)
        from deploytool.convert.torch.modules import from_module

        return renamed(from_module(source, stated_shape(type(source).__name__, options)))  # type: ignore[arg-type]
    if isinstance(source, Mapping):
        refuse_options("a state_dict", options)
        from deploytool.convert.torch.state_dict import arrays_of

        return with_state(arrays_of(source, "state_dict"), "state_dict", options.network)
    raise InputError("source", f"a {type(source).__name__}", NEED)


def _is_a(source: object, module: str, name: str) -> bool:
    """Whether ``source`` is an instance of a class of a package, which need not be installed."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(source, kind)


def _nir(store: Store, source: object, options: ImportOptions) -> NamedNetwork:
    """A graph of the nir package, by way of a file, which is what the package promises to keep readable."""
    with temporary_folder() as folder:
        file = folder / "NIRGraph"
        try:
            sys.modules["nir"].write(file, source)
        except Exception as error:  # the package lets many kinds of errors out of a graph that it cannot write
            raise InputError("NIRGraph", f"nir cannot write it ({error})", "a graph that nir.write takes") from error
        return named_network(store, str(file), options)
