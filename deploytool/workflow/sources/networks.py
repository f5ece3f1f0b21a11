"""The network that a user names: an artifact, a file, a module of their own, or a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

import numpy as np

from deploytool.base.arrays import Array, Shape
from deploytool.base.errors import ArtifactError, InputError, UnsupportedError, UsageError
from deploytool.base.extras import require
from deploytool.base.files import is_file, is_folder
from deploytool.base.messages import warn
from deploytool.base.tensors import read_tensors
from deploytool.ir.graph import Graph
from deploytool.ir.neurons import Reset
from deploytool.ir.nodes import Delay, Spike
from deploytool.recipe import (
    UNQUANTISED,
    ConstraintsSection,
    NetworkSection,
    Recipe,
    TaskSection,
    TrainSection,
    load_network,
)
from deploytool.recipe.task import ON_TORCH
from deploytool.store.artifact import Artifact, Store
from deploytool.store.file_names import NETWORK, WEIGHTS
from deploytool.store.lineage import ancestors
from deploytool.store.manifest import KINDS
from deploytool.train.methods.table import method_of
from deploytool.workflow.sources.answers import decoder_of
from deploytool.workflow.sources.stated import section, whole
from deploytool.zoo.models import is_shipped

NEED: Final = "a trained model or a graph in the store, a .nir, .onnx or .pt file, a recipe, or package.module:function"

DEFAULT_CHIP: Final = ConstraintsSection().chip


@dataclass(frozen=True)
class ImportOptions:
    """What a user states because a file does not: ``shape`` C,H,W of a module's input, ``network``, the
    recipe whose layers a state_dict has."""

    reset: str | None = None
    floor: float | None = None
    dt_ms: float | None = None
    delay_us: int | None = None
    shape: str | None = None
    network: Path | None = None


NO_OPTIONS: Final = ImportOptions()


OPTIONS: Final = {
    "reset": "--reset",
    "floor": "--floor",
    "dt_ms": "--dt-ms",
    "shape": "--shape",
    "network": "--network",
    "delay_us": "--delay-us",
}


SourceKind: TypeAlias = Literal["an artifact", "a recipe", "a .nir file", "a .onnx file", "a state_dict", "a module"]

TAKES: Final[Mapping[SourceKind, tuple[str, ...]]] = {
    "an artifact": (),
    "a recipe": (),
    "a .nir file": ("reset", "floor", "dt_ms", "delay_us"),
    "a .onnx file": ("reset", "floor"),
    "a state_dict": ("network",),
    "a module": ("shape",),
}
"""The options that each kind of source takes; the source itself states the rest."""

SUFFIXES: Final[Mapping[str, SourceKind]] = {
    ".toml": "a recipe",
    ".nir": "a .nir file",
    ".onnx": "a .onnx file",
    ".pt": "a state_dict",
    ".pth": "a state_dict",
    ".ckpt": "a state_dict",
    ".bin": "a state_dict",
    ".pt2": "a state_dict",
    ".safetensors": "a state_dict",
}
ORIGINALS: Final = "originals"
"""The key of a graph's manifest for the names that its layers have in the user's module."""
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_REFERENCE: Final = re.compile(rf"({'|'.join(KINDS)})(@.*|-[0-9a-f]*)?")
_FUNCTION: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class NamedNetwork:
    """A network that a user named: its ``graph``, the ``artifact``, a model or a graph, that it comes from, for the
    layers of a state dict {layer: its entry} ``entries``, and {layer: its name in the user's file or module}
    ``originals`` of those that got a readable name."""

    graph: Graph
    artifact: Artifact | None = None
    entries: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)


def named_network(store: Store, source: str, options: ImportOptions) -> NamedNetwork:
    """The network, with its weights, that ``source`` names.

    Raises ArtifactError where there is none, UsageError when something is still missing, when an option has no effect
    or contradicts the file, and for a recipe, which has no weights.
    """
    kind = kind_of(source)
    refuse_options(kind, options)
    if options.reset not in (None, *get_args(Reset)):
        raise UsageError("--reset", f"found {options.reset!r}", "subtract or zero")
    with store.messages.doing(f"reading {Path(source).name}"):
        match kind:
            case "an artifact":
                artifact = store.get(source, "model", "graph")
                return NamedNetwork(artifact_graph(artifact), artifact, originals=originals_of(artifact))
            case "a recipe":
                todo = f"Run deploytool train {source}, then name model@latest."
                raise UsageError(source, "a recipe, which has no weights before training", "a trained model", todo)
            case "a module":
                return _module(source, options)
            case "a .nir file":
                return NamedNetwork(_nir(Path(source), options))
            case "a .onnx file":
                return renamed(_onnx(Path(source), options))
            case "a state_dict":
                return _state_dict(Path(source), options)


def kind_of(source: str) -> SourceKind:
    """The kind of ``source``, from what exists there or, where nothing exists, from its form.

    Raises ArtifactError for a file that does not exist, InputError for one that is not a network.
    """
    path = Path(source)
    if is_file(path):
        if kind := SUFFIXES.get(path.suffix.lower()):
            return kind
        if _begins_with(path, _HDF5):
            return "a .nir file"
        raise InputError(source, "neither its name nor its first bytes are those of a network", NEED)
    if (source and is_folder(path)) or _REFERENCE.fullmatch(source) or is_shipped(source):
        return "an artifact"
    script, _, function = source.rpartition(":")
    is_script = function.isidentifier() and script.endswith(".py") and is_file(Path(script))
    if _FUNCTION.fullmatch(source) and Path(source).suffix.lower() not in SUFFIXES and not is_script:
        return "a module"
    todo = ""
    if is_script:
        todo = f"Write {'.'.join(Path(script).with_suffix('').parts)}:{function} for a function in a file."
    raise ArtifactError(source, "no such file or artifact", NEED, todo)


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "a file that you may read") from None


def refuse_options(kind: SourceKind, options: ImportOptions) -> None:
    """Raises UsageError for options whose values a source of this ``kind`` already states."""
    given = [
        option for name, option in OPTIONS.items() if getattr(options, name) is not None and name not in TAKES[kind]
    ]
    if given:
        takes = ", ".join(OPTIONS[name] for name in TAKES[kind]) or "none of these options"
        raise UsageError(", ".join(given), f"given with {kind}, which already states this", f"{takes} with {kind}")


def artifact_graph(artifact: Artifact) -> Graph:
    """The graph in ``artifact``, or that of the trained model in it, with the weights its chip will compute with."""
    if artifact.kind == "graph":
        from deploytool.convert.nir import read_nir

        return read_nir(artifact.path / NETWORK)
    from deploytool.convert.model import to_graph

    spec = section(artifact, "train", TrainSection)
    method = method_of(spec)
    require_on_chip(section(artifact, "task", TaskSection) if "task" in artifact.manifest.recipe else TaskSection())
    method.require_deployable(spec)
    network = method.trained_network(section(artifact, "network", NetworkSection), spec)
    constraints = section(artifact, "constraints", ConstraintsSection)
    graph = to_graph(read_tensors(artifact.path / WEIGHTS), network, constraints)
    return replace(graph, decoder=decoder_of(artifact))


def trained_for(store: Store, artifact: Artifact | None) -> str | None:
    """The chip whose constraints held in the training that ``artifact`` comes from; None if that is not known."""
    if artifact is not None:
        for model in (artifact, *ancestors(store, artifact)):
            if model.kind == "model":
                return section(model, "constraints", ConstraintsSection).chip
    return None


def recipe_of(store: Store, artifact: Artifact) -> Recipe | None:
    """The recipe of the training that ``artifact`` comes from, as far as its model states it."""
    for model in (artifact, *ancestors(store, artifact)):
        if model.kind == "model":
            return whole(model, {"name": "model", "run": {"on": []}})
    return None


def _nir(path: Path, options: ImportOptions) -> Graph:
    from deploytool.convert.nir import read_nir

    rule = cast("Reset | None", options.reset)
    graph = read_nir(path, rule, options.floor, options.dt_ms, options.delay_us, warn)
    _refuse_unused(path, graph, options)
    return graph


def _refuse_unused(path: Path, graph: Graph, options: ImportOptions) -> None:
    """Raises UsageError if one of the ``options`` changed nothing in ``graph``, which was read from ``path``."""
    from deploytool.convert.nir import read_nir

    rule = cast("Reset | None", options.reset)
    for name in graph.of_type(Spike):
        stated = cast("Spike", graph.nodes[name]).reset
        if rule not in (None, stated):
            raise UsageError(f"{path}: node {name!r}", f"states reset {stated}", f"--reset {stated}, or leave it out")
    plain = partial(read_nir, path, rule, dt_ms=options.dt_ms, delay_us=options.delay_us)
    if idle := [option for option, differs in _differences(graph, options, plain) if differs]:
        found = f"{idle[0]} has no effect: the file states another value, or has no node that takes one"
        raise UsageError(str(path), found, f"no {idle[0]}")


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


def originals_of(artifact: Artifact) -> Mapping[str, str]:
    """{layer: its original name} of a stored graph, for the layers that got a readable name."""
    found: Mapping[str, str] = artifact.manifest.recipe.get(ORIGINALS) or {}
    return found


def _module(source: str, options: ImportOptions) -> NamedNetwork:
    require(source, "torch")
    from deploytool.convert.torch.builder import load_builder
    from deploytool.convert.torch.modules import from_module

    shape = stated_shape(source, options)
    return renamed(from_module(load_builder(source)(), shape))


def stated_shape(where: str, options: ImportOptions) -> Shape:
    """The input map (C, H, W) of the module ``where``. Raises UsageError if it is not stated."""
    if options.shape is None:
        raise UsageError(where, "no input shape", "--shape C,H,W")
    return parse_shape(options.shape)


def _onnx(path: Path, options: ImportOptions) -> Graph:
    from deploytool.convert.onnx import read_onnx

    reset = cast("Reset | None", options.reset)
    return read_onnx(path, reset=reset or "subtract", floor=options.floor, tell=warn)


def renamed(graph: Graph) -> NamedNetwork:
    """``graph`` with readable names for layers that only have a number."""
    from deploytool.convert.readable import with_readable_names

    renamed, originals = with_readable_names(graph)
    return NamedNetwork(renamed, originals=originals)


def _state_dict(path: Path, options: ImportOptions) -> NamedNetwork:
    require(str(path), "torch")
    from deploytool.convert.torch.state_dict import read_state_dict

    return with_state(read_state_dict(path), str(path), options.network)


def with_state(state: Mapping[str, Array], where: str, network: Path | None) -> NamedNetwork:
    """The network of the recipe ``network`` with the weights in ``state``, the state dict called ``where``."""
    from deploytool.convert.state_dict import from_state_dict

    if network is None:
        weights = ", ".join(name for name, array in state.items() if array.ndim > 1)
        found = f"weights without their layers ({weights})"
        raise UsageError(where, found, "--network RECIPE, with the [network] of these weights")
    loaded = from_state_dict(state, *load_network(network))
    for warning in loaded.warnings:
        warn(warning)
    return NamedNetwork(loaded.graph, entries=loaded.entries)


def recipe_geometry(recipe: Recipe) -> Graph:
    """The graph of the network that ``recipe`` trains, without trained weights.

    Raises RecipeError for shapes that do not match, UnsupportedError for a network that only training can run.
    """
    from deploytool.convert.model import blank_weights, to_graph

    require_on_chip(recipe.task)
    method_of(recipe.train).require_deployable(recipe.train)
    unquantised = recipe.constraints.model_copy(update={"weight_bits": UNQUANTISED})
    graph = to_graph(blank_weights(recipe.network), recipe.network, unquantised)
    return replace(graph, weight_bits=None if recipe.constraints.integers is None else recipe.constraints.weight_bits)


def require_on_chip(task: TaskSection) -> None:
    """Raises UnsupportedError for the network of a ``task`` that only PyTorch runs."""
    if task.kind == "separate":
        raise UnsupportedError("task.kind", "found separate", "classify or regress for a chip", ON_TORCH)


def assumed_network(path: Path, options: ImportOptions) -> tuple[Graph, tuple[str, ...]]:
    """The graph in a .nir file, for use without reset rule and times, and sentences on what the file leaves out.

    Raises UsageError as `named_network`, except for missing facts, which it returns as sentences.
    """
    from deploytool.convert.nir.read import check_given, graph_in, top_graph

    rule, told = cast("Reset | None", options.reset), list[str]()
    check_given(options.floor, options.dt_ms, options.delay_us)
    top = top_graph(path)
    try:
        graph = graph_in(top, path.name, rule, options.floor, options.dt_ms, options.delay_us, told.append)
    except UsageError as unsaid:
        dt_ms, delay_us = options.dt_ms or 1.0, options.delay_us or 1
        return graph_in(top, path.name, rule or "subtract", options.floor, dt_ms, delay_us), unsaid.problems
    for sentence in told:
        warn(sentence)
    _refuse_unused(path, graph, options)
    return graph, ()


def parse_shape(text: str) -> Shape:
    """(C, H, W) from ``C,H,W``."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--shape {text}", "not three numbers", "C,H,W, for example --shape 2,34,34")
    c, h, w = (int(part) for part in parts)
    return c, h, w
