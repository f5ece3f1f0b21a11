"""Samples of a recording run again, from the artifacts that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.base.errors import DeployError
from deploytool.base.machine import threads
from deploytool.ir.events import EventStream, count
from deploytool.ir.program import SIMULATOR, Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording, join
from deploytool.ir.target import Watch
from deploytool.recipe import DataSection
from deploytool.store.artifact import Artifact, Store
from deploytool.store.lineage import ancestors
from deploytool.workflow.sources import samples as sources
from deploytool.workflow.sources.classes import classes_of
from deploytool.workflow.sources.samples import IN_MEMORY, SampleSource
from deploytool.workflow.sources.stated import as_section, stated

if TYPE_CHECKING:
    from deploytool.ir.traffic import Traffic
    from deploytool.run.jobs.job import Job


@dataclass(frozen=True)
class DataPlace:
    """Where samples are, if it is not where they were: a data set's ``root``, or the file or folder ``data``.

    ``held`` are samples that the caller has.
    """

    data: str | None = None
    root: str | None = None
    held: tuple[SampleSource, ...] = ()


WHERE_THEY_WERE: Final = DataPlace()


class ReplayError(Exception):
    """A recording that cannot be run again; the message says why."""


@dataclass(frozen=True, eq=False)
class Replayable:
    """A recording that can be run again: its ``job``, ``program`` and ``streams``."""

    name: str
    recording: Recording
    job: Job
    program: Program
    streams: Sequence[EventStream]

    def follow(self, index: int) -> Traffic:
        """Everything that flows in sample ``index``.

        Raises ReplayError if the spikes are not those that the recording has.
        """
        from deploytool.run.jobs.follow import follow

        try:
            traffic = follow(self.job, self.program, self.streams[index], index)
        except DeployError as error:
            raise ReplayError(f"{self.name}: sample {index} cannot be run again. {error}") from None
        for layer, maps in self.recording.counts.items():
            if layer in traffic.spikes:
                found = count(traffic.spikes[layer], traffic.program.map_of(layer))
                if not np.array_equal(found, maps[index]):
                    raise ReplayError(self._unfaithful(index, layer))
        return traffic

    def _unfaithful(self, index: int, layer: str) -> str:
        if self.recording.rung == "torch":
            return (
                f"{self.name}: the trained network cannot be followed event by event, and its program, run in the same "
                f"time steps in float32, has other spikes in {layer} (sample {index})."
            )
        return f"{self.name}: sample {index}, run again, has other spikes in {layer} than the recording."


def replayable(store: Store, artifact: Artifact, recording: Recording, place: DataPlace) -> Replayable:
    """``artifact``, a ``recording``, ready to be run again. Raises ReplayError if something it needs is missing."""
    job = _job(store, artifact)
    program = load_program(_program(store, artifact).path)
    return Replayable(artifact.name, recording, job, program, streams_of(store, artifact, program, place))


def streams_of(store: Store, artifact: Artifact, program: Program, place: DataPlace) -> Sequence[EventStream]:
    """The samples of the recording ``artifact``, or of the recording that an import was said to be of.

    Raises ReplayError if they are not known or not found.
    """
    imported = artifact.manifest.recipe.get("imported")
    if imported is not None:
        known = imported.get("samples_of", "")
        found = [folder for folder in store.folders("recording") if folder.name == known]
        if not found:
            raise ReplayError(f"{artifact.name}: it was imported without a recording of the same samples.")
        return streams_of(store, store.get(str(found[0])), program, place)
    source = _source(store, artifact, place)
    try:
        return source.of(classes_of(store, artifact, program)).load(program.input_shape)
    except DeployError as error:
        raise ReplayError(f"{artifact.name}: its samples cannot be read. {error}") from None


def replay(
    store: Store,
    artifact: Artifact,
    recorded: Recording,
    indices: Sequence[int],
    place: DataPlace = WHERE_THEY_WERE,
) -> Recording | None:
    """Samples ``indices`` of the recording ``artifact`` again, with every spike of every layer.

    None if it cannot be replayed here: it was imported, or made on a board or without a program, its samples are files
    or are not there any more, or the counts are not the ``recorded`` ones.
    """
    from deploytool.run.targets.options import Options

    if not indices or "program" not in artifact.manifest.inputs:
        return None
    try:
        again = replayable(store, artifact, recorded, place)
    except ReplayError:
        return None
    parts = []
    for index in indices:
        job = replace(again.job, watch=Watch(rasters=index + 1))
        parts.append(job.run(again.program, [again.streams[index]], index, Options(threads=threads())))
    found = join(parts)
    return found if _agree(recorded, found, indices) else None


def _agree(recorded: Recording, replayed: Recording, indices: Sequence[int]) -> bool:
    """Whether both have the same samples and counts."""
    chosen = list(indices)
    names = tuple(recorded.samples[index] for index in chosen)
    return (
        names == replayed.samples
        and recorded.counts.keys() <= replayed.counts.keys()
        and all(np.array_equal(counts[chosen], replayed.counts[layer]) for layer, counts in recorded.counts.items())
    )


def _job(store: Store, artifact: Artifact) -> Job:
    """The job that made the recording ``artifact``."""
    from deploytool.run.jobs.job import Job
    from deploytool.run.jobs.perturbation import Perturbation
    from deploytool.run.targets.table import TARGETS, kind_of

    asked = artifact.manifest.recipe
    if asked.get("rung") == "torch":
        model = _made_from(store, artifact, "model")
        steps = stated(model, "train")["time_steps"]
        return Job("quantised", steps, bins=stated(model, "data").get("bins", "time"))
    if asked.get("on") is None:
        raise ReplayError(f"{artifact.name}: it was not run by deploytool, so only its counts and spikes are known.")
    if asked["on"].partition(":")[0] not in TARGETS or not kind_of(asked["on"]).computes:
        raise ReplayError(f"{artifact.name}: it was run on {asked['on']}, so only its counts and spikes are known.")
    varied = asked.get("perturbation")
    return Job(
        asked["on"],
        asked.get("time_steps"),
        perturbation=Perturbation(**varied) if varied else None,
        bins=asked.get("bins", "time"),
    )


def _program(store: Store, artifact: Artifact) -> Artifact:
    """The program that ran; for a trained network, its program for the simulator."""
    if "program" in artifact.manifest.inputs:
        return _made_from(store, artifact, "program")
    model = _made_from(store, artifact, "model")
    for path in store.folders("program"):
        program = store.get(str(path))
        if program.manifest.recipe.get("target") == SIMULATOR and model.digest in {
            each.digest for each in ancestors(store, program)
        }:
            return program
    found = f"no program of {model.name} for the simulator in the store"
    raise ReplayError(f"{artifact.name}: {found}. Run: deploytool map {model.name} --target simulator")


def _made_from(store: Store, artifact: Artifact, role: str) -> Artifact:
    found = store.by_digest(artifact.manifest.inputs.get(role, ""))
    if found is None:
        raise ReplayError(f"{artifact.name}: the {role} it was made from is not in the store.")
    return found


def _source(store: Store, artifact: Artifact, place: DataPlace) -> SampleSource:
    """The samples of the recording ``artifact``, known by their fingerprint."""
    asked, wanted = stated(artifact, "data"), artifact.manifest.inputs.get("data")
    if found := next((each for each in place.held if each.fingerprint == wanted), None):
        return found
    if IN_MEMORY in asked:
        raise ReplayError(f"{artifact.name}: its samples were given by a script, which alone has them.")
    problem = ""
    for candidate in _candidates(store, artifact, asked, place):
        try:
            source = candidate()
        except DeployError as error:
            problem = f" {error}"
            continue
        if source.fingerprint == wanted:
            return source
    reason = problem or " Those that are there are others. Use --root or --data to say where they are."
    raise ReplayError(f"{artifact.name}: the samples it was made from were not found.{reason}")


def _candidates(
    store: Store, artifact: Artifact, asked: Mapping[str, Any], place: DataPlace
) -> Iterator[Callable[[], SampleSource]]:
    """Ways to find the samples of ``artifact``: in the ``place`` that was stated, and where its network was trained."""
    from deploytool.data.formats.reading import Reading

    if asked.get("files"):
        reading, keys = sources.stated_of_files(asked)
        yield partial(sources.chosen, place.data or asked["files"], keys, Reading(**reading))
        return
    models = [each for each in ancestors(store, artifact) if each.kind == "model"]
    data = [stated(model, "data") for model in models]
    trained = [each.get("root") for each in data if each.get("set") == asked.get("set")]
    roots = [place.root] if place.root else [*trained, None]
    for root in dict.fromkeys(roots):
        for seed in dict.fromkeys((*(int(stated(model, "seed")) for model in models), 0)):
            yield partial(
                sources.dataset, as_section({**asked, "root": root}, f"{artifact.name}: recipe.data", DataSection), seed
            )
