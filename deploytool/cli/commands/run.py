"""The command run, and its options."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command
from deploytool.cli.options import (
    ReadingOptions,
)
from deploytool.cli.samples import SampleOptions, ShapingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation
    from deploytool.ir.events import Bins
    from deploytool.run.jobs.workers import Workers


@dataclass(frozen=True)
class RunOptions:
    """Where and how a program runs, and what is recorded."""

    on: Annotated[str, typer.Option(help="emulator, simulator, quantised, or a board such as speck2edevkit:0.")] = (
        "emulator"
    )
    time_steps: Annotated[int | None, typer.Option(min=1, help="Time steps, for --on quantised.")] = None
    bins: Annotated[
        str, typer.Option(metavar="time|count", help="Time steps of equal duration, or with equal numbers of events.")
    ] = "time"
    watch: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Count spikes in these layers only. Repeatable.")
    ] = None
    rasters: Annotated[int, typer.Option(min=0, help="Keep every spike of this number of samples.")] = 0
    extremes: Annotated[bool, typer.Option("--extremes", help="Measure the lowest and highest V; slower.")] = False
    scheduler: Annotated[
        str | None, typer.Option(metavar="local[:N]|tls://HOST:PORT", help="Spread the samples over Dask workers.")
    ] = None
    tls_ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Authority of a scheduler at tls://.")] = None
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate for that scheduler.")] = None
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Key of that certificate.")] = None
    device: Annotated[
        str, typer.Option(metavar="cpu|cuda", help="Device of the run; the result is the same, bit for bit.")
    ] = "cpu"


@dataclass(frozen=True)
class PerturbationOptions:
    """Perturbations of a program and its input, and how often they are drawn."""

    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="order=8us,drop=0.1%,threshold=2%,weights=1%",
            help="Reorder and lose input events, vary thresholds and weights, and report the spread over --repeats "
            "draws.",
        ),
    ] = None
    repeats: Annotated[int, typer.Option(min=1, help="Draws of the perturbation.")] = 5
    seed: Annotated[int, typer.Option(min=0, help="Seed of the perturbation.")] = 0


@command("deploytool run program@latest --on emulator --data events.npy")
def run(
    invocation: Invocation,
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A mapped program, or a shipped model.")],
    samples: SampleOptions,
    files: ReadingOptions,
    shaping: ShapingOptions,
    options: RunOptions,
    perturbation: PerturbationOptions,
) -> None:
    """Run a program on samples and record the spikes. An interrupted run continues where it stopped.

    The answer gives the energy, the load of every core, and the time from the first input event to the decision: the
    output spike after which the answer never changes.
    """
    from deploytool.data.formats.reading import Reading
    from deploytool.ir.target import Watch
    from deploytool.run.jobs.job import Job
    from deploytool.run.jobs.perturbation import parse_perturbation
    from deploytool.workflow import run as running
    from deploytool.workflow.sources import samples as sample_sources

    how = None if perturbation.perturb is None else parse_perturbation(perturbation.perturb, perturbation.seed)
    reading = Reading(**vars(files))
    say = invocation.cache.messages.say
    watch = None if options.watch is None else tuple(options.watch)
    watched = Watch(watch, options.rasters, options.extremes)
    job = Job(options.on, options.time_steps, watched, bins=parse_bins(options.bins))
    invocation.obtain(samples)
    source = sample_sources.chosen(samples.data, samples.keys | shaping.keys, reading, say)
    ask = functools.partial(
        running.run,
        invocation.cache,
        program,
        samples=source,
        workers=parse_workers(options),
        device=options.device,
    )
    if how is None:
        invocation.show_artifact(ask(job))
    else:
        invocation.show(running.robustness(job, how, perturbation.repeats, ask))


def parse_workers(options: RunOptions) -> Workers | None:
    """The Dask workers of ``options``, None for this process. Raises UsageError for options that do not go together."""
    from deploytool.run.jobs.workers import Tls, Workers

    files = (options.tls_ca, options.tls_cert, options.tls_key)
    given = [path for path in files if path is not None]
    if given and (options.scheduler is None or len(given) < len(files)):
        need = "all three, with --scheduler tls://HOST:PORT"
        raise UsageError("--tls-ca, --tls-cert, --tls-key", f"{len(given)} of three given", need)
    if options.scheduler is None:
        return None
    return Workers(options.scheduler, Tls(given[0], given[1], given[2]) if given else None)


def parse_bins(text: str) -> Bins:
    """``text`` as what time steps have in common. Raises UsageError for any other text."""
    from deploytool.ir.events import BINS

    for known in BINS:
        if text == known:
            return known
    raise UsageError("--bins", f"found {text!r}", " or ".join(BINS))
