"""The line of every key is the line that a person would point at."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.recipe.lines import KeyPath, lines_of

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))

TEXT = '''# a comment with = and [brackets]
name = "a # b"   # no key here: x = 1
"quo.ted" = 1
a.b.c = """
x = 1
[y]
"""

[network]
input = [
    2,   # features
    [34, 35],
]
layers = [
    { type = "conv", kernel = [3, 5], pins = { 'conv.1' = 0 } },
    # { type = "spike" },
    { type = "spike" },
]

[network.extra.deep]
z = 1

[[arm]]
k = 1979-05-27T07:32:00Z
[arm.sub]
k = 1
[[arm]]
[[arm.inner]]
k = -inf
'''


def leaves(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """The paths of everything in ``value`` that is no table and no list, and of empty ones."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {leaf for key, item in items for leaf in leaves(item, (*path, key))} or {path}


def test_every_kind_of_key_has_its_line() -> None:
    found = lines_of(TEXT)
    wanted: dict[KeyPath, int] = {
        ("name",): 2,
        ("quo.ted",): 3,
        ("a", "b", "c"): 4,
        ("network",): 9,
        ("network", "input"): 10,
        ("network", "input", 0): 11,
        ("network", "input", 1, 1): 12,
        ("network", "layers"): 14,
        ("network", "layers", 0): 15,
        ("network", "layers", 0, "kernel", 1): 15,
        ("network", "layers", 0, "pins", "conv.1"): 15,
        ("network", "layers", 1, "type"): 17,
        ("network", "extra"): 20,
        ("network", "extra", "deep", "z"): 21,
        ("arm",): 23,
        ("arm", 0, "k"): 24,
        ("arm", 0, "sub", "k"): 26,
        ("arm", 1): 27,
        ("arm", 1, "inner", 0, "k"): 29,
    }
    assert {path: found.get(path) for path in wanted} == wanted
    assert lines_of(TEXT.replace("\n", "\r\n")) == found


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_all_keys_of_the_recipes_are_found(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = lines_of(text)
    assert leaves(tomllib.loads(text)) <= found.keys()
    lines = text.splitlines()
    for keys, line in found.items():
        if isinstance(keys[-1], str):
            assert keys[-1] in lines[line - 1], keys


KEYS = st.sampled_from(["a", "b-1", '"c.d"', "'e # f'", '"g\\"h"'])
SCALARS = st.sampled_from(["1", "-inf", "true", '"x ] } #"', "'{'", '"""two\nlines = 1\n"""', "'''\n[x]\n'''"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n  " + ",  # [\n  ".join(items) + "\n]")
        | st.dictionaries(KEYS, inner.filter(lambda text: "\n" not in text), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + " }"
        )
    ),
    max_leaves=5,
)
TABLES = st.lists(st.tuples(st.sampled_from(["[[t]]", "[[t.u]]", "[[v . w]]"]), st.dictionaries(KEYS, VALUES)))


@given(st.dictionaries(KEYS, VALUES), TABLES)
def test_exactly_the_keys_of_the_file_have_lines(top: dict[str, str], tables: list[tuple[str, dict[str, str]]]) -> None:
    text, wanted = "", {}
    for heading, pairs in (("# top", top), *((head, pairs) for head, pairs in [("[[t]]", {}), *tables])):
        text += heading + "\n"
        for key, value in pairs.items():
            wanted[text.count("\n") + 1] = tomllib.loads(f"{key} = 1").popitem()[0]
            text += f"{key} = {value}\n"
    found = lines_of(text)
    values = tomllib.loads(text)
    assert leaves(values) - {()} <= found.keys()
    for path in found:
        item = values
        for part in path:
            item = item[part]
    assert wanted.items() <= {(line, keys[-1]) for keys, line in found.items()}
