"""The line of every key in a TOML file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top down, and the numbers of list items: ("network", "layers", 0, "kernel")."""

_BLANK: Final = re.compile(r"(?:[\s]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS: Final = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[KeyPath, int]:
    """{key path: the line, from 1, that sets it}, of tables, keys and list items, for a ``text`` that is valid TOML."""
    found: dict[KeyPath, int] = {}
    for path, position in _Scanner(text.replace("\r\n", "\n")).document():
        found.setdefault(path, position)
    return found


class _Scanner:
    """Reads a valid TOML text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.counted, self.line = 0, 1  # the position up to which lines were counted, and its line
        self.items: dict[KeyPath, int] = {}  # the number of items of every array of tables so far

    def document(self) -> Iterator[tuple[KeyPath, int]]:
        table: KeyPath = ()
        self._skip()
        while self.at < len(self.text):
            line = self._line()
            if self._takes("[["):
                *above, last = self._key()
                array = (*self._resolved(tuple(above)), last)
                table = (*array, self.items.setdefault(array, 0))
                self.items[array] += 1
                self._takes("]]")
                yield from self._upward(table, line)
            elif self._takes("["):
                table = self._resolved(self._key())
                self._takes("]")
                yield from self._upward(table, line)
            else:
                yield from self._pair(table)
            self._skip()

    def _pair(self, table: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        """A key with its value, in ``table``."""
        line = self._line()
        path = (*table, *self._key())
        self._takes("=")
        yield from self._upward(path, line)
        yield from self._value(path)

    def _value(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        if self._takes("["):
            number = 0
            while not self._takes("]"):
                yield (*path, number), self._line()
                yield from self._value((*path, number))
                self._takes(",")
                number += 1
        elif self._takes("{"):
            while not self._takes("}"):
                yield from self._pair(path)
                self._takes(",")
        else:
            self._string() or self._match(_SCALAR)

    def _key(self) -> tuple[str, ...]:
        keys = [self._simple_key()]
        while self._takes("."):
            keys.append(self._simple_key())
        return tuple(keys)

    def _simple_key(self) -> str:
        self._skip()
        if quoted := self._string():
            import tomllib

            return str(tomllib.loads(f"key = {quoted}")["key"])
        return self._match(_BARE_KEY)

    def _resolved(self, keys: KeyPath) -> KeyPath:
        """The path of ``keys``, where an array of tables stands for its last item."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self.items:
                path = (*path, self.items[path] - 1)
        return path

    def _upward(self, path: KeyPath, line: int) -> Iterator[tuple[KeyPath, int]]:
        """``path`` and all that it is in, at ``line``."""
        return ((path[:length], line) for length in range(1, len(path) + 1))

    def _string(self) -> str:
        """The quoted text at this place, with its quotes; "" where there is none."""
        return next(filter(None, map(self._match, _STRINGS)), "")

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else ""

    def _takes(self, mark: str) -> bool:
        """Whether ``mark`` is next, after blanks; it is passed."""
        self._skip()
        is_next = self.text.startswith(mark, self.at)
        self.at += len(mark) if is_next else 0
        return is_next

    def _skip(self) -> None:
        self._match(_BLANK)

    def _line(self) -> int:
        self._skip()
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line
