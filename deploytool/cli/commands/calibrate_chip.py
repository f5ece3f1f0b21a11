"""The command calibrate-chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command
from deploytool.cli.options import DataFolderOption, ReadingOptions

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool calibrate-chip recording@latest")
def calibrate_chip(
    invocation: Invocation,
    recordings: Annotated[
        list[str], typer.Argument(metavar="RECORDING", help="Recordings of a chip, all of one program.")
    ],
    files: ReadingOptions,
    data: Annotated[
        str | None,
        typer.Option(help="The event file or folder that was sent, or a data set's name; by default as recorded."),
    ] = None,
    root: DataFolderOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Use this number of samples at most.")] = 30,
) -> None:
    """Say which assumptions of the emulator explain how recordings of a chip differ from it, and how surely."""
    from deploytool.base.errors import UsageError
    from deploytool.data.formats.reading import Reading
    from deploytool.workflow.calibrate_chip import calibrate_chip as calibrate
    from deploytool.workflow.calibrate_chip import knows_samples
    from deploytool.workflow.sources import samples as sources
    from deploytool.workflow.stored.replay import DataPlace

    cache, reading = invocation.cache, Reading(**vars(files))
    if reading.options and data is None:
        raise UsageError(", ".join(reading.options), "given without --data", "--data")
    source = None
    if data is not None and (reading.options or not all(knows_samples(cache.store, name) for name in recordings)):
        source = sources.samples(data, root, None, None, reading, cache.messages.say)
    found = calibrate(cache, recordings, DataPlace(data, root), source, samples)
    invocation.show(found.as_json() if invocation.as_json else found.for_terminal())
