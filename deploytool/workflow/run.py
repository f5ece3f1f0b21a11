"""The verb run: a program on a target, over samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.machine import threads
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording, save_recording
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.workflow.map import configure
from deploytool.workflow.sources.classes import classes_of, trained_on
from deploytool.workflow.sources.prepared import streams_of
from deploytool.workflow.sources.recordings import with_source
from deploytool.workflow.sources.samples import SampleSource
from deploytool.workflow.zoo import program_named

if TYPE_CHECKING:
    from deploytool.run.jobs.job import Job
    from deploytool.run.jobs.perturbation import Perturbation
    from deploytool.run.jobs.workers import Workers

TRAINED_ON: Final = (
    "The network was trained on some of the recordings in {folder}, so their accuracy says little about new ones. "
    "deploytool pipeline with its recipe runs the test part alone."
)


def run(
    cache: StageCache,
    program: str,
    job: Job,
    samples: SampleSource,
    workers: Workers | None = None,
    device: str = "cpu",
) -> Artifact:
    """The recording of a ``job`` with a program and ``samples``. An interrupted run continues where it stopped.

    The samples are spread over Dask ``workers`` if any are given; ``device`` "cuda" computes on a GPU. The result is
    the same. What can be refused without the samples is, before a file of theirs is opened.
    """
    from deploytool.run.targets.table import check_device, kind_of

    check_device(device, job.on, workers is not None)
    mapped = program_named(cache, program, for_chip=kind_of(job.on).mapped)
    loaded = load_program(mapped.path)
    samples.require(loaded.input_shape)
    decided = {**job.asked, "data": samples.says}
    inputs = {"program": mapped.digest, "data": samples.fingerprint}

    request = Request("recording", inputs, decided)

    def compute(unfinished: Path) -> Recording:
        from deploytool.run.jobs.resume import finished, in_this_process, run_job
        from deploytool.run.targets.options import Options

        if kept := finished(unfinished):
            cache.messages.say(f"{job.on:<10} {kept} samples are already finished")
        with cache.messages.progress(job.on, "sample") as tick:
            tick(0, 0, "reading the data")
            if samples.unsplit is not None and trained_on(cache.store, mapped, samples.unsplit):
                cache.messages.say(TRAINED_ON.format(folder=samples.unsplit))
            streams = streams_of(cache, samples, loaded.input_shape, classes_of(cache.store, mapped, loaded))
            tick(0, len(streams), "first samples, which compile loops once")
            if workers is None:
                perform = in_this_process(Options(configure, threads(), tick, device), cache.messages.say)
            else:
                from deploytool.run.jobs.dask import on_workers

                perform = on_workers(workers, threads(), tick)
            recording = run_job(job, loaded, streams, unfinished, perform, cache.messages.say)
        return with_source(cache.store, mapped, recording)

    return cache.continued(request, compute, save_recording)


def robustness(job: Job, perturbation: Perturbation, repeats: int, run: Callable[[Job], Artifact]) -> dict[str, Any]:
    """The effect of ``repeats`` draws of ``perturbation`` on the recording of ``job``, against the unperturbed run."""
    from deploytool.validate.spread import spread

    draws = [replace(job, perturbation=replace(perturbation, repeat=repeat)) for repeat in range(repeats)]
    plain, perturbed = run(job), [run(draw) for draw in draws]
    found = spread(load_recording(plain.path), [load_recording(artifact.path) for artifact in perturbed])
    names = {"unperturbed": plain.name, "perturbed": [artifact.name for artifact in perturbed]}
    return {"perturbation": perturbation.models, "seed": perturbation.seed, **found, **names}
