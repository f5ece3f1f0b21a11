"""The networks of a sweep: what a user named, and its recording at any setting."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploytool.base.arrays import Shape
from deploytool.base.errors import UsageError
from deploytool.base.files import is_file, is_folder
from deploytool.data.recordings.classes import Classes
from deploytool.ir.events import EventStream
from deploytool.ir.nodes import Output
from deploytool.ir.program import SIMULATOR
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import EVENT_DRIVEN, RungName
from deploytool.recipe import Recipe, load_recipe
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.store.file_names import NETWORK
from deploytool.workflow.convert import convert, convert_model
from deploytool.workflow.map import AS_TRAINED, Width, map_graph
from deploytool.workflow.run import run
from deploytool.workflow.sources.classes import class_names, classes_of
from deploytool.workflow.sources.networks import NO_OPTIONS, ImportOptions, kind_of, recipe_of, refuse_options
from deploytool.workflow.sources.samples import SampleSource, dataset
from deploytool.workflow.train import run_trained, trained_model
from deploytool.zoo.models import is_shipped

if TYPE_CHECKING:
    from deploytool.run.jobs.job import Job

_LABELLED: Final = re.compile(r"([\w .+()-]+)=(.+)")


@dataclass(frozen=True)
class Swept:
    """One network of a sweep: its ``label`` in legends, and the artifact ``source``, a model, a graph or a program.

    ``recipe`` is that of the training it comes from, None if that is not known.
    """

    label: str
    source: Artifact
    recipe: Recipe | None


def swept(cache: StageCache, sources: Sequence[str], options: ImportOptions = NO_OPTIONS) -> tuple[Swept, ...]:
    """The networks that ``sources`` name, each as the commands take it or as LABEL=SOURCE.

    Raises as `named_network`, and UsageError for a network that is named twice.
    """
    found = [_swept(cache, source, options) for source in sources]
    if twice := [name for name, count in Counter(each.source.name for each in found).items() if count > 1]:
        raise UsageError(", ".join(sources), f"{twice[0]} is named twice", "every network once")
    known = Counter(each.label for each in found)
    named = [
        each if known[each.label] == 1 else replace(each, label=f"{each.label} {each.source.digest[:4]}")
        for each in found
    ]
    if twice := [label for label, count in Counter(each.label for each in named).items() if count > 1]:
        raise UsageError(", ".join(sources), f"{twice[0]!r} is the label of two networks", "a label for each")
    return tuple(named)


def _swept(cache: StageCache, named: str, options: ImportOptions) -> Swept:
    match = None if _exists(named) else _LABELLED.fullmatch(named)
    label, source = (match[1].strip(), match[2]) if match else ("", named)
    artifact = _artifact(cache, source, options)
    recipe = recipe_of(cache.store, artifact)
    if not label:
        label = source if is_shipped(source) else artifact.name if recipe is None else _method(recipe)
        label = Path(source).stem if _exists(source) and not is_folder(Path(source)) else label
    return Swept(label, artifact, recipe)


def _exists(path: str) -> bool:
    return is_file(Path(path)) or is_folder(Path(path))


def _artifact(cache: StageCache, source: str, options: ImportOptions) -> Artifact:
    kind = kind_of(source)
    if kind == "an artifact":
        refuse_options(kind, options)
        artifact = cache.store.get(source, "model", "graph", "program")
        return cache.adopted(artifact, source) if is_shipped(source) else artifact
    if kind == "a recipe":
        refuse_options(kind, options)
        if (model := trained_model(cache, load_recipe(Path(source)))) is None:
            raise UsageError(
                source, "a recipe without its trained model in the store", "a trained model", "Run deploytool train."
            )
        return model
    return convert(cache, source, options)


def _method(recipe: Recipe) -> str:
    """The method of training, with a loss other than the default."""
    return recipe.train.method if recipe.train.loss == "ce" else f"{recipe.train.method} {recipe.train.loss}"


def samples_of(store: Store, networks: Sequence[Swept], asked: SampleSource | None) -> tuple[SampleSource, ...]:
    """The samples for each of ``networks``: as ``asked``, or the test samples of its own recipe. Each is made once.

    Labels of samples that are ``asked`` for are those of the classes of each network.
    Raises UsageError if the training of a network is not known, or if the recipes' test samples are not the same.
    """
    if asked is not None:
        known = [_classes(store, network) for network in networks]
        held = {classes: _held(asked.of(classes)) for classes in dict.fromkeys(known)}
        return tuple(held[classes] for classes in known)
    for network in networks:
        if network.recipe is None:
            found = "its training is not in the store, so its test samples are not known"
            raise UsageError(network.source.name, found, "--data")
    recipes = [network.recipe for network in networks if network.recipe is not None]
    for network, recipe in zip(networks, recipes, strict=True):
        if _test_part(recipe) != _test_part(recipes[0]):
            found = f"{network.label!r} was trained on other data than {networks[0].label!r}"
            raise UsageError("sweep", found, "--data, which is the same for all networks")
    own = [dataset(recipe.data, recipe.seed) for recipe in recipes]
    shared = _held(own[0])
    return tuple(replace(each, load=shared.load, labelled=None, stored=False) for each in own)


def _classes(store: Store, network: Swept) -> Classes:
    """The classes of ``network``; the number of its outputs only if a program or a graph says it."""
    source = network.source
    if source.kind == "program":
        return classes_of(store, source, load_program(source.path))
    outputs = 0
    if source.kind == "graph":
        from deploytool.convert.nir import read_nir

        graph = read_nir(source.path / NETWORK)
        outputs = sum(math.prod(graph.shapes[name]) for name in graph.of_type(Output))
    return Classes(outputs, class_names(store, source))


def _test_part(recipe: Recipe) -> dict[str, object]:
    """What decides about the test samples of ``recipe``."""
    return recipe.data.model_dump(exclude={"root", "bins", "validation", "train_samples"})


def _held(samples: SampleSource) -> SampleSource:
    """``samples``, of which each is made once for every shape of an input."""
    from deploytool.data.samples import Held

    @lru_cache
    def load(shape: Shape) -> Sequence[EventStream]:
        return Held(samples.load(shape), len)

    return replace(samples, load=load, labelled=None, stored=False)


REFERENCES: Final = tuple(rung for rung in EVENT_DRIVEN if rung != "board")
"""The event-driven rungs that a sweep can run."""
BLOCK_EVENTS: Final = 1 << 20
"""Input events of the samples whose spikes are in memory at a time."""
FLOAT: Final[tuple[RungName, ...]] = ("torch", "simulator")
"""The rungs that compute in float32."""


@dataclass(frozen=True)
class Runs:
    """The recordings of a ``network`` with ``samples`` at any setting; its weights are mapped for ``target``."""

    cache: StageCache
    network: Swept
    samples: SampleSource
    target: str | None = None

    @cached_property
    def _programs(self) -> dict[tuple[str | None, Width], Artifact]:
        """The programs that were mapped so far, by target and width."""
        return {}

    @property
    def in_torch(self) -> bool:
        """Whether "torch" is torch itself, which runs a trained model; our engine runs any other network."""
        return self.network.source.kind == "model"

    @property
    def of_images(self) -> bool:
        """Whether the samples are images that are fed to the network directly, so that there are no events."""
        return self.samples.says.get("coding") == "direct"

    @property
    def events_run(self) -> bool:
        """Whether the network can run event by event: its samples are events, and its output is spikes."""
        recipe = self.network.recipe
        return not self.of_images and (recipe is None or recipe.network.ends_in_spikes)

    def possible(self, rungs: Sequence[RungName]) -> tuple[RungName, ...]:
        """Those of ``rungs`` that can run the network: a program is for a chip, or for the simulator."""
        source = self.network.source
        if source.kind != "program":
            return tuple(rungs)
        of_simulator = source.manifest.recipe.get("target") == SIMULATOR
        return tuple(rung for rung in rungs if (rung in FLOAT) == of_simulator)

    @cached_property
    def graph(self) -> Artifact:
        """The graph of the network, which is no program."""
        source = self.network.source
        return convert_model(self.cache, source) if source.kind == "model" else source

    @cached_property
    def weight_bits(self) -> int | None:
        """The width of the weights that the network was trained at, if it states one."""
        from deploytool.convert.nir import read_nir

        return read_nir(self.graph.path / NETWORK).weight_bits

    def program(self, rung: RungName, width: Width = AS_TRAINED) -> Artifact:
        """The program of the network that ``rung`` runs, with weights of ``width``."""
        source = self.network.source
        if source.kind == "program":
            return source
        target = SIMULATOR if rung in FLOAT else self.target
        if (target, width) not in self._programs:
            self._programs[target, width] = map_graph(self.cache, self.graph, target, width=width)
        return self._programs[target, width]

    def event_driven(self, rung: RungName, width: Width = AS_TRAINED) -> Artifact:
        """The event-driven recording, with counts of every layer."""
        from deploytool.run.jobs.job import Job

        return self.of(self.program(rung, width), Job(rung))

    def in_time_steps(self, rung: RungName, time_steps: int) -> Artifact:
        """The clock-driven recording; on "torch", a trained model runs in torch, and other networks in our engine."""
        from deploytool.run.jobs.job import Job

        recipe = self.network.recipe
        if rung == "torch" and self.in_torch and recipe is not None:
            samples = None if self.of_images else self.samples
            return run_trained(self.cache, self.network.source, recipe, samples, time_steps)
        bins = "time" if recipe is None else recipe.data.bins
        return self.of(self.program(rung), Job("quantised", time_steps, bins=bins))

    def blocks(self, shape: Shape) -> tuple[tuple[SampleSource, int], ...]:
        """(samples, their number) of stretches of at most `BLOCK_EVENTS` input events, or of one sample with more.

        Few samples are one block, which is the samples themselves.
        """
        streams = self.samples.load(shape)
        spans, first, room = [], 0, BLOCK_EVENTS
        for index, stream in enumerate(streams):
            if len(stream) > room and index > first:
                spans.append((first, index))
                first, room = index, BLOCK_EVENTS
            room -= len(stream)
        if not spans:
            return ((self.samples, len(streams)),)
        return tuple((self._block(*span), span[1] - span[0]) for span in (*spans, (first, len(streams))))

    def _block(self, first: int, stop: int) -> SampleSource:
        says = {**self.samples.says, "from_sample": first, "to_sample": stop - 1}
        return replace(self.samples, says=says, load=lambda shape: self.samples.load(shape)[first:stop], stored=False)

    def of(self, program: Artifact, job: Job, samples: SampleSource | None = None) -> Artifact:
        """The recording of a ``job`` with ``program``, on all samples or on other ``samples``."""
        return run(self.cache, program.name, job, samples or self.samples)
