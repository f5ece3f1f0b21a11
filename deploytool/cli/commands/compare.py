"""The command compare, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command
from deploytool.cli.options import (
    DataFolderOption,
)

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


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


@command("deploytool compare recording-1a2b recording-3c4d --explain")
def compare(
    invocation: Invocation,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="A recording, or a file of spikes or counts.")],
    test: Annotated[str, typer.Argument(metavar="TEST", help="Another of the same samples.")],
    options: ExplainOptions,
) -> None:
    """Compare two recordings, of one network or not, and say why they differ."""
    from deploytool.validate.comparison import TimeScale
    from deploytool.workflow import compare as comparing
    from deploytool.workflow.stored.replay import DataPlace

    place, scale = DataPlace(options.data, options.root), TimeScale(options.cost, options.tau_ms)
    asked = comparing.Asked(options.explain, options.samples, tuple(options.sample or ()), place, scale)
    invocation.show_comparison(comparing.compare(invocation.cache, reference, test, asked))
