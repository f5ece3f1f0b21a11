"""The command export, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


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


@command("deploytool export recording@latest --counts conv1 -o counts.npy")
def export(
    invocation: Invocation,
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="A recording.")],
    options: ExportOptions,
) -> None:
    """Write the spikes or the spike counts of a recording to files that other programs read."""
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
