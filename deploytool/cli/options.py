"""The arguments and options that several commands take.

Those that travel together are frozen dataclasses, whose fields `deploytool.cli.command` makes options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from deploytool.workflow.sources.networks import ImportOptions

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
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Take at most this much memory, such as 4GB or 512MiB; by default three quarters of what is there.",
        ),
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
        from deploytool.workflow.sources.networks import ImportOptions

        return ImportOptions(**vars(self))


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


def overrides(set_: Sequence[str] | None, download: bool) -> list[str]:
    """The changes of a recipe that --set and --download ask for."""
    return [*(set_ or ()), *(["data.download=true"] if download else [])]
