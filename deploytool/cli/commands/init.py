"""The command init: writes a recipe to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploytool.cli.command import command

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation


@command("deploytool init --from recordings -o mine.toml")
def init(
    invocation: Invocation,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Look at the recordings or pictures in this folder."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use this network; `deploytool show presets` lists them.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The recipe to write.")] = Path(
        "recipe.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a recipe that runs, with a comment on every key: for your data, a network by name, or the digits."""
    from deploytool.workflow import init as starting

    written = starting.init(from_, preset)
    starting.write(written, output, force)
    invocation.show({"recipe": str(output), "says": list(written.says)})
