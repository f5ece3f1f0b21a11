"""The command line: each command turns its parameters into one call of the pipeline and shows what came back."""

from __future__ import annotations

import functools
import inspect
import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

app: Final = typer.Typer(
    name="deploytool",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a trained spiking neural network to a SynSense Speck2e chip, "
    "with proof of how far the chip's answer is from the trained one.",
)
device_app: Final = typer.Typer(help="Boards that are connected.", no_args_is_help=True)
app.add_typer(device_app, name="device")

StoreOption = Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the artifacts.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet/--verbose", "-q/-v", help="Only results, or all there is to say.")]
RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in TOML.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe. Repeatable.")
]
TensorBoardOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Also write the training's history to TensorBoard event files here.")
]
ResetOption = Annotated[
    str | None, typer.Option(metavar="subtract|zero", help="Reset rule of a file that does not state it.")
]
FloorOption = Annotated[float | None, typer.Option(help="Lower clamp of a file that does not state it.")]
ChipOption = Annotated[str, typer.Option(help="speck2e, speck2f or dynapcnn.")]
PinOption = Annotated[
    list[str] | None, typer.Option("--pin", metavar="LAYER=CORE", help="Put a layer on this core. Repeatable.")
]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|FILE|pkg.mod:function",
        help="A trained model, a .nir, .onnx or .pt file, or a function of yours that returns a torch or sinabs "
        "module. Its file is imported, which runs its code.",
    ),
]
DtOption = Annotated[
    float | None, typer.Option(help="Time for which a spike drives leaky neurons, where a file does not state it.")
]
DelayOption = Annotated[
    int | None, typer.Option("--delay-us", help="How long a way back takes, where a recurrent file does not state it.")
]
NetworkOption = Annotated[
    Path | None, typer.Option(metavar="RECIPE", help="The recipe whose [network] a state_dict belongs to.")
]
LintOption = Annotated[bool, typer.Option("--lint", help="Only say what other frameworks would do with a .nir file.")]
ShapeOption = Annotated[str | None, typer.Option(metavar="C,H,W", help="Input shape of a module of yours.")]
NirOption = Annotated[Path | None, typer.Option("--output", "-o", help="Also write the network to this .nir file.")]
GeometryArgument = Annotated[str | None, typer.Argument(metavar="GRAPH", help="A graph, a .nir file, or a recipe.")]
DataOption = Annotated[str, typer.Option(help="A data set's name, a .npy or .bin event file, or a folder of them.")]
OnOption = Annotated[str, typer.Option(help="emulator, simulator, quantised, or a board such as speck2edevkit:0.")]
SplitOption = Annotated[bool, typer.Option("--split/--no-split", help="May layers be split over several cores.")]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="local[:N]|tcp://HOST:PORT", help="Spread the samples over Dask workers.")
]
DeviceOption = Annotated[str, typer.Option(metavar="cpu|cuda", help="What computes: the same result, bit for bit.")]
PerturbOption = Annotated[
    str | None,
    typer.Option(
        metavar="order=8us,drop=0.1%,threshold=2%,weights=1%",
        help="Reorder and lose input events, vary thresholds and weights, and tell the spread over --repeats draws.",
    ),
]
COMMON: Final = {
    "store": (StoreOption, Path("artifacts")),
    "json": (JsonOption, False),
    "quiet": (QuietOption, False),
}


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """From a trained spiking neural network to a SynSense Speck2e chip, with proof of how far the answers differ."""
    if version:
        from importlib.metadata import version as version_of

        print(f"deploytool {version_of('deploytool')}")
        raise typer.Exit


