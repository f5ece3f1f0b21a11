"""The commands, from the command line itself: how each is called, and what every option means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import typer

from deploytool.cli.app import app
from deploytool.cli.options import CommonOptions
from manual.markdown import definitions, slug

COMMON: Final = {field.name for field in dataclasses.fields(CommonOptions)}
VALUES: Final = {"int": "N", "float": "X", "Path": "FILE"}
"""What stands for a value of each type where the option does not name it."""


def commands() -> dict[str, Any]:
    """{"convert", "device list", ...: the command}, in the order of the help."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {f"{name} {key}": value for key, value in inner.items()} if inner else {name: command}
    return found


def own_options() -> set[str]:
    """The options of deploytool itself, such as --version."""
    return {option for parameter in typer.main.get_command(app).params for option in parameter.opts}


def synopsis(name: str) -> str:
    """How command ``name`` is called, its arguments and options, each with what it means."""
    command = commands()[name]
    arguments = [_metavar(parameter) for parameter in _parameters(command) if _is_argument(parameter)]
    call = " ".join(["deploytool", name, *arguments, "[OPTIONS]"])
    terms = definitions(_entries(name, [p for p in _parameters(command) if p.name not in COMMON]))
    return f"```text\n{call}\n```\n\n{command.help}\n\n{terms}\nIt also takes the [options of every command]" + (
        "(index.md#options-of-every-command).\n"
    )


def common_options() -> str:
    """The options that every command takes."""
    command = commands()["show"]
    return definitions(_entries("", [p for p in _parameters(command) if p.name in COMMON]))


def overview() -> str:
    """Every command with the first sentence of its help, and a link to its page."""
    entries = []
    for name, command in commands().items():
        page = name.split()[0]
        entries.append((f"[`deploytool {name}`]({page}.md)", command.help))
    return definitions(entries)


def _parameters(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.name != "help"]


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _entries(command: str, parameters: list[Any]) -> Iterator[tuple[str, str]]:
    for parameter in sorted(parameters, key=lambda p: not _is_argument(p)):
        names = _metavar(parameter) if _is_argument(parameter) else _option(parameter)
        facts = " ".join(fact for fact in (parameter.help, _range(parameter), _default(parameter)) if fact)
        yield f"`{names}`{{#{slug('option', command, parameter.name)}}}", facts


def _option(parameter: Any) -> str:
    """``--output, -o PATH``, or ``--split / --no-split``."""
    names = ", ".join(sorted(parameter.opts, key=len, reverse=True))
    if parameter.is_flag:
        return " / ".join([names, *([", ".join(parameter.secondary_opts)] if parameter.secondary_opts else [])])
    return f"{names} {_metavar(parameter)}"


def _metavar(parameter: Any) -> str:
    """The name of a value: what the command line says, or one that fits its type."""
    if _is_argument(parameter):
        shown = parameter.metavar or parameter.name.upper()
        return shown if parameter.required or shown.startswith("[") else f"[{shown}]"
    kind = getattr(parameter.type_descriptor.annotation, "__name__", "")
    return str(parameter.metavar or VALUES.get(kind, "TEXT"))


def _range(parameter: Any) -> str:
    low, high = parameter.min, parameter.max
    if low is not None and high is not None:
        return f"From {low} to {high}."
    return "" if low is None else f"At least {low}."


def _default(parameter: Any) -> str:
    """The default in words; nothing where there is none."""
    if _is_argument(parameter):
        return ""
    if parameter.required:
        return "Required."
    if parameter.default in (None, False, ()):
        return ""
    return f"Default: `{parameter.opts[0] if parameter.is_flag else parameter.default}`."
