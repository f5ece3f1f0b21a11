"""The command line: its commands, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Final, TypeAlias

import typer
from typer.core import TyperCommand

from deploytool.cli.completion import CompletedGroup

Command: TypeAlias = TyperCommand | CompletedGroup

COMMANDS: Final = (
    "pipeline",
    "train",
    "convert",
    "init",
    "check",
    "map",
    "run",
    "import-recording",
    "sweep",
    "validate",
    "compare",
    "report",
    "show",
    "verify",
    "export",
    "calibrate-chip",
    "package",
    "bench",
    "device",
)
"""The names of the commands, in the order of the help. Each is in the file of `deploytool.cli.commands` of its name."""


class _Commands(Mapping[str, Command]):
    """{name: command}; a command is imported when it is asked for."""

    def __getitem__(self, name: str) -> Command:
        if name not in COMMANDS:
            raise KeyError(name)
        word = name.replace("-", "_")
        found: Command = getattr(import_module(f"deploytool.cli.commands.{word}"), word)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(CompletedGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]

    def list_commands(self, _ctx: Any) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)


app: Final = typer.Typer(
    name="deploytool",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a trained spiking neural network to a SynSense Speck2e chip, "
    "with proof of how far the chip's answer is from the trained one.",
)


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """From a trained spiking neural network to a SynSense Speck2e chip, with proof of how far the answers differ."""
    if version:
        from importlib.metadata import version as version_of

        print(f"deploytool {version_of('deploytool')}")
        raise typer.Exit


def main() -> None:
    """The entry point of the ``deploytool`` command."""
    app()