def command(example: str, of: typer.Typer = app, name: str | None = None) -> Callable[..., Callable[..., None]]:
    """Makes ``f(invocation, ...)`` a command with the common options, and its errors into sentences and exit codes."""

    def register(function: Callable[..., int | None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**parameters: Any) -> None:
            from deploytool.cli.invocation import Invocation

            common = {key: parameters.pop(key) for key in COMMON}
            invocation = Invocation(common["store"], as_json=common["json"], quiet=common["quiet"])
            raise typer.Exit(_guarded(invocation, lambda: function(invocation, **parameters)))

        own = list(inspect.signature(function, eval_str=True, locals={"Invocation": object}).parameters.values())[1:]
        added = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in COMMON.items()
        ]
        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature(keyword + added)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword + added}
        of.command(name or function.__name__.strip("_"), epilog=f"Example: {example}")(run)
        return run

    return register


def _guarded(invocation: Invocation, call: Callable[[], int | None]) -> int:
    """The exit code of ``call``; whatever it raises is told in the way its kind deserves."""
    from deploytool.base.errors import INTERRUPTED, DeployError

    try:
        return call() or 0
    except DeployError as error:
        invocation.fail(error.problems, error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        invocation.fail(("Interrupted. Run the same command again: what is finished is kept.",), INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        invocation.fail(
            (f"This is a bug in deploytool ({type(error).__name__}); please report it with the lines above.",), 1
        )
        return 1


@command("deploytool pipeline recipes/digits.toml")
def pipeline(
    invocation: Invocation, recipe: RecipeArgument, set_: SetOption = None, tensorboard: TensorBoardOption = None
) -> int:
    """Run the whole chain: train, convert, map, run, validate, report."""
    from deploytool.recipe import load_recipe
    from deploytool.workflow import pipeline as chain

    verdict, report = chain.pipeline(invocation.cache, load_recipe(recipe, set_ or ()), tensorboard)
    return invocation.show_verdict(verdict, report)


@command("deploytool train recipes/digits.toml --set train.epochs=3")
def train(
    invocation: Invocation, recipe: RecipeArgument, set_: SetOption = None, tensorboard: TensorBoardOption = None
) -> None:
    """Train the network of a recipe under the chip's constraints."""
    from deploytool.recipe import load_recipe
    from deploytool.workflow import train as training

    invocation.show_artifact(training.train(invocation.cache, load_recipe(recipe, set_ or ()), tensorboard))


@command("deploytool convert net.nir --reset subtract --floor -1")
def convert(
    invocation: Invocation,
    source: SourceArgument,
    reset: ResetOption = None,
    floor: FloorOption = None,
    dt_ms: DtOption = None,
    delay_us: DelayOption = None,
    shape: ShapeOption = None,
    network: NetworkOption = None,
    output: NirOption = None,
    lint: LintOption = False,
) -> None:
    """Bring a network into the store as NIR."""
    from deploytool.workflow import convert as conversion
    from deploytool.workflow.networks import ImportOptions

    if lint:
        invocation.show(conversion.lint(Path(source)))
        return
    options = ImportOptions(reset, floor, dt_ms, shape, network, delay_us)
    invocation.show_artifact(conversion.convert(invocation.cache, source, options, output))


@command("deploytool check net.nir --chip speck2e")
def check(
    invocation: Invocation,
    graph: GeometryArgument = None,
    chip: ChipOption = "speck2e",
    pin: PinOption = None,
    split: SplitOption = True,
    rules: Annotated[bool, typer.Option("--rules", help="Print every rule of the chip.")] = False,
) -> int:
    """Say whether a network fits the chip, why not, and what would make it fit."""
    from deploytool.cli.options import parse_pins
    from deploytool.workflow import check as checking
    from deploytool.workflow import listing

    if rules or graph is None:
        invocation.show({"rules": listing.rules(chip)})
        return 0
    return invocation.show_fit(checking.check(invocation.cache, graph, chip, parse_pins(pin or ()), split))


@command("deploytool map graph@latest --target speck2e --pin conv1=0", name="map")
def map_(
    invocation: Invocation,
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="A graph, or a .nir file that states its reset rule.")],
    target: Annotated[str, typer.Option(help="speck2e, speck2f, dynapcnn or simulator.")] = "speck2e",
    pin: PinOption = None,
    split: SplitOption = True,
    weight_bits: Annotated[
        int | None,
        typer.Option(min=2, max=8, help="Bits of a weight: by default those of its training, or the chip's 8."),
    ] = None,
    requantise: Annotated[
        bool, typer.Option("--requantise", help="Give trained weights another width, --weight-bits, than their own.")
    ] = False,
    quantise: Annotated[
        str, typer.Option(metavar="plain|calibrated", help="calibrated: scale and rounding chosen on --data.")
    ] = "plain",
    data: Annotated[str | None, typer.Option(help="Calibrate on the training part of a data set.")] = None,
    root: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the data set.")] = None,
    calibration_samples: Annotated[int, typer.Option(min=1, help="Searched on; twice as many others decide.")] = 16,
) -> None:
    """Quantise a network, place it on cores, and write the chip's configuration."""
    from deploytool.cli.options import parse_pins
    from deploytool.recipe import MapSection
    from deploytool.workflow import map as mapping
    from deploytool.workflow import samples as sample_sources

    calibration = sample_sources.asked_calibration(quantise, data, root, calibration_samples)
    spec = MapSection(
        pins=parse_pins(pin or ()),
        split=split,
        quantise="calibrated" if calibration else "plain",
        calibration_samples=calibration_samples,
    )
    width = mapping.Width(weight_bits, requantise)
    invocation.show_artifact(mapping.map_graph(invocation.cache, graph, target, spec, width, calibration))


