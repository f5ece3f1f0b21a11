"""The Python API: every function with its arguments, every result with its attributes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import deploytool
from deploytool.api.result import Result
from manual.markdown import first_sentence, prose, table


def functions() -> str:
    """Every function: how it is called, and its docstring."""
    return "\n".join(
        f"### `{name}`\n\n{_definition(name, found)}\n\n{prose(inspect.getdoc(found) or '')}\n"
        for name, found in _names(classes=False)
    )


def results() -> str:
    """What every result has, then every result: what it is, and its own attributes and methods."""
    kinds = [(name, found) for name, found in _names(classes=True) if found.__module__.startswith("deploytool.api")]
    common = {name for name, _ in _attributes(Result)}
    heading = "All results but a Fit, a Verification and Events have:\n"
    parts = [heading, table(("Attribute", "What it is"), _attributes(Result))]
    for name, found in kinds:
        own = [(attribute, says) for attribute, says in _attributes(found) if attribute not in common]
        parts.append(f"### `{name}`\n\n{prose(inspect.getdoc(found) or '')}\n")
        parts.append(table(("Attribute", "What it is"), own))
    return "\n".join(parts)


def _names(classes: bool) -> Iterator[tuple[str, Any]]:
    """(name, what it is) of the functions or the classes that users see, in the order of the package."""
    for names in deploytool.HOMES.values():
        for name in names:
            found = getattr(deploytool, name)
            if inspect.isclass(found) == classes:
                yield name, found


def _definition(name: str, function: Any) -> str:
    """``def load(source: object, ...) -> Graph`` as a block of code, an argument per line."""
    found = inspect.signature(function)
    lines, keywords = [], False
    for parameter in found.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keywords:
            lines.append("    *,")
            keywords = True
        stars = "**" if parameter.kind is inspect.Parameter.VAR_KEYWORD else ""
        default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
        lines.append(f"    {stars}{parameter.name}: {parameter.annotation}{default},")
    body = [f"def {name}(", *lines, f") -> {found.return_annotation}: ..."]
    return "\n".join(f"    {line}" for line in body)


def _attributes(result: type) -> Iterator[tuple[str, str]]:
    """(attribute or method, its first sentence), those of the class itself first."""
    seen: dict[str, Any] = {}
    for kind in result.__mro__:
        if kind.__module__.startswith("deploytool.api"):
            seen = {**seen, **{name: found for name, found in vars(kind).items() if name not in seen}}
    for name, found in seen.items():
        if name.startswith("_"):
            continue
        if isinstance(found, property | cached_property):
            yield f"`{name}`", prose(first_sentence(inspect.getdoc(found) or ""))
        elif inspect.isfunction(found):
            yield f"`{name}()`", prose(first_sentence(inspect.getdoc(found) or ""))
