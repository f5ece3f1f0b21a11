"""The command report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool report verdict@latest")
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
    from deploytool.workflow import report as reporting

    if output is None:
        invocation.show_artifact(reporting.report(invocation.cache, verdict, samples, title))
        return
    made, copied = reporting.report_to(output, invocation.cache, verdict, samples, title)
    if made is None:
        invocation.show({"artifact": None, "kind": "report", "copy": str(copied)})
    else:
        invocation.show_artifact(made, also={"copy": str(copied)})
