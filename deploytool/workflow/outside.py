"""The inputs that a training method needs from other stages: a network with ReLUs, and spikes from the emulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deploytool.base.arrays import Array
from deploytool.base.digest import digest
from deploytool.base.errors import UsageError
from deploytool.base.extras import require
from deploytool.base.machine import threads
from deploytool.chip.chips import chip_named
from deploytool.ir.events import EventStream
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Spike
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import Watch
from deploytool.recipe import ConvLayer, LinearLayer, NetworkSection, Recipe, SpikeLayer
from deploytool.recipe.nodes import without_norms
from deploytool.train.methods.table import method_of
from deploytool.train.outside import Emulated, Outside


def given_ann(recipe: Recipe) -> Mapping[str, Array] | None:
    """{"conv1": weights, "conv1.bias": (O,)} of the network with ReLUs that ``recipe`` says training begins with.

    Raises UsageError for a source that is not one, InputError and UnsupportedError for one that cannot be read,
    RecipeError where its layers are not those of the recipe.
    """
    source = method_of(recipe.train).needs(recipe.train).ann
    if source is None:
        return None
    from deploytool.convert.ann import ann_weights

    return ann_weights(_read(source, recipe.network), without_norms(recipe.network))


def fingerprint(ann: Mapping[str, Array] | None) -> dict[str, str]:
    """{"ann": the name of its source}, or empty if there is none."""
    return {} if ann is None else {"ann": digest(ann)}


def outside(recipe: Recipe, ann: Mapping[str, Array] | None = None) -> Outside:
    """Everything that the training of ``recipe``, which begins with ``ann``, takes from other stages.

    Raises RecipeError if the emulator must count spikes and samples are not events.
    """
    needs = method_of(recipe.train).needs(recipe.train)
    return Outside(
        ann, _emulated(recipe, threads()) if needs.emulator else None, white(recipe) if needs.pictures else None
    )


def _emulated(recipe: Recipe, threads: int) -> Emulated:
    from deploytool.data.loader import StreamLoader
    from deploytool.data.sets.table import load_events

    data = load_events(recipe.data, recipe.seed)
    training = StreamLoader(data.train, recipe.train.augment)
    emulator = Emulator(recipe, threads)
    return Emulated(training, StreamLoader(data.validation), emulator.counts, emulator.record)


def white(recipe: Recipe) -> int | None:
    """The count of a white pixel of a sample over all time steps, or 1 if the image itself is the input of the first
    one; None if samples are not pictures."""
    from deploytool.data.sets.sources import IMAGE_SETS
    from deploytool.data.sets.table import LEVELS

    if recipe.data.set not in IMAGE_SETS:
        return None
    if recipe.train.ptl.input == "first":
        return 1
    return recipe.train.time_steps if recipe.data.coding == "direct" else recipe.data.levels or LEVELS


class Emulator:
    """The chip's emulator on ``threads`` threads, for the models that a training of ``recipe`` makes one after another.

    The first model is mapped; the next ones only replace its weights, where nothing else changes.
    """

    def __init__(self, recipe: Recipe, threads: int) -> None:
        self._recipe, self._threads = recipe, threads
        self._mapped: dict[int, Program] = {}

    def counts(self, model: Mapping[str, Array], layers: int, streams: Sequence[EventStream]) -> Mapping[str, Array]:
        """{layer: spikes (B, C, H, W)}: the first ``layers`` layers with weights of a ``model``."""
        return self._run(first_layers(self._recipe.network, layers), model, streams, 0).counts

    def record(self, model: Mapping[str, Array], streams: Sequence[EventStream], single: bool) -> Recording:
        """The recording of ``model``, with the ``single`` spikes of all samples if requested."""
        return self._run(self._recipe.network, model, streams, len(streams) if single else 0)

    def _run(
        self, network: NetworkSection, model: Mapping[str, Array], streams: Sequence[EventStream], rasters: int
    ) -> Recording:
        from deploytool.run.targets.options import Options
        from deploytool.run.targets.table import make_target

        program = self._program(network, model)
        return make_target("emulator", Options(threads=self._threads)).run(program, streams, Watch(rasters=rasters))

    def _program(self, network: NetworkSection, model: Mapping[str, Array]) -> Program:
        from deploytool.convert.model import to_graph
        from deploytool.map.compile import compile_graph, refilled

        graph, chip = to_graph(model, network, self._recipe.constraints), chip_named(self._recipe.constraints.chip)
        size, spec = len(network.layers), self._recipe.map
        program = refilled(self._mapped[size], graph, chip) if size in self._mapped else None
        if program is None:
            program = compile_graph(graph, chip, pins=spec.pins, split=spec.split).program
        self._mapped[size] = program
        return program


def first_layers(network: NetworkSection, count: int) -> NetworkSection:
    """``network`` without batch norms, up to the spikes behind its ``count``-th layer with weights."""
    folded = without_norms(network)
    weighted = [index for index, layer in enumerate(folded.layers) if isinstance(layer, ConvLayer | LinearLayer)]
    end = weighted[count - 1] + 1
    assert isinstance(folded.layers[end], SpikeLayer)
    return folded.model_copy(update={"layers": folded.layers[: end + 1]})


def _read(source: str, network: NetworkSection) -> Graph:
    """The network with ReLUs in ``source``, each of which is a Spike here."""
    if Path(source).suffix == ".onnx":
        from deploytool.convert.onnx import read_onnx

        return read_onnx(Path(source))
    if ":" in source:
        require("train.ptl.ann", "torch")
        from deploytool.convert.torch.builder import load_builder
        from deploytool.convert.torch.modules import from_module

        return from_module(load_builder(source)(), network.input, relu=Spike())
    raise UsageError("train.ptl.ann", f"found {source!r}", "a .onnx file, or package.module:function")
