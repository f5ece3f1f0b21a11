"""TOML: read from files and from single values on the command line, and written. Each mistake is one sentence."""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.base.errors import RecipeError
from deploytool.recipe.lines import KeyPath, lines_of

NEED: Final = "a recipe in TOML"
NESTED_MAX: Final = 64
"""The maximum nesting depth of lists and tables; a recipe has 5."""
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


@dataclass(frozen=True)
class TomlFile:
    """What a TOML file says: its ``values`` and the ``lines`` of its keys, read without those of its ``mistakes``."""

    values: dict[str, Any]
    lines: Mapping[KeyPath, int]
    mistakes: tuple[RecipeError, ...]


def read_toml(text: str, where: str) -> TomlFile:
    """The ``text`` of the TOML file ``where``; it is empty if the lines without a mistake have no meaning alone."""
    rows, mistakes = text.split("\n"), list[RecipeError]()
    while True:
        try:
            values = _loaded("\n".join(rows))
        except tomllib.TOMLDecodeError as error:
            number, mistake = _mistake(error, rows, where)
            mistakes.append(mistake)
            if not number or not _stands_alone(rows[number - 1]):
                return TomlFile({}, {}, tuple(mistakes))
            rows[number - 1] = ""
        except (RecursionError, ValueError) as error:
            return TomlFile({}, {}, (*mistakes, _unreadable(error, where, NEED)))
        else:
            lines = lines_of("\n".join(rows))
            return TomlFile(values, lines, (*mistakes, *_control_characters(values, lines, where)))


def _mistake(error: tomllib.TOMLDecodeError, rows: Sequence[str], where: str) -> tuple[int, RecipeError]:
    """(the number of the line with a mistake, 0 for the end of the file; the mistake)."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
    reason, line = match.groups() if match else (str(error), None)
    number = int(line or 0)
    row = rows[number - 1] if number else next(row for row in [*reversed(rows), ""] if row or len(rows) == 1)
    place = f"{where}:{number}" if number else where
    at_end = "" if number else " at the end of the file"
    return number, RecipeError(place, f"not TOML: {_lower(reason)}{at_end}", NEED, BACKSLASH if "\\" in row else "")


def _stands_alone(row: str) -> bool:
    """Whether a line of TOML begins and ends nothing that other lines belong to."""
    return not row.lstrip().startswith("[") and all(row.count(a) == row.count(b) for a, b in ("[]", "{}"))


def _control_characters(values: Mapping[str, Any], lines: Mapping[KeyPath, int], where: str) -> Iterator[RecipeError]:
    """A mistake for each text with a control character."""
    for path, found in _escaped(values):
        place = f"{where}:{lines[path]}: {'.'.join(map(str, path))}"
        yield RecipeError(place, f"found {found!r}", "text without control characters", BACKSLASH)


def override(values: dict[str, Any], text: str) -> KeyPath:
    """The key path of one ``section.key=value``, which is set in ``values``; what is no TOML is text.

    A whole number in the path is the place of an item in a list: ``network.layers.7.out=11``.
    Raises RecipeError for another form, a key below a key that is not a section, and unclosed quotes.
    """
    where = f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}..."
    path, equals, written = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(where, "not of the form key=value", "for example --set train.epochs=3")
    try:
        value = _value(written, where)
    except RecipeError:
        if written.lstrip().startswith(('"', "'", "[", "{")):
            raise
        value = written
    return _assign(values, keys, value, where)


def assign(values: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Sets ``value`` at ``path`` in ``values``, in new sections where there are none."""
    _assign(values, [str(key) for key in path], value, ".".join(map(str, path)))


def _assign(values: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> KeyPath:
    """The path of ``keys`` in ``values``, with the places of list items as numbers, where ``value`` is set.

    Raises RecipeError for a key below a key that is not a section, and for a list item that does not exist.
    """
    path: list[str | int] = []
    parent: Any = values
    for depth, key in enumerate(keys):
        is_last = depth == len(keys) - 1
        if isinstance(parent, list):
            if not key.isdecimal() or int(key) >= len(parent):
                raise RecipeError(where, f"no item {key}", f"0 to {len(parent) - 1}")
            path.append(int(key))
        elif isinstance(parent, dict):
            path.append(key)
            if not is_last:
                parent.setdefault(key, {})
        else:
            raise RecipeError(where, f"{keys[depth - 1]} is not a section", "for example --set train.epochs=3")
        if is_last:
            parent[path[-1]] = value
        else:
            parent = parent[path[-1]]
    return tuple(path)


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


def _value(written: str, where: str) -> Any:
    """The value that is ``written`` in TOML. Raises RecipeError if it is not, is nested too deeply, or is too long."""
    try:
        return _loaded(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError as error:
        hint = BACKSLASH if "\\" in written else ""
        raise RecipeError(where, f"not TOML: {error}", "a value in TOML", hint) from None
    except (RecursionError, ValueError) as error:
        raise _unreadable(error, where, "a value in TOML") from None


def _loaded(text: str) -> dict[str, Any]:
    """The values of a TOML ``text``. Raises as tomllib, and RecursionError for more than `NESTED_MAX` levels."""
    values = tomllib.loads(text)
    level: list[Any] = [values]
    for _ in range(NESTED_MAX):
        level = [each for parent in level for each in _items(parent)]
        if not level:
            return values
    raise RecursionError


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _unreadable(error: RecursionError | ValueError, where: str, need: str) -> RecipeError:
    """What Python's reader of TOML gives up on, in a sentence."""
    if isinstance(error, RecursionError):
        return RecipeError(where, "lists or tables nested too deeply", need)
    return RecipeError(where, f"not TOML: {str(error).partition(';')[0]}", need)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _escaped(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """(its path, text) of every text with a control character, such as one from the escape \\t."""
    if isinstance(values, str):
        if any(ord(character) < ord(" ") for character in values):
            yield path, values
        return
    items = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield from _escaped(value, (*path, name))
