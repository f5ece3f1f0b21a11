"""Hostile JSON values: a valid value with one or a few places changed."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

SCALARS: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    255,
    65_536,
    2**31,
    2**63 - 1,
    2**63,
    -(2**70),
    10**400,
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "1",
    "input",
    "x" * 5000,
    "\x1b[2J\r\n",
    "\ud800",
    "../../etc/passwd",
    "<script>",
    "=1+1",
    [],
    {},
    [[]],
    [None],
    {"array": "none"},
    {"": 0},
)
NESTED: Final = (20, 300, 3000)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within ``value``, itself included."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def changed(random: Random, value: Any) -> Any:
    """A copy of ``value`` with one to three places changed."""
    whole = copy.deepcopy(value)
    with _deep():
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            path = _place(random, whole)
            if not path:
                return _other(random, whole) if random.random() < 0.3 else whole
            parent, key = at(whole, path[:-1]), path[-1]
            _change(random, parent, key, whole)
    return whole


def _place(random: Random, whole: Any) -> tuple[Any, ...]:
    """A place in ``whole``: every depth is as likely as another, so that long lists do not hide the rest."""
    path: tuple[Any, ...] = ()
    here = whole
    while isinstance(here, dict | list) and here:
        if path and random.random() < 0.25:
            break
        key = random.choice(list(here)) if isinstance(here, dict) else random.randrange(len(here))
        path, here = (*path, key), here[key]
    return path


def _change(random: Random, parent: Any, key: Any, whole: Any) -> None:
    how = random.randrange(11)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[str(key) + random.choice(("_", " ", "2"))] = parent.pop(key)
    elif how == 2 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif how == 2:
        parent["another"] = random.choice(SCALARS)
    elif how == 3:
        parent[key] = copy.deepcopy(at(whole, _place(random, whole)))
    elif how == 4:
        value: Any = parent[key]
        for _ in range(random.choice(NESTED)):
            value = [value] if random.random() < 0.5 else {"a": value}
        parent[key] = value
    elif how in (5, 6):
        parent[key] = random.choice((None, None, [], {}))  # one value is not known, where those that go with it are
    else:
        parent[key] = _other(random, parent[key])


def _other(random: Random, value: Any) -> Any:
    """Another value in place of ``value``, often one of a similar kind."""
    if isinstance(value, bool) or value is None or random.random() < 0.4:
        return copy.deepcopy(random.choice(SCALARS))
    if isinstance(value, int | float):
        return random.choice(
            (
                -value,
                value + 1,
                value - 1,
                value * 1000,
                float(max(min(value, 2**1000), -(2**1000))),
                str(value),
                2**40,
                0,
                1e30,
            )
        )
    if isinstance(value, str):
        return random.choice((value + "x", value.upper(), value[:-1], value * 200, [value], value + "\n"))
    if isinstance(value, list | tuple):
        return random.choice((value[1:], value * 2, value[::-1], [value], tuple(value), dict.fromkeys("ab", value)))
    return random.choice((list(value.items()), list(value), [value], {**value, "": value}))


def written(value: Any) -> bytes:
    """``value`` as JSON with sorted keys, as the project writes it; what JSON has no words for is written anyway."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with _deep():
            return (json.dumps(value, sort_keys=False, indent=2) + "\n").encode()
    finally:
        sys.set_int_max_str_digits(limit)


@contextmanager
def _deep() -> Iterator[None]:
    """A context in which values that are nested deeply can be copied and written."""
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(depth)