@command("deploytool run program@latest --on emulator --data events.npy")
def run(
    invocation: Invocation,
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A mapped program.")],
    data: DataOption,
    on: OnOption = "emulator",
    root: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the data set.")] = None,
    denoise_ms: Annotated[float | None, typer.Option(help="Drop events without a neighbour in so many ms.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Only so many samples, evenly over the classes.")] = None,
    time_steps: Annotated[int | None, typer.Option(min=1, help="Time steps, for --on quantised.")] = None,
    watch: Annotated[list[str] | None, typer.Option(metavar="LAYER", help="Count only these. Repeatable.")] = None,
    rasters: Annotated[int, typer.Option(min=0, help="Keep single spikes of so many samples.")] = 0,
    extremes: Annotated[bool, typer.Option("--extremes", help="Measure the lowest and highest V; slower.")] = False,
    scheduler: SchedulerOption = None,
    device: DeviceOption = "cpu",
    perturb: PerturbOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="Draws of the perturbation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the perturbation.")] = 0,
) -> None:
    """Run a program event by event over samples and record the spikes. Interrupted, it goes on where it was."""
    from deploytool.run.jobs.perturbation import parse_perturbation
    from deploytool.workflow import run as running
    from deploytool.workflow import samples as sample_sources

    how = None if perturb is None else parse_perturbation(perturb, seed)
    source = sample_sources.samples(data, root, denoise_ms, samples)
    ask = functools.partial(
        running.run,
        invocation.cache,
        program,
        on,
        source,
        time_steps,
        watch,
        rasters,
        extremes,
        scheduler,
        device=device,
    )
    if how is None:
        invocation.show_artifact(ask())
    else:
        invocation.show(running.robustness(how, repeats, ask))


@command("deploytool validate recording-1a2b --against recording-3c4d --max-spike-difference 5")
def validate(
    invocation: Invocation,
    recording: Annotated[list[str], typer.Argument(metavar="RECORDING...", help="Recordings of the same samples.")],
    against: Annotated[str, typer.Option(metavar="RECORDING", help="The recording they are measured against.")],
    min_accuracy: Annotated[float | None, typer.Option(min=0, max=100, help="% right on the emulator.")] = None,
    max_accuracy_drop: Annotated[float | None, typer.Option(min=0, max=100, help="Points, torch to emulator.")] = None,
    max_spike_difference: Annotated[float | None, typer.Option(min=0, help="% pooled at the output.")] = None,
    max_synops: Annotated[float | None, typer.Option(min=0, help="Synaptic updates per sample.")] = None,
) -> int:
    """Measure how far recordings are from one another, and judge it."""
    from deploytool.recipe import ValidateSection, asked
    from deploytool.workflow import validate as validation

    limits = asked(
        ValidateSection,
        min_accuracy=min_accuracy,
        max_accuracy_drop=max_accuracy_drop,
        max_spike_difference=max_spike_difference,
        max_synops=max_synops,
    )
    return invocation.show_verdict(validation.validate(invocation.cache, recording, limits, against))


