"""What a shell completes: names of artifacts, chips, targets, data sets, presets and rungs, and the keys of --set.

A shell waits for every answer, so nothing heavy is imported: names come from the store's folders and from the JSON
schema of recipes, a file. Where nothing fits, the shell completes files.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

from deploytool.base.printable import printable

Completed: TypeAlias = list[tuple[str, str]]
"""Each completion, and what it means."""
Complete: TypeAlias = Callable[[typer.Context, str], Completed]

PACKAGE: Final = Path(__file__).parents[1]
DATA: Final = ("data", "set")
ARTIFACT: Final = re.compile(r"[a-z]+-[0-9a-f]+")
"""The name of an artifact. A shell would run a part of some other names when they are in a command."""


def completion_of(parameter: str) -> Complete | None:
    """What completes a parameter of a command, by its name; None where the shell completes files."""
    return _BY_PARAMETER.get(parameter)


def artifacts(*kinds: str, words: tuple[str, ...] = ()) -> Complete:
    """Completes artifacts of ``kinds``, all if none are named, by name or as kind@latest, and ``words``."""

    def complete(ctx: typer.Context, incomplete: str) -> Completed:
        names = _artifact_names(Path(ctx.params.get("store") or "artifacts"))
        found = {name: name.partition("-")[0] for name in names}
        found = {name: kind for name, kind in found.items() if not kinds or kind in kinds}
        latest = {f"{kind}@latest": "the newest" for kind in dict.fromkeys(found.values())}
        shipped = {}
        if (incomplete and not kinds) or {"program", "model"} & set(kinds):
            shipped = {f"zoo:{name}": "a model that ships" for name in _shipped()}
        return _fitting({**dict.fromkeys(words, ""), **latest, **found, **shipped}, incomplete)

    return complete


def choices(*path: str, more: tuple[str, ...] = ()) -> Complete:
    """Completes what the key of recipes at ``path`` may be, and ``more``."""

    def complete(_ctx: typer.Context, incomplete: str) -> Completed:
        return _fitting(dict.fromkeys((*_choices(_field(path)), *more), ""), incomplete)

    return complete


def settings(_ctx: typer.Context, incomplete: str) -> Completed:
    """Completes the KEY of KEY=VALUE; once the key is complete, its values, if they are known."""
    key, equals, _ = incomplete.partition("=")
    keys = dict(_keys(_schema(), ""))
    if (field := keys.get(key)) is not None and (values := _choices(field)):
        return _fitting({f"{key}={value}": "" for value in values}, incomplete)
    if equals:
        return []
    return _fitting({f"{name}=": _meaning(field) for name, field in keys.items()}, incomplete)


_NETWORKS: Final = artifacts("model", "graph", "program")
_RUNS: Final = artifacts("recording")
_BY_PARAMETER: Final[Mapping[str, Complete]] = {
    "artifact": artifacts(words=("presets", "models", "schema")),
    "source": _NETWORKS,
    "networks": _NETWORKS,
    "program": artifacts("program"),
    "recording": _RUNS,
    "recordings": _RUNS,
    "reference": _RUNS,
    "test": _RUNS,
    "against": _RUNS,
    "samples_of": _RUNS,
    "verdict": artifacts("verdict"),
    "chip": choices("constraints", "chip"),
    "target": choices("constraints", "chip", more=("simulator",)),
    "on": choices("run", "on"),
    "rung": choices("validate", "require"),
    "require": choices("validate", "require"),
    "data": choices(*DATA),
    "preset": choices("network", "preset"),
    "reset": choices("constraints", "reset"),
    "set_": settings,
}
"""{parameter of a command: what completes it}."""


class CompletedCommand(TyperCommand):
    """A command that takes the words before one to be completed as they are: their types, and pydantic, cost time."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fills ``ctx`` with the values of ``args``, and gives those that belong to no parameter."""
        if ctx.resilient_parsing:
            return _as_written(self, ctx, args)
        with _refused_on_a_terminal():
            return super().parse_args(ctx, args)


class CompletedGroup(TyperGroup):
    """A group of such commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fills ``ctx`` with the values of ``args``, and gives those that belong to the command."""
        if not ctx.resilient_parsing:
            with _refused_on_a_terminal():
                return super().parse_args(ctx, args)
        rest = _as_written(self, ctx, args)
        ctx._protected_args, ctx.args = rest[:1], rest[1:]
        return rest[1:]


@contextlib.contextmanager
def _refused_on_a_terminal() -> Iterator[None]:
    """A context in which the message of a refusal is one that a terminal only shows: words may be names of files."""
    try:
        yield
    except Exception as refusal:
        message = getattr(refusal, "message", None)
        if isinstance(message, str):
            refusal.message = "\n".join(map(printable, message.split("\n")))  # type: ignore[attr-defined]
        raise


def _as_written(command: TyperCommand | TyperGroup, ctx: Any, args: list[str]) -> list[str]:
    """The words of ``args`` that belong to no parameter of ``command``; ``ctx`` gets the others as they are written."""
    parser = command.make_parser(ctx)
    values, rest, _ = parser.parse_args(args=args)
    for parameter in command.get_params(ctx):
        if parameter.name is not None:
            ctx.params[parameter.name], source = parameter.consume_value(ctx, values)
            ctx.set_parameter_source(parameter.name, source)
    ctx.args = rest
    ctx._opt_prefixes.update(parser._opt_prefixes)
    return rest


def _fitting(names: Mapping[str, str], incomplete: str) -> Completed:
    return [(name, meaning) for name, meaning in names.items() if name.startswith(incomplete)]


def _artifact_names(store: Path) -> list[str]:
    """The artifacts in the folder ``store``, newest first."""
    try:
        with os.scandir(store) as entries:
            named = [entry for entry in entries if ARTIFACT.fullmatch(entry.name) and entry.is_dir()]
            folders = [(entry.stat().st_mtime, entry.name) for entry in named]
    except OSError:
        return []
    return [name for _, name in sorted(folders, reverse=True)]


def _shipped() -> Iterator[str]:
    """The names of the models that ship."""
    yield from sorted(path.parent.name for path in (PACKAGE / "zoo").glob("*/figures.json"))


@functools.cache
def _schema() -> Mapping[str, Any]:
    """The JSON schema of recipes, from its file."""
    found: Mapping[str, Any] = json.loads((PACKAGE / "recipe" / "recipe.schema.json").read_text(encoding="utf-8"))
    return found


def _keys(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(key path, schema) of every key in ``section``, at ``path``, and in the sections below it."""
    for name, field in section["properties"].items():
        place = f"{path}.{name}" if path else name
        below = [option for option in _options(field) if "properties" in option]
        if below:
            yield from _keys(below[0], place)
        else:
            yield place, field


def _field(path: tuple[str, ...]) -> Mapping[str, Any]:
    """The schema of the key at ``path``."""
    return dict(_keys(_schema(), ""))[".".join(path)]


def _choices(field: Mapping[str, Any]) -> tuple[str, ...]:
    """What a value may be, if it is one of a few; also the items of a list."""
    for option in _options(field):
        for form in (option, option.get("items", {})):
            if "enum" in form:
                return tuple(map(str, form["enum"]))
        if option.get("type") == "boolean":
            return "true", "false"
    return ()


def _options(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that a value may follow, and what a ``$ref`` stands for in its place."""
    for option in field.get("anyOf", [field]):
        target = option.get("$ref", "").rpartition("/")[2]
        yield _schema()["$defs"][target] if target else option


def _meaning(field: Mapping[str, Any]) -> str:
    """The first sentence of what a key means."""
    return str(field.get("description", "")).partition(". ")[0]
