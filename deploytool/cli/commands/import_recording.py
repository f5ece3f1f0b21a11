"""The command import-recording, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command
from deploytool.cli.options import (
    DataFolderOption,
)

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


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
class KnownSamplesOptions:
    """The samples that a file of spikes or counts is of."""

    samples_of: Annotated[
        str | None,
        typer.Option(metavar="RECORDING|FILE", help="A recording of the same samples, or a table of samples."),
    ] = None
    data: Annotated[str | None, typer.Option(help="Or the samples themselves: what run takes as --data.")] = None
    root: DataFolderOption = None
    samples: Annotated[int | None, typer.Option(min=1, help="As for run: only this number of them.")] = None


@command("deploytool import-recording spikes.csv --program program@latest --rung board --samples-of recording@latest")
def import_recording(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of text, .npy, .npz, NIR data or AEDAT4.")],
    program: Annotated[str, typer.Option(metavar="PROGRAM", help="The program whose layers were recorded.")],
    rung: Annotated[str, typer.Option(help="What ran it: board, emulator, simulator, quantised or torch.")],
    samples: KnownSamplesOptions,
    foreign: ForeignOptions,
) -> None:
    """Import spikes or counts that a board or another simulator recorded."""
    from deploytool.data.formats.reading import AS_IT_IS
    from deploytool.data.spikes.statements import Statements
    from deploytool.workflow import import_recording as importing
    from deploytool.workflow.sources import samples as sample_sources

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
