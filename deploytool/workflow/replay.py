"""Some samples of a stored recording, run again with every spike: only what the store knows is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deploytool.base.errors import DeployError
from deploytool.base.machine import threads
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording, join
from deploytool.ir.target import Watch
from deploytool.recipe import DataSection
from deploytool.store.artifact import Artifact, Store
from deploytool.store.lineage import ancestors
from deploytool.workflow.samples import SampleSource, dataset


def replay(store: Store, artifact: Artifact, recorded: Recording, indices: Sequence[int]) -> Recording | None:
    """Samples ``indices`` of the recording ``artifact`` again, with every spike of every layer.

    None if it cannot be replayed here: it was made on a board or without a program, its samples are files or are not
    there any more, or the counts are not the ``recorded`` ones.
    """
    from deploytool.run.jobs.job import Job
    from deploytool.run.jobs.perturbation import Perturbation
    from deploytool.run.targets.options import Options
    from deploytool.run.targets.table import kind_of

    asked = artifact.manifest.recipe
    stored = store.by_digest(artifact.manifest.inputs.get("program", ""))
    if not indices or stored is None or not kind_of(str(asked["on"])).computes:
        return None
    if (source := _source(store, artifact)) is None:
        return None
    program = load_program(stored.path)
    perturbation = Perturbation(**asked["perturbation"]) if "perturbation" in asked else None
    streams = source.load(program.input_shape)
    parts = []
    for index in indices:
        job = Job(
            str(asked["on"]),
            asked.get("time_steps"),
            Watch(rasters=index + 1),
            perturbation,
            asked.get("bins", "time"),
        )
        parts.append(job.run(program, [streams[index]], index, Options(threads=threads())))
    found = join(parts)
    return found if _agree(recorded, found, indices) else None


def _agree(recorded: Recording, replayed: Recording, indices: Sequence[int]) -> bool:
    """Whether both have the same samples and counts."""
    chosen = list(indices)
    names = tuple(recorded.samples[index] for index in chosen)
    return names == replayed.samples and all(
        np.array_equal(counts[chosen], replayed.counts[layer]) for layer, counts in recorded.counts.items()
    )


def _source(store: Store, artifact: Artifact) -> SampleSource | None:
    """The samples of the recording ``artifact``; None unless they are those of a data set that is still there."""
    said: dict[str, Any] = artifact.manifest.recipe["data"]
    if "set" not in said:
        return None
    recipes = [source.manifest.recipe for source in ancestors(store, artifact) if source.kind == "model"]
    roots = [recipe["data"].get("root") for recipe in recipes if recipe["data"]["set"] == said["set"]]
    for root in (*roots, None):
        for seed in dict.fromkeys((*(int(recipe["seed"]) for recipe in recipes), 0)):
            try:
                found = dataset(DataSection(**said, root=root), seed)
            except DeployError:
                continue
            if found.fingerprint == artifact.manifest.inputs["data"]:
                return found
    return None
