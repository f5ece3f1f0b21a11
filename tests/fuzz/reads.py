"""What commands do with an artifact of a store, in this process: show it, and what usually comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploytool.base.json_text import canonical_json
from deploytool.ir.target import Watch
from deploytool.recipe import ValidateSection
from deploytool.run.jobs.job import Job
from deploytool.store.artifact import Artifact, open_artifact
from deploytool.store.cache import StageCache
from deploytool.workflow import show
from deploytool.workflow.compare import Asked, compare
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.package.package import package, random_samples
from deploytool.workflow.report import report
from deploytool.workflow.run import run
from deploytool.workflow.stored.summaries import summary
from deploytool.workflow.validate import validate
from tests.fuzz.stored import kinds, opened

LIMITS: Final = ValidateSection(max_spike_difference=50, min_accuracy=1)


def read(path: Path) -> object:
    """Shows the artifact ``path`` as a line of a list and in full, and goes on with it."""
    cache = opened(path.parent)
    artifact = open_artifact(path)
    summary(cache.store, artifact)
    canonical_json(show.describe(cache.store, artifact))
    if further := FURTHER.get(artifact.kind):
        further(cache, artifact)
    return artifact


def listed(path: Path) -> object:
    """Lists the store of the artifact ``path`` before it is read."""
    canonical_json(show.artifacts(opened(path.parent).store))
    return read(path)


def _model(cache: StageCache, model: Artifact) -> None:
    map_graph(cache, convert(cache, model.name))


def _graph(cache: StageCache, graph: Artifact) -> None:
    map_graph(cache, graph)
    map_graph(cache, graph, "simulator")


def _program(cache: StageCache, program: Artifact) -> None:
    from deploytool.ir.program_file import load_program

    chip = load_program(program.path).chip
    run(
        cache,
        program.name,
        Job("simulator" if chip == "simulator" else "emulator", watch=Watch(rasters=1)),
        random_samples(1),
    )
    if chip != "simulator":
        package(cache, program.name, program.path.parent / "net.zip", random_samples(1))


def _recording(cache: StageCache, recording: Artifact) -> None:
    from deploytool.base.errors import InputError, UsageError

    others = [path.name for path in kinds(recording.path.parent, "recording") if path.name != recording.name]
    validate(cache, [recording.name], LIMITS)
    for other in others:
        try:
            compare(cache, recording.name, other, Asked())
        except (InputError, UsageError):
            continue
    _reports(cache)


def _samples(_cache: StageCache, samples: Artifact) -> None:
    from deploytool.ir.streams_file import load_streams

    streams = load_streams(samples.path)
    for index in range(len(streams)):
        _ = streams[index]


def _reports(cache: StageCache) -> None:
    report(cache, kinds(cache.store.root, "verdict")[0].name, 1)


def _verdict(cache: StageCache, verdict: Artifact) -> None:
    report(cache, verdict.name, 1)


def _sweep(cache: StageCache, _sweep: Artifact) -> None:
    _reports(cache)


FURTHER: Final = {
    "model": _model,
    "graph": _graph,
    "program": _program,
    "samples": _samples,
    "recording": _recording,
    "verdict": _verdict,
    "sweep": _sweep,
}
