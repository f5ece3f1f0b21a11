"""The problems of a recipe in sentences, and what was probably meant by a misspelled name."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from deploytool.base.errors import DeployError, RecipeError
from deploytool.base.nearest import did_you_mean, nearest
from deploytool.recipe.lines import KeyPath
from deploytool.recipe.network import LAYER_TYPES
from deploytool.recipe.schema import allowed, keys_at, needed, sections_with
from deploytool.recipe.section import ConflictError

CHOICE: Final = re.compile(r"'([^']*)'")
"""A choice in what pydantic expects of a value: "'sdt', 'nmt' or 'mtt'"."""


@dataclass(frozen=True)
class Problem:
    """What is wrong at ``path``, in a sentence without its place. Each of ``ways`` {key path: value} would solve it.

    ``meant`` is the value, or for an unknown key the name, that was probably meant.
    """

    path: KeyPath
    says: str
    ways: tuple[Mapping[KeyPath, object], ...] = ()
    unknown_key: bool = False
    meant: str | None = None
    kind: type[DeployError] = RecipeError


def as_problem(error: DeployError, within: KeyPath = ()) -> Problem:
    """``error``, whose place is relative to the section ``within``; a place that is no key stays in the sentence."""
    sentence = str(error)
    place = re.match(r"[\w.]*(?=: )", sentence)
    says = sentence if place is None else sentence[place.end() + 2 :]
    stated = error.ways if isinstance(error, RecipeError) else ()
    ways = tuple({(*within, *key_path(key)): value for key, value in way.items()} for way in stated)
    return Problem((*within, *key_path(place[0] if place else "")), says, ways, kind=type(error))


def key_path(text: str) -> KeyPath:
    """The path of a key as it is written: network.layers.0.kernel."""
    return tuple(int(key) if key.isdecimal() else key for key in text.split(".") if key)


def problems_of(error: ValidationError) -> list[Problem]:
    """Every problem that pydantic found; the keys of a section are listed once, with a key that is close to none."""
    listed: set[KeyPath] = set()
    return [problem for item in error.errors() for problem in _problems(item, listed)]


def _problems(item: Any, listed: set[KeyPath]) -> Iterator[Problem]:
    """The problems of one pydantic error; ``listed`` are the sections whose keys were listed."""
    loc: KeyPath = tuple(item["loc"])
    path, value = _without_types(loc), item.get("input")
    message = _lower(item["msg"].removeprefix("Input should be "))
    match item["type"]:
        case "value_error":
            cause = item["ctx"]["error"]
            if isinstance(cause, ConflictError):
                yield from (as_problem(problem, path) for problem in cause.problems)
            else:
                yield Problem(path, f"{cause}.")
        case "extra_forbidden":
            yield _unknown(loc, path, listed)
        case "missing":
            yield Problem(path, f"missing; need {needed(loc)}.")
        case "model_type":
            place = ".".join(map(str, path))
            yield Problem(path, f"found {_short(value)}; need a section, [{place}].")
        case "union_tag_invalid":
            tag = value.get("type") if isinstance(value, Mapping) else None
            yield _choice((*path, "type"), tag, tuple(LAYER_TYPES))
        case "union_tag_not_found":
            yield Problem(path, f"no type; need one of {', '.join(LAYER_TYPES)}.")
        case "literal_error" if choices := CHOICE.findall(item["ctx"]["expected"]):
            yield _choice(path, value, choices)
        case _:
            need = "" if item["type"] == "finite_number" else allowed(loc)
            yield Problem(path, f"found {_short(value)}; need {need or message}.")


def _unknown(loc: KeyPath, path: KeyPath, listed: set[KeyPath]) -> Problem:
    """A key that its section does not have."""
    key, section, known = str(path[-1]), path[:-1], keys_at(loc[:-1])
    others = [name for name in sections_with(key) if key_path(name) != section]
    meant = None if others else nearest(key, known)
    says = "unknown key."
    if meant or others:
        says += f" Did you mean {meant or f'{others[0]}.{key}'}?"
    elif known and section not in listed:
        listed.add(section)
        says += f" Known keys: {', '.join(known)}."
    return Problem(path, says, unknown_key=True, meant=meant)


def _choice(path: KeyPath, value: object, choices: Sequence[str]) -> Problem:
    """A value that is none of ``choices``."""
    says = f"found {_short(value)}; need one of {', '.join(choices)}. {did_you_mean(value, choices)}"
    return Problem(path, says.strip(), meant=nearest(value, choices))


def _without_types(loc: KeyPath) -> KeyPath:
    """``loc`` without the types of layers, which pydantic puts behind their numbers."""
    return tuple(
        part for at, part in enumerate(loc) if not (at and isinstance(loc[at - 1], int) and part in LAYER_TYPES)
    )


def _short(value: object) -> str:
    """``value`` as Python writes it, shortened if it is long."""
    text = reprlib.repr(value) if isinstance(value, int) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
