"""Networks that a person names: models, files, state dicts and modules, and what files leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.errors import ArtifactError, UsageError
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Delay, Reset, Spike
from deploytool.recipe import Recipe, load_recipe
from deploytool.store.artifact import KINDS, Store
from deploytool.store.file_names import NETWORK
from deploytool.train.methods.table import method_of


@dataclass(frozen=True)
class ImportOptions:
    """What a person says that a file leaves out: ``shape`` C,H,W of a module's input, ``recipe`` of a state_dict."""

    reset: str | None = None
    floor: float | None = None
    dt_ms: float | None = None
    shape: str | None = None
    recipe: Path | None = None
    delay_us: int | None = None


NO_OPTIONS: Final = ImportOptions()


OPTIONS: Final = {
    "reset": "--reset",
    "floor": "--floor",
    "dt_ms": "--dt-ms",
    "shape": "--shape",
    "recipe": "--network",
    "delay_us": "--delay-us",
}


TAKES: Final[Mapping[str, tuple[str, ...]]] = {
    "a trained model": (),
    "a .nir file": ("reset", "floor", "dt_ms", "delay_us"),
    "a .onnx file": ("reset", "floor"),
    "a state_dict": ("recipe",),
    "a module": ("shape",),
}
"""The options that each kind of source takes; it says the rest itself."""


def refuse_options(kind: str, options: ImportOptions) -> None:
    """Raises UsageError for the options that a source of this ``kind`` says itself."""
    given = [
        option for name, option in OPTIONS.items() if getattr(options, name) is not None and name not in TAKES[kind]
    ]
    if given:
        takes = ", ".join(OPTIONS[name] for name in TAKES[kind]) or "none of these options"
        raise UsageError(", ".join(given), f"given with {kind}, which says it itself", f"{takes} with {kind}")


def read_network(source: str, options: ImportOptions) -> Graph:
    """The graph in a .nir, .onnx or .pt file, or from a function of the user's, ``package.module:function``.

    Raises UsageError when something is still missing, or contradicts the file.
    """
    if options.reset not in (None, "subtract", "zero"):
        raise UsageError("--reset", f"found {options.reset!r}", "subtract or zero")
    rule = cast("Reset | None", options.reset)
    path = Path(source)
    if not path.is_file() and ":" in source:
        return _module(source, options)
    if not path.is_file():
        need = "a model, a .nir, .onnx or .pt file, or package.module:function"
        raise ArtifactError(source, "no such file or artifact", need)
    if path.suffix == ".onnx":
        from deploytool.convert.onnx import read_onnx

        refuse_options("a .onnx file", options)
        return read_onnx(path, reset=rule or "subtract", floor=options.floor)
    if path.suffix in (".pt", ".pth"):
        return _state_dict(path, options)
    return _nir(path, rule, options)


def _nir(path: Path, rule: Reset | None, options: ImportOptions) -> Graph:
    from deploytool.convert.nir import read_nir

    refuse_options("a .nir file", options)
    graph = read_nir(path, rule, options.floor, options.dt_ms, options.delay_us)
    for name in graph.of_type(Spike):
        stated = cast("Spike", graph.nodes[name]).reset
        if rule not in (None, stated):
            raise UsageError(f"{path}: node {name!r}", f"states reset {stated}", f"--reset {stated}, or leave it out")
    plain = partial(read_nir, path, rule, dt_ms=options.dt_ms, delay_us=options.delay_us)
    if idle := [option for option, differs in _differences(graph, options, plain) if differs]:
        found = f"{idle[0]} changes nothing: the file says otherwise, or has nothing that it is about"
        raise UsageError(str(path), found, f"no {idle[0]}")
    return graph


def _differences(graph: Graph, options: ImportOptions, plain: Callable[[], Graph]) -> Iterator[tuple[str, bool]]:
    """(option, whether ``graph`` is not what it asked for); ``plain`` reads the graph without a floor."""
    if options.dt_ms is not None:
        yield "--dt-ms", graph.dt_ms != options.dt_ms
    if options.delay_us is not None:
        delays = [cast("Delay", graph.nodes[name]).delay_us for name in graph.of_type(Delay)]
        yield "--delay-us", not any(np.array_equal(delay, options.delay_us) for delay in delays)
    if options.floor is not None:
        floors = {cast("Spike", graph.nodes[name]).floor for name in graph.of_type(Spike)}
        yield "--floor", options.floor not in floors and plain().digest == graph.digest


def _module(source: str, options: ImportOptions) -> Graph:
    from deploytool.convert.torch.builder import load_builder
    from deploytool.convert.torch.modules import from_module

    refuse_options("a module", options)
    if options.shape is None:
        raise UsageError(source, "no input shape", "--shape C,H,W")
    shape = parse_shape(options.shape)
    return from_module(load_builder(source)(), shape)


def _state_dict(path: Path, options: ImportOptions) -> Graph:
    from deploytool.convert.model import from_state_dict
    from deploytool.convert.torch.state_dict import read_state_dict

    refuse_options("a state_dict", options)
    if options.recipe is None:
        raise UsageError(str(path), "weights without their layers", "--network RECIPE, whose [network] they belong to")
    recipe = load_recipe(options.recipe)
    return from_state_dict(read_state_dict(path), recipe.network, recipe.constraints)


def geometry(store: Store, source: str) -> Graph:
    """The graph of a network whose reset rule does not matter: a graph in the store, a .nir file, or a recipe's."""
    from deploytool.convert.nir import read_nir

    if source.endswith(".toml"):
        return recipe_geometry(load_recipe(Path(source)))
    if Path(source).is_file():
        return read_nir(Path(source), reset="subtract", dt_ms=1.0, delay_us=1)
    return read_nir(store.get(source, "graph").path / NETWORK)


def recipe_geometry(recipe: Recipe) -> Graph:
    """The graph of the network that ``recipe`` trains, before it has weights.

    Raises RecipeError for shapes that do not match, UnsupportedError for a network that only training can run.
    """
    from deploytool.convert.model import blank_weights, to_graph

    method_of(recipe.train).require_deployable(recipe.train)
    return to_graph(blank_weights(recipe.network), recipe.network, recipe.constraints)


def is_artifact(source: str) -> bool:
    """True when ``source`` looks like an artifact: a folder, ``kind-prefix`` or ``kind@latest``."""
    kind = source.partition("@")[0].partition("-")[0]
    return Path(source).is_dir() or (kind in KINDS and not Path(source).is_file())


def parse_shape(text: str) -> Shape:
    """(C, H, W) from ``C,H,W``."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--shape {text}", "not three numbers", "C,H,W, for example --shape 2,34,34")
    c, h, w = (int(part) for part in parts)
    return c, h, w
