"""The command line: each command turns its options into one call of a workflow and shows what came back."""

from __future__ import annotations

import functools
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploytool.cli.bench import bench
from deploytool.cli.by_layer import parse_balancers, parse_decimators, parse_pins
from deploytool.cli.calibrate_chip import calibrate_chip
from deploytool.cli.check import check
from deploytool.cli.command import command
from deploytool.cli.completion import CompletedGroup
from deploytool.cli.device import device_app
from deploytool.cli.init import init
from deploytool.cli.options import (
    CalibrationOptions,
    ContinuousOptions,
    DownloadOption,
    ExplainOptions,
    ExportOptions,
    ForeignOptions,
    KnownSamplesOptions,
    LimitOptions,
    PerturbationOptions,
    PlacementOptions,
    ReadingOptions,
    RecipeArgument,
    RunOptions,
    SetOption,
    SourceArgument,
    StatementOptions,
    TensorBoardOption,
    WidthOptions,
)
from deploytool.cli.package import package
from deploytool.cli.parsing import overrides, parse_bins, parse_workers
from deploytool.cli.samples import SampleOptions, ShapingOptions
from deploytool.cli.sweep import sweep

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

app: Final = typer.Typer(
    name="deploytool",
    cls=CompletedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a trained spiking neural network to a SynSense Speck2e chip, "
    "with proof of how far the chip's answer is from the trained one.",
)
app.add_typer(device_app, name="device")


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """From a trained spiking neural network to a SynSense Speck2e chip, with proof of how far the answers differ."""
    if version:
        from importlib.metadata import version as version_of

        print(f"deploytool {version_of('deploytool')}")
        raise typer.Exit


@command(app, "deploytool pipeline recipes/digits.toml")
def pipeline(
    invocation: Invocation,
    recipe: RecipeArgument,
    ci: ContinuousOptions,
    set_: SetOption = None,
    download: DownloadOption = False,
    tensorboard: TensorBoardOption = None,
) -> int:
    """Run the whole chain: train, convert, map, run, validate, report."""
    from deploytool.workflow import pipeline as chain
    from deploytool.workflow.ci_files import ci_files
    from deploytool.workflow.preflight import load_trainable

    told = ci_files(**vars(ci))
    verdict, report = chain.pipeline(
        invocation.cache, load_trainable(recipe, overrides(set_, download), invocation.say), tensorboard
    )
    return invocation.show_verdict(verdict, told, report)


@command(app, "deploytool train recipes/digits.toml --set train.epochs=3")
def train(
    invocation: Invocation,
    recipe: RecipeArgument,
    set_: SetOption = None,
    download: DownloadOption = False,
    tensorboard: TensorBoardOption = None,
) -> None:
    """Train the network of a recipe under the chip's constraints."""
    from deploytool.workflow import train as training
    from deploytool.workflow.preflight import load_trainable

    asked = load_trainable(recipe, overrides(set_, download), invocation.say)
    invocation.show_artifact(training.train(invocation.cache, asked, tensorboard))


@command(app, "deploytool convert net.nir --reset subtract --floor -1")
def convert(
    invocation: Invocation,
    source: SourceArgument,
    stated: StatementOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the network to this .nir file.")
    ] = None,
    lint: Annotated[
        bool, typer.Option("--lint", help="Only report how other frameworks would read a .nir file.")
    ] = False,
) -> None:
    """Import a network into the store as NIR."""
    from deploytool.base.errors import UsageError
    from deploytool.workflow import convert as conversion

    if lint:
        if stated != StatementOptions() or output is not None:
            raise UsageError(
                "--lint", "given with options for a conversion", "no other option, because it does not convert"
            )
        invocation.show(conversion.lint(Path(source)))
        return
    invocation.show_artifact(conversion.convert(invocation.cache, source, stated.options, output))


command(app, "deploytool init --from recordings -o mine.toml")(init)
command(app, "deploytool check net.nir --chip speck2e")(check)