@command("deploytool report verdict@latest")
def report(
    invocation: Invocation,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="A verdict.")] = "verdict@latest",
    samples: Annotated[int, typer.Option(min=0, help="Samples shown as pictures.")] = 4,
) -> None:
    """Write a verdict and all that led to it as one HTML page."""
    from deploytool.workflow.report import report as write_report

    invocation.show_artifact(write_report(invocation.cache, verdict, samples))


@command("deploytool show program@latest")
def show(
    invocation: Invocation,
    artifact: Annotated[str | None, typer.Argument(metavar="ARTIFACT", help="Or presets; by default all.")] = None,
    datasets: Annotated[bool, typer.Option("--datasets", help="List the data sets a recipe can name.")] = False,
    synop_pj: Annotated[float | None, typer.Option(min=0, help="Energy you assume per SynOp of a recording.")] = None,
) -> None:
    """Print an artifact and where it came from, or list all there are."""
    from deploytool.workflow import listing
    from deploytool.workflow import validate as validation
    from deploytool.workflow.show import contents

    if datasets:
        invocation.show({"datasets": listing.datasets()})
    elif artifact == "presets":
        invocation.show({"presets": listing.presets()})
    elif artifact is None:
        invocation.show({"artifacts": contents(invocation.cache.store)})
    elif synop_pj is not None:
        invocation.show(validation.energy(invocation.cache, artifact, synop_pj))
    else:
        invocation.show_artifact(invocation.cache.store.get(artifact), whole=True)


@command("deploytool export recording@latest --counts conv1 -o counts.npy")
def export(
    invocation: Invocation,
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="A recording.")],
    counts: Annotated[str, typer.Option(metavar="LAYER", help="Spikes per neuron of this layer, before pooling.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npy file: int64 (samples, C, H, W).")],
) -> None:
    """Write spike counts of a layer as a numpy array."""
    from deploytool.workflow import export as exporting

    invocation.show(exporting.export_counts(invocation.cache, recording, counts, output))


@command("deploytool device list", of=device_app, name="list")
def device_list(invocation: Invocation) -> None:
    """List the boards that are connected."""
    from deploytool.run.targets.board import list_devices

    invocation.show({"devices": list_devices()})


@command("deploytool device selftest emulator", of=device_app, name="selftest")
def device_selftest(
    invocation: Invocation,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A board such as speck2edevkit:0, or emulator.")],
) -> None:
    """Run a small network on a device and compare every count with the executable specification."""
    from deploytool.workflow.selftest import selftest

    invocation.show(selftest(device))


@command("deploytool bench simulator")
def bench(
    invocation: Invocation,
    what: Annotated[
        str,
        typer.Argument(metavar="[simulator|large|gpu|training|memory|check|claims]", help="By default all but claims."),
    ] = "all",
    claim: Annotated[str | None, typer.Option(metavar="NAME", help="Only this one of the claims.")] = None,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the claims are.")] = Path("recipes/claims"),
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Has nmnist and mnist, for the claims.")] = None,
) -> None:
    """Measure speed as ratios within one run, against named peers; or try the papers' claims, for about an hour."""
    from deploytool.base.errors import UsageError
    from deploytool.bench import bench as measure
    from deploytool.bench.experiments import claims, for_terminal

    if what != "claims":
        if claim is not None or root is not None:
            raise UsageError("--claim, --root", f"given with bench {what}", "bench claims")
        invocation.show(measure(what))
        return
    found = claims(invocation.cache, folder, claim, root)
    invocation.show(found if invocation.as_json else {**for_terminal(found["claims"]), "table": found["table"]})


def main() -> None:
    """The entry point of the ``deploytool`` command. What a terminal cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
