"""JSON files whose values are checked against a type when they are read: the one door for what artifacts hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from deploytool.base.errors import ArtifactError
from deploytool.base.json_text import NEED, canonical_json, parse_json, read_bytes

T = TypeVar("T")

PROBLEMS_MAX: Final = 4
"""The most wrong fields of one file that an error names."""


def read_typed(path: Path, schema: TypeAdapter[T], need: str = NEED) -> T:
    """The value in the JSON file ``path``, of the type of ``schema``. Raises as `typed` and `parse_json`."""
    content = read_bytes(path, need)
    parse_json(content, str(path), need)
    return _validated(content, str(path), schema, need)


def read_checked(path: Path, schema: TypeAdapter[Any], need: str = NEED) -> Any:
    """The plain value in the JSON file ``path``, which is of the type of ``schema``. Raises as `read_typed`."""
    content = read_bytes(path, need)
    value = parse_json(content, str(path), need)
    _validated(content, str(path), schema, need)
    return value


def typed(value: Any, where: str, schema: TypeAdapter[T], need: str = NEED) -> T:
    """The JSON ``value`` of the file ``where``, of the type of ``schema``.

    Raises ArtifactError with a sentence for each of the first wrong fields, which names the field and says ``need``.
    """
    return _validated(canonical_json(value).encode("utf-8"), where, schema, need)


def _validated(content: bytes, where: str, schema: TypeAdapter[T], need: str) -> T:
    try:
        return schema.validate_json(content, strict=True)
    except ValidationError as error:
        raise in_sentences(error, where, need) from None


def in_sentences(error: ValidationError, where: str, need: str = NEED) -> ArtifactError:
    """``error`` about a value of the file ``where``: a sentence for each of the first wrong fields."""
    problems = [_problem(item["loc"], item["msg"], where, need) for item in error.errors(include_url=False)]
    if len(problems) > PROBLEMS_MAX:
        more = len(problems) - PROBLEMS_MAX
        problems[PROBLEMS_MAX:] = [ArtifactError(where, f"{more} more wrong fields", need)]
    return ArtifactError.together(problems)


def _problem(path: tuple[int | str, ...], says: str, where: str, need: str) -> ArtifactError:
    place = ".".join(map(str, path))
    return ArtifactError(f"{where}: {place}" if place else where, says[:1].lower() + says[1:], need)