@command(app, "deploytool map graph@latest --target speck2e --pin conv1=0", name="map")
def map_(
    invocation: Invocation,
    source: SourceArgument,
    stated: StatementOptions,
    placement: PlacementOptions,
    width: WidthOptions,
    calibration: CalibrationOptions,
    shaping: ShapingOptions,
) -> None:
    """Quantise a network, place it on cores, and write the chip's configuration."""
    from deploytool.recipe import MapSection
    from deploytool.workflow import convert as conversion
    from deploytool.workflow import map as mapping
    from deploytool.workflow.samples import asked_calibration

    count = calibration.calibration_samples
    invocation.obtain(calibration)
    chosen_on = asked_calibration(calibration.quantise, calibration.data, calibration.root, count, shaping.keys)
    spec = MapSection(
        pins=parse_pins(placement.pin),
        split=placement.split,
        slow_clock_hz=placement.slow_clock,
        decimate=parse_decimators(placement.decimate),
        balance=parse_balancers(placement.balance),
    )
    if chosen_on is not None:
        changed = {"quantise": "calibrated", "calibration_samples": count or spec.calibration_samples}
        spec = spec.model_copy(update=changed)
    asked = mapping.Width(width.weight_bits, width.requantise)
    graph = conversion.convert(invocation.cache, source, stated.options)
    invocation.show_artifact(mapping.map_graph(invocation.cache, graph, placement.target, spec, asked, chosen_on))


@command(app, "deploytool run program@latest --on emulator --data events.npy")
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
    from deploytool.workflow import samples as sample_sources

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


@command(
    app,
    "deploytool import-recording spikes.csv --program program@latest --rung board --samples-of recording@latest",
    name="import-recording",
)
def import_recording(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of text, .npy, .npz, NIR data or AEDAT4.")],
    program: Annotated[str, typer.Option(metavar="PROGRAM", help="The program whose layers were recorded.")],
    rung: Annotated[str, typer.Option(help="What ran it: board, emulator, simulator, quantised or torch.")],
    samples: KnownSamplesOptions,
    foreign: ForeignOptions,
) -> None:
    """Import spikes or counts that a board or another simulator recorded."""
    from deploytool.base.errors import UsageError
    from deploytool.data.formats.reading import AS_IT_IS
    from deploytool.data.spikes.statements import Statements
    from deploytool.workflow import import_recording as importing
    from deploytool.workflow import samples as sample_sources

    renames = importing.parse_renames(foreign.rename or ())
    statements = Statements(rung, foreign.layer, foreign.time_unit, renames, tuple(foreign.watch or ()))
    known: str | sample_sources.SampleSource | None = samples.samples_of
    if samples.data is not None:
        if known is not None:
            raise UsageError("--data", "given with --samples-of", "one of the two")
        say = invocation.cache.messages.say
        known = sample_sources.samples(samples.data, samples.root, None, samples.samples, AS_IT_IS, say)
    elif samples.root is not None or samples.samples is not None:
        raise UsageError("--root, --samples", "given without --data", "a data set's name in --data")
    invocation.show_artifact(importing.import_recording(invocation.cache, file, program, statements, known))


command(app, "deploytool sweep model@latest --time-steps 1,2,4,...,64 --figure curves.svg")(sweep)


@command(app, "deploytool validate recording-1a2b --against recording-3c4d --max-spike-difference 5")
def validate(
    invocation: Invocation,
    recording: Annotated[list[str], typer.Argument(metavar="RECORDING...", help="Recordings of the same samples.")],
    limits: LimitOptions,
    ci: ContinuousOptions,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RECORDING|FILE",
            help="Compare all with this recording, or file of spikes or counts, and apply limits to every run or pair; "
            "by default, the ladder's.",
        ),
    ] = None,
) -> int:
    """Measure the differences between recordings and give a verdict."""
    from deploytool.recipe import ValidateSection, asked
    from deploytool.workflow import validate as validation
    from deploytool.workflow.ci_files import ci_files

    told, asked_limits = ci_files(**vars(ci)), asked(ValidateSection, **limits.given)
    return invocation.show_verdict(validation.validate(invocation.cache, recording, asked_limits, against), told)


