"""TOML: read from files and from single values on the command line, and written. Each mistake is one sentence."""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import RecipeError

NEED: Final = "a recipe in TOML"
BACKSLASH: Final = "Write paths with / or in single quotes: in double quotes a backslash starts an escape."
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of the file ``path``, in UTF-8 with or without a byte order mark. Raises RecipeError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise RecipeError(str(path), reason, NEED) from None
    except ValueError:
        raise RecipeError(str(path), "no such file", NEED) from None
    if content.startswith(_UTF16):
        raise RecipeError(str(path), "UTF-16 text", "a recipe in UTF-8", "Save the file as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(str(path), "not UTF-8 text", NEED, "Save the file as UTF-8.") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables in the TOML file ``path``. Raises RecipeError."""
    values = _parse(read_text(path), str(path), NEED)
    if escaped := list(_escaped(values)):
        raise RecipeError.together(
            RecipeError(f"{path}: {key}", f"found {text!r}", "text without control characters", BACKSLASH)
            for key, text in escaped
        )
    return values


def override(values: dict[str, Any], text: str) -> None:
    """Sets one ``section.key=value`` in ``values``; the value is TOML if it parses as TOML, otherwise text.

    Raises RecipeError for another form, a key below a key that is not a section, and unclosed quotes.
    """
    where = f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}..."
    path, equals, written = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(where, "not of the form key=value", "for example --set train.epochs=3")
    try:
        value = _parse(f"value = {written}", where, "a value in TOML")["value"]
    except RecipeError:
        if written.lstrip().startswith(('"', "'", "[", "{")):
            raise
        value = written
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise RecipeError(where, f"{key} is not a section", "for example --set train.epochs=3")
    values[keys[-1]] = value


def write_toml(values: Mapping[str, Any]) -> str:
    """``values`` as TOML: plain keys first, then a table for each mapping; None is left out.

    A list of mappings has one of them per line.
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    parts = [_pairs(plain)] if plain else []
    parts += [f"[{_key(key)}]\n{_pairs(table)}" for key, table in tables.items()]
    return "\n".join(parts)


def _pairs(values: Mapping[str, Any]) -> str:
    lines = []
    for key, value in values.items():
        if value is None:
            continue
        if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            listed = "".join(f"    {toml_value(item)},\n" for item in value)
            lines.append(f"{_key(key)} = [\n{listed}]\n")
        else:
            lines.append(f"{_key(key)} = {toml_value(value)}\n")
    return "".join(lines)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    """``value`` as TOML on one line; a key whose value is None is left out."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    # Strings of JSON are strings of TOML, except for the character DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(text: str, where: str, need: str) -> dict[str, Any]:
    """The values in ``text``. Raises RecipeError when it is not TOML, is nested too deeply, or has a huge number."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        escape = re.search(r"at line (\d+)", str(error))
        line = text.split("\n")[int(escape[1]) - 1] if escape else text.rpartition("\n")[2]
        raise RecipeError(where, f"not TOML: {error}", need, BACKSLASH if "\\" in line else "") from None
    except RecursionError:
        raise RecipeError(where, "lists or tables nested too deeply", need) from None
    except ValueError as error:
        raise RecipeError(where, f"not TOML: {str(error).partition(';')[0]}", need) from None


def _escaped(values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text) of every text with a control character, such as one from the escape \\t."""
    if isinstance(values, str):
        if any(ord(character) < ord(" ") for character in values):
            yield key, values
        return
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield from _escaped(value, f"{key}.{name}" if key else str(name))
