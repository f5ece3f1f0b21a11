"""The JSON schema of recipes, made from the sections that read them: the keys, what they may be, what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from deploytool.recipe.recipe import Recipe

FILE: Final = Path(__file__).with_name("recipe.schema.json")
"""The schema as a file, for editors and for the completion of a shell, which has no time to make it."""


WORDS: Final = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
"""{type of a value: what it is in words}."""


@lru_cache(maxsize=1)
def recipe_schema() -> Mapping[str, Any]:
    """The JSON schema (draft 2020-12) of a recipe."""
    schema = Recipe.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A recipe of deploytool"}


def schema_text() -> str:
    """The content of the `FILE`."""
    return json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"


def keys_at(path: Iterable[str | int]) -> tuple[str, ...]:
    """The keys of the section at ``path``, in which the type of a layer follows its number; empty if there is none."""
    return tuple(_field_at(path).get("properties", {}))


def sections_with(key: str) -> Iterator[str]:
    """The sections that have a ``key``: "constraints", "train.ptl"."""
    yield from _sections_with(key, recipe_schema(), "")


def meaning(path: Iterable[str | int]) -> str:
    """What the value at ``path`` means, in one sentence; empty if the path is not known."""
    first, _, rest = str(_field_at(path).get("description", "")).partition(". ")
    return f"{first}." if rest else first


def needed(path: Sequence[str | int]) -> str:
    """What the value at ``path`` may be: its choices, or else its meaning."""
    if choices := _field_at(path).get("enum"):
        return f"one of {', '.join(map(str, choices))}"
    means = meaning(path).rstrip(".")
    return f"a value: {means}" if means else "a value"


def allowed(path: Iterable[str | int]) -> str:
    """What the single value at ``path`` may be in words, such as "a whole number, at least 1"; empty for others."""
    simple = [option for option in _options(_field_at(path)) if "enum" not in option and "pattern" not in option]
    kinds = [WORDS[option["type"]] + limits(option) for option in simple if option.get("type") in WORDS]
    return f"{'' if kinds[0] in ('text', 'true or false') else 'a '}{kinds[0]}" if len(kinds) == 1 else ""


def limits(field: Mapping[str, Any]) -> str:
    """The limits of a number: ", from 2 to 32", ", above 0 and below 1"."""
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f", from {_number(low)} to {_number(high)}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    stated = [f"{word} {_number(field[key])}" for key, word in words.items() if key in field]
    return f", {' and '.join(stated)}" if stated else ""


def _number(value: float) -> str:
    """``value`` as a person writes it: 4,096 or 0.001."""
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _sections_with(key: str, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        for option in _options(field):
            if "properties" in option:
                below = f"{path}.{name}" if path else name
                if key in option["properties"]:
                    yield below
                yield from _sections_with(key, option, below)


def _field_at(path: Iterable[str | int]) -> Mapping[str, Any]:
    field: Mapping[str, Any] = recipe_schema()
    for part in path:
        options = list(_options(field))
        field = next((found for option in options if (found := _child(option, part)) is not None), {})
    options = list(_options(field))
    return {**field, **options[0]} if len(options) == 1 else field


def _child(field: Mapping[str, Any], part: str | int) -> Mapping[str, Any] | None:
    """The schema of ``part`` of a value: a key, the number of an item, or the type of a layer."""
    if isinstance(part, int):
        items = field.get("items")
        return items if isinstance(items, Mapping) else None
    if (target := field.get("discriminator", {}).get("mapping", {}).get(part)) is not None:
        return {"$ref": target}
    found = field.get("properties", {}).get(part)
    return found if isinstance(found, Mapping) else None


def _options(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that a value may follow, without null; what a ``$ref`` stands for in its place."""
    if "anyOf" in field:
        for option in field["anyOf"]:
            if option.get("type") != "null":
                yield from _options(option)
    elif "$ref" in field:
        definitions = recipe_schema()["$defs"]
        yield definitions[field["$ref"].rpartition("/")[2]]
    else:
        yield field
