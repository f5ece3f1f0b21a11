"""The command convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.base.errors import UsageError
from deploytool.cli.command import command
from deploytool.cli.options import (
    SourceArgument,
    StatementOptions,
)

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool convert net.nir --reset subtract --floor -1")
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
    from deploytool.workflow import convert as conversion

    if lint:
        if stated != StatementOptions() or output is not None:
            raise UsageError(
                "--lint", "given with options for a conversion", "no other option, because it does not convert"
            )
        invocation.show(conversion.lint(Path(source)))
        return
    invocation.show_artifact(conversion.convert(invocation.cache, source, stated.options, output))
