"""The arguments and options of the command line.

Those that several commands take are types; those that travel together are frozen dataclasses, whose fields
`deploytool.cli.command` makes options.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from deploytool.workflow.networks import ImportOptions

RecipeArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in TOML.")]
SetOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe. Repeatable.")
]
TensorBoardOption: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Also write the training's history to TensorBoard event files here.")
]
SourceArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|GRAPH|FILE|pkg.mod:function",
        help="A trained model, a graph, a .nir, .onnx or .pt file, or a function you wrote that returns a torch or "
        "sinabs module. Its file is imported, which runs its code.",
    ),
]
RecipeOrSourceArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL|GRAPH|FILE|pkg.mod:function|RECIPE", help="A source that convert takes, or an untrained recipe."
    ),
]
PinOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--pin", metavar="LAYER=CORE", help="Put a layer on this core. Repeatable.")
]
SplitOption: TypeAlias = Annotated[
    bool, typer.Option("--split/--no-split", help="Allow layers to be split over several cores.")
]
SlowClockOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=10,
        max=10_000,
        metavar="HZ",
        help="Slow clock of the chip; every tick adds the biases of the network.",
    ),
]
DataFolderOption: TypeAlias = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the data set.")]
DownloadOption: TypeAlias = Annotated[
    bool, typer.Option("--download", help="Download the data set if it is not on this machine.")
]
DenoiseOption: TypeAlias = Annotated[
    float | None, typer.Option(help="Drop events without a neighbour in this many ms.")
]
SamplesOption: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Use only this number of samples, spread evenly over the classes.")
]


@dataclass(frozen=True)
class CommonOptions:
    """Options of every command."""

    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the artifacts.")] = Path("artifacts")
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")] = False
    quiet: Annotated[
        bool | None,
        typer.Option("--quiet/--verbose", "-q/-v", help="Print only results, or progress and wider lists as well."),
    ] = None


GitHubSummaryOption: TypeAlias = Annotated[
    bool, typer.Option("--github-summary", help="Add the result to the summary of the step, in GitHub Actions.")
]


@dataclass(frozen=True)
class ContinuousOptions:
    """Where continuous integration gets the verdict."""

    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the checks as JUnit XML.")] = None
    github_summary: GitHubSummaryOption = False


@dataclass(frozen=True)
class StatementOptions:
    """Options for what the file of a network does not state."""

    reset: Annotated[
        str | None, typer.Option(metavar="subtract|zero", help="Reset rule, if the file does not state it.")
    ] = None
    floor: Annotated[float | None, typer.Option(help="Lower clamp, if the file does not state it.")] = None
    dt_ms: Annotated[
        float | None, typer.Option(help="Time for which a spike drives leaky neurons, if the file does not state it.")
    ] = None
    delay_us: Annotated[
        int | None,
        typer.Option("--delay-us", help="Delay of recurrent connections, if the file does not state it."),
    ] = None
    shape: Annotated[str | None, typer.Option(metavar="C,H,W", help="Input shape of your module.")] = None
    network: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="The recipe whose [network] the state dict belongs to.")
    ] = None

    @property
    def options(self) -> ImportOptions:
        """What was stated, for the workflows."""
        from deploytool.workflow.networks import ImportOptions

        return ImportOptions(**vars(self))


@dataclass(frozen=True)
class PlacementOptions:
    """Where a network goes."""

    target: Annotated[
        str | None,
        typer.Option(
            help="speck2e, speck2f, dynapcnn or simulator; by default the chip it was trained for, or speck2e."
        ),
    ] = None
    pin: PinOption = None
    split: SplitOption = True
    slow_clock: SlowClockOption = None
    decimate: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER=N", help="Let one in N spikes of a layer leave its core. Repeatable."),
    ] = None
    balance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER[=SYNOPS_PER_S]",
            help="Drop events that reach a layer while its core is busy, by default at 200e6 SynOps/s. Repeatable.",
        ),
    ] = None


@dataclass(frozen=True)
class WidthOptions:
    """The width of the weights on the chip."""

    weight_bits: Annotated[
        int | None,
        typer.Option(min=2, max=8, help="Bits of a weight; by default those of the training, or the chip's 8."),
    ] = None
    requantise: Annotated[
        bool, typer.Option("--requantise", help="Requantise trained weights to the width of --weight-bits.")
    ] = False


@dataclass(frozen=True)
class CalibrationOptions:
    """How scale and rounding are chosen, and on which samples."""

    quantise: Annotated[
        str, typer.Option(metavar="plain|calibrated", help="calibrated: scale and rounding chosen on --data.")
    ] = "plain"
    data: Annotated[str | None, typer.Option(help="Calibrate on the training part of a data set.")] = None
    root: DataFolderOption = None
    download: DownloadOption = False
    calibration_samples: Annotated[
        int | None,
        typer.Option(min=1, help="Samples for the search; twice as many others decide on the result. By default 16."),
    ] = None


@dataclass(frozen=True)
class ReadingOptions:
    """Options for what event files do not state."""

    columns: Annotated[
        str | None, typer.Option(metavar="xytp", help="The order of the columns of a plain array or table.")
    ] = None
    time_unit: Annotated[
        str | None, typer.Option(metavar="us|ms|s|ns", help="The unit of times in an array or a table.")
    ] = None
    absolute_time: Annotated[
        bool, typer.Option("--absolute-time", help="Start at clock time 0, not at the first event.")
    ] = False
    unwrap: Annotated[
        bool, typer.Option("--unwrap", help="Undo the overflow of a clock, where time jumps back by nearly 2^32.")
    ] = False
    camera: Annotated[
        str | None,
        typer.Option(metavar="dvs128|davis240|davis346|davis640", help="The camera, if an AEDAT 2.0 file names none."),
    ] = None
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Where the events are in an HDF5 file of several recordings.")
    ] = None


@dataclass(frozen=True)
class ForeignOptions:
    """Options for what a file of spikes or counts does not state."""

    layer: Annotated[
        str | None, typer.Option(metavar="LAYER", help="The layer, if the file is of one and does not name it.")
    ] = None
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MEANING",
            help="What a column, layer or array of the file is; nothing after = leaves it out. Repeatable.",
        ),
    ] = None
    time_unit: Annotated[str | None, typer.Option(metavar="us|ms|s|ns", help="The unit of the times.")] = None
    watch: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="A layer that was recorded, even if it has no spike. Repeatable."),
    ] = None


@dataclass(frozen=True)
class ExportOptions:
    """What of a recording is written, and where."""

    counts: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER|FILE.csv",
            help="Spikes per neuron of this layer, before pooling; or of all layers, to this table.",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file for --counts LAYER: .npy, int64 (samples, C, H, W), or .csv."),
    ] = None
    spikes: Annotated[
        Path | None,
        typer.Option(help="Every single spike that was kept: .csv, .npz with all counts, or .h5, NIR data."),
    ] = None
    samples: Annotated[
        Path | None, typer.Option(help="Names, labels and durations of the samples, to this table: .csv.")
    ] = None


@dataclass(frozen=True)
class KnownSamplesOptions:
    """The samples that a file of spikes or counts is of."""

    samples_of: Annotated[
        str | None,
        typer.Option(metavar="RECORDING|FILE", help="A recording of the same samples, or a table of samples."),
    ] = None
    data: Annotated[str | None, typer.Option(help="Or the samples themselves: what run takes as --data.")] = None
    root: DataFolderOption = None
    samples: Annotated[int | None, typer.Option(min=1, help="As for run: only this number of them.")] = None


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


@dataclass(frozen=True)
class LimitOptions:
    """Requirements for a positive verdict: the keys of [validate]."""

    min_accuracy: Annotated[float | None, typer.Option(min=0, max=100, help="% correct on the emulator.")] = None
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=100, help="Percentage points lost from torch to the emulator.")
    ] = None
    max_rmse: Annotated[
        float | None, typer.Option(min=0, help="Root mean square error of values on the emulator, in their unit.")
    ] = None
    min_r2: Annotated[float | None, typer.Option(max=1, help="R2 of values on the emulator, mean over values.")] = None
    max_rmse_rise: Annotated[
        float | None, typer.Option(min=0, help="% by which that error rises from torch to the emulator.")
    ] = None
    max_spike_difference: Annotated[float | None, typer.Option(min=0, help="% pooled at the output.")] = None
    max_mean_spike_difference: Annotated[
        float | None, typer.Option(min=0, help="% at the output, mean over samples.")
    ] = None
    max_layer_spike_difference: Annotated[
        float | None, typer.Option(min=0, help="% pooled in the layer where it is largest.")
    ] = None
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=100, help="% of samples with the same prediction.")
    ] = None
    max_synops: Annotated[float | None, typer.Option(min=0, help="Synaptic updates per sample.")] = None
    max_core_synops_per_s: Annotated[
        float | None, typer.Option(min=0, help="Synaptic updates per second of any core in its busiest ms.")
    ] = None
    max_energy_uj: Annotated[float | None, typer.Option(min=0, help="Estimated microjoules per sample.")] = None
    max_decision_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds to the decision, median of the samples.")
    ] = None
    max_decision_p95_ms: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds to the decision, 95th percentile of the samples.")
    ] = None
    max_cores: Annotated[int | None, typer.Option(min=1, help="Cores used.")] = None
    require: Annotated[
        list[str] | None, typer.Option(metavar="RUNG", help="A rung that must run, such as board. Repeatable.")
    ] = None

    @property
    def given(self) -> dict[str, object]:
        """The options that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class ExplainOptions:
    """Which samples of two runs are explained, where they are, and what a shift in time costs."""

    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say at which event, in which neuron and why the runs first differ; with --verbose, for every layer.",
        ),
    ] = False
    samples: Annotated[
        int, typer.Option(min=1, help="Number of samples that are explained: those that differ most.")
    ] = 3
    sample: Annotated[
        list[str] | None, typer.Option(metavar="NAME|NUMBER", help="Explain this sample. Repeatable.")
    ] = None
    data: Annotated[
        str | None, typer.Option(metavar="FILE|DIR", help="The event files, if they are not where they were.")
    ] = None
    root: DataFolderOption = None
    cost: Annotated[
        float, typer.Option(min=0, help="Cost of moving a spike by 1 ms, for the distance of Victor and Purpura.")
    ] = 0.1
    tau_ms: Annotated[
        float, typer.Option("--tau-ms", min=0.001, help="Time constant of the distance of van Rossum.")
    ] = 10.0
