"""A recipe as text in which a comment says what each key does, from the descriptions of the keys."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploytool.recipe.schema import FILE, meaning
from deploytool.recipe.toml import toml_value

WIDTH: Final = 100
"""Columns up to which a comment stands behind its key; a longer one stands above it."""
BESIDE: Final = 24
"""The column of comments behind keys, or the next one that is free."""


def commented(values: Mapping[str, Any], heading: str) -> str:
    """The recipe ``values`` as TOML, below the lines of ``heading`` as comments."""
    lines = [f"#:schema {FILE.as_uri()}", *_comment(heading)]
    lines += _section((), values)
    return "\n".join(lines) + "\n"


def _section(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the section at ``path``: its keys, then the sections in it, each below its name."""
    yield from _pairs(path, {key: value for key, value in values.items() if not isinstance(value, Mapping)})
    for name, section in values.items():
        if isinstance(section, Mapping):
            yield from ("", f"[{'.'.join((*path, name))}]")
            yield from _section((*path, name), section)


def _comment(text: str) -> Iterator[str]:
    """The lines of ``text`` as comments, the long ones divided."""
    for line in text.splitlines():
        yield from (f"# {part}" for part in textwrap.wrap(line, WIDTH, break_on_hyphens=False))


def _pairs(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the keys in ``values``, each with its meaning; a list of tables has one of them per line."""
    for key, value in values.items():
        comment = f"# {meaning((*path, key))}"
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield comment
            yield f"{key} = ["
            yield from (f"    {toml_value(item)}," for item in value)
            yield "]"
            continue
        pair = f"{key} = {toml_value(value)}"
        beside = f"{pair:<{BESIDE}}  {comment}"
        if len(beside) <= WIDTH:
            yield beside
        else:
            yield comment
            yield pair
