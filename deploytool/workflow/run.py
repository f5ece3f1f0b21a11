"""The verb run: a program on a target, or clock-driven, over samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from deploytool.base.errors import UsageError
from deploytool.base.machine import threads
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording, load_recording, save_recording
from deploytool.store.artifact import Artifact, Request
from deploytool.store.cache import StageCache
from deploytool.workflow.map import configure
from deploytool.workflow.samples import SampleSource

if TYPE_CHECKING:
    from deploytool.run.jobs.perturbation import Perturbation


def run(
    cache: StageCache,
    program: str,
    on: str,
    samples: SampleSource,
    time_steps: int | None = None,
    watch: Sequence[str] | None = None,
    rasters: int = 0,
    extremes: bool = False,
    scheduler: str | None = None,
    perturbation: Perturbation | None = None,
    device: str = "cpu",
) -> Artifact:
    """The recording of a program ``on`` a target, or clock-driven ("quantised") in ``time_steps``.

    An interrupted run goes on where it was. ``scheduler`` names Dask workers to spread the samples over, ``device``
    "cuda" computes on a GPU; what comes out is the same. The other options are those of `deploytool.run.jobs.job.Job`.
    """
    mapped = cache.store.get(program, "program")
    if time_steps is not None and on != "quantised":
        raise UsageError("--time-steps", f"given with --on {on}, which knows no time steps", "--on quantised")
    if device != "cpu":
        from deploytool.run.targets.processor import check_device

        check_device(device, on, scheduler)
    decided: dict[str, Any] = {"on": on, "data": samples.says, "watch": watch and sorted(watch), "rasters": rasters}
    if on == "quantised":
        decided["time_steps"] = time_steps
    if extremes:
        decided["extremes"] = True
    if perturbation is not None:
        decided["perturbation"] = asdict(perturbation)
    inputs = {"program": mapped.digest, "data": samples.fingerprint}

    request = Request("recording", inputs, decided)
    with cache.unfinished(request) as unfinished:

        def compute() -> Recording:
            from deploytool.run.jobs.job import Job
            from deploytool.run.jobs.resume import finished, here, run_job
            from deploytool.run.targets.table import Options

            loaded = load_program(mapped.path)
            watched = None if watch is None else tuple(watch)
            job = Job(loaded, on, time_steps, watched, rasters, extremes, perturbation)
            if kept := finished(unfinished):
                cache.messages.say(f"{on:<10} {kept} samples were finished before")
            with cache.messages.progress(on, "sample") as tick:
                if scheduler is None:
                    perform = here(Options(configure, threads(), tick, device), cache.messages.say)
                else:
                    from deploytool.run.jobs.dask import spread

                    perform = spread(scheduler, threads(), tick)
                return run_job(job, samples.load(loaded.input_shape), unfinished, perform)

        return cache.stored(request, compute, save_recording)


def robustness(
    perturbation: Perturbation, repeats: int, run: Callable[[Perturbation | None], Artifact]
) -> dict[str, Any]:
    """What ``repeats`` draws of ``perturbation`` do to what ``run`` records, against the run without it."""
    from deploytool.validate.spread import spread

    plain = run(None)
    perturbed = [run(replace(perturbation, repeat=repeat)) for repeat in range(repeats)]
    found = spread(load_recording(plain.path), [load_recording(artifact.path) for artifact in perturbed])
    names = {"unperturbed": plain.name, "perturbed": [artifact.name for artifact in perturbed]}
    return {"perturbation": perturbation.models, "seed": perturbation.seed, **found, **names}
