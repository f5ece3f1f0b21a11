"""Edits of a recipe's text: layers in either notation, names that stay, and everything else as it was."""

from __future__ import annotations

import tomllib

import pytest

from deploytool.base.errors import RecipeError
from deploytool.recipe import parse_recipe
from deploytool.recipe.edit import Edit, edited

REST = """
[train]
time_steps = 6
epochs = 2
batch = 32
learning_rate = 5e-3 # slow
"""
INLINE = f"""name = "r"
[data]
set = "digits"
[network] # the network
input = [2, 16, 16]
layers = [
    {{ type = "conv", out = 4, kernel = 3, padding = 1 }}, {{ type = "spike" }}, # one
    # a line of its own
    {{ type = "sumpool", kernel = 2 }},
    {{ type = "flatten" }}, {{ type = "linear", out = 10 }}, {{ type = "spike" }},
]
{REST}"""
TABLES = f"""name = "r"
[data]
set = "digits"
[network]
input = [2, 16, 16]
[[network.layers]]
type = "conv" # first
out = 4
kernel = 3
[[network.layers]]
type = "spike"
[[network.layers]] # second
type = "conv"
from = "spike1"
out = 8
kernel = 3
[[network.layers]]
type = "spike"
[[network.layers]]
type = "sumpool" # last
kernel = 2
[[network.layers]]
type = "flatten"
[[network.layers]]
type = "linear"
out = 10
[[network.layers]]
type = "spike"
{REST}"""


def names(text: str) -> list[str]:
    return [name for name, _ in parse_recipe(tomllib.loads(text), "").network.named_layers()]


@pytest.mark.parametrize("text", [INLINE, TABLES])
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert edited(text, Edit()) == text


def test_a_key_that_is_there_changes_in_place() -> None:
    assert edited(INLINE, Edit({"conv1": {"kernel": 5}})) == INLINE.replace("kernel = 3", "kernel = 5")
    found = edited(TABLES, Edit({"conv2": {"out": 16}}, values={("network", "input"): [2, 12, 12]}))
    assert found == TABLES.replace("out = 8", "out = 16").replace("[2, 16, 16]", "[2, 12, 12]")


def test_a_key_that_is_missing_is_added() -> None:
    assert edited(INLINE, Edit({"conv1": {"stride": 2}})) == INLINE.replace(
        "padding = 1 }", "padding = 1, stride = 2 }"
    )
    assert "[map]\nsplit = true" in edited(INLINE, Edit(values={("map", "split"): True}))


def test_a_pooling_comes_before_its_layer_and_no_other_layer_is_renamed() -> None:
    found = edited(INLINE, Edit(pools={"conv1_pool": ("conv1", 2)}))
    assert names(found) == ["conv1_pool", *names(INLINE)]
    assert '    { type = "sumpool", kernel = 2, name = "pool1" },\n' in found
    assert "# one\n    # a line of its own\n" in found
    found = edited(TABLES, Edit(pools={"conv2_pool": ("conv2", 2)}))
    assert names(found) == [*names(TABLES)[:2], "conv2_pool", *names(TABLES)[2:]]
    network = parse_recipe(tomllib.loads(found), "").network
    assert (network.sources()["conv2_pool"], network.sources()["conv2"]) == (("spike1",), ("conv2_pool",))
    assert "# first" in found
    assert "# last" in found


def test_a_text_that_is_no_recipe() -> None:
    with pytest.raises(RecipeError):
        edited("name = 3", Edit())