@command(app, "deploytool compare recording-1a2b recording-3c4d --explain")
def compare(
    invocation: Invocation,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="A recording, or a file of spikes or counts.")],
    test: Annotated[str, typer.Argument(metavar="TEST", help="Another of the same samples.")],
    options: ExplainOptions,
) -> None:
    """Compare two recordings, of one network or not, and say why they differ."""
    from deploytool.validate.comparison import TimeScale
    from deploytool.workflow import compare as comparing
    from deploytool.workflow.replay import DataPlace

    place, scale = DataPlace(options.data, options.root), TimeScale(options.cost, options.tau_ms)
    asked = comparing.Asked(options.explain, options.samples, tuple(options.sample or ()), place, scale)
    invocation.show_comparison(comparing.compare(invocation.cache, reference, test, asked))


@command(app, "deploytool report verdict@latest")
def report(
    invocation: Invocation,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="A verdict.")] = "verdict@latest",
    samples: Annotated[int, typer.Option(min=0, help="Number of samples shown.")] = 4,
    title: Annotated[str | None, typer.Option(help="Title of the page; by default the verdict's name.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE|FOLDER", help="Also write the page here.")
    ] = None,
) -> None:
    """Write a verdict and everything behind it as one HTML page."""
    from deploytool.workflow.report import copy_page
    from deploytool.workflow.report import report as write_report

    made = write_report(invocation.cache, verdict, samples, title)
    copied = {} if output is None else {"copy": str(copy_page(made, output))}
    invocation.show_artifact(made, also=copied)


@command(app, "deploytool show program@latest")
def show(
    invocation: Invocation,
    artifact: Annotated[
        str | None,
        typer.Argument(metavar="ARTIFACT", help="An artifact, presets, models or schema; by default all artifacts."),
    ] = None,
    datasets: Annotated[bool, typer.Option("--datasets", help="List the data sets a recipe can name.")] = False,
    synop_pj: Annotated[
        float | None, typer.Option(min=0, help="Energy per SynOp, in pJ, that you assume for a recording.")
    ] = None,
) -> None:
    """Print an artifact and its lineage, or list all artifacts."""
    from deploytool.workflow import show as showing
    from deploytool.workflow import zoo
    from deploytool.zoo.models import is_shipped

    store = invocation.cache.store
    if datasets:
        invocation.show({"datasets": showing.datasets()})
    elif artifact == "presets":
        invocation.show({"presets": showing.presets()})
    elif artifact == "models":
        invocation.show_models(zoo.models())
    elif artifact == "schema":
        print(showing.schema(), end="")
    elif artifact is None:
        invocation.show_list(showing.artifacts(store))
    elif is_shipped(artifact):
        whole = showing.describe(store, store.get(artifact)) if invocation.as_json else {}
        invocation.show(whole | zoo.card(artifact))
    elif synop_pj is not None:
        invocation.show(showing.energy(store, artifact, synop_pj))
    else:
        invocation.show_artifact(store.get(artifact), whole=True)


@command(app, "deploytool export recording@latest --counts conv1 -o counts.npy")
def export(
    invocation: Invocation,
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="A recording.")],
    options: ExportOptions,
) -> None:
    """Write the spikes or the spike counts of a recording to files that other programs read."""
    from deploytool.base.errors import UsageError
    from deploytool.workflow import export as exporting

    store, counts, output = invocation.cache.store, options.counts, options.output
    if counts is not None and output is not None:
        if options.spikes or options.samples:
            raise UsageError("--output", "given with --spikes or --samples", "--counts LAYER alone")
        invocation.show(exporting.export_counts(store, recording, counts, output))
        return
    if output is not None or (counts is not None and not counts.lower().endswith(exporting.TABLE)):
        found = "given without --counts LAYER" if counts is None else f"missing, with --counts {counts}"
        raise UsageError("--output", found, "--counts LAYER --output FILE.npy, or --counts FILE.csv for all layers")
    if not (counts or options.spikes or options.samples):
        raise UsageError("export", "nothing to write", "--spikes FILE, --counts LAYER -o FILE, or --counts FILE.csv")
    table = None if counts is None else Path(counts)
    invocation.show(exporting.export_files(store, recording, options.spikes, table, options.samples))


command(app, "deploytool calibrate-chip recording@latest", name="calibrate-chip")(calibrate_chip)
command(app, "deploytool package program@latest -o net.zip")(package)


command(app, "deploytool bench net.nir --data events.npy")(bench)


def main() -> None:
    """The entry point of the ``deploytool`` command. What a terminal cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
