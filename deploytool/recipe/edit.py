"""Changes of a recipe's text: everything that is not changed stays as its author wrote it, comments included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import tomlkit

from deploytool.recipe.load import parse_recipe
from deploytool.recipe.network import LAYER_TYPES
from deploytool.recipe.recipe import Recipe
from deploytool.recipe.toml import toml_value

PLACE: Final = "from"
"""The key of a layer that names the layer before it."""


@dataclass(frozen=True)
class Edit:
    """Changes of a recipe: ``layers`` {layer: {key: new value}}, ``values`` {(section, key): new value}, and the
    ``pools`` {name: (the layer that it comes before, its side)} to insert."""

    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pools: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    values: Mapping[tuple[str, str], Any] = field(default_factory=dict)


def edited(text: str, edit: Edit) -> str:
    """The recipe in ``text`` with ``edit`` applied; a preset is replaced by its layers.

    No layer changes its name: one that would be numbered differently gets its old name. Raises RecipeError for a
    ``text`` that is no recipe.
    """
    document = tomlkit.parse(text)
    recipe = parse_recipe(document.unwrap(), "recipe")
    network: Any = document["network"]
    if "preset" in network:
        _write_out(network, recipe)
    names = [name for name, _ in recipe.network.named_layers()]
    for name, changes in edit.layers.items():
        _change(network["layers"], names.index(name), changes)
    for name, (before, side) in edit.pools.items():
        _insert(network["layers"], names, name, before, side)
    for (section, key), value in edit.values.items():
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        table[key] = value
    return tomlkit.dumps(document)


def _write_out(network: Any, recipe: Recipe) -> None:
    """Replaces the preset of a [network] by its layers."""
    for key in [key for key in network if key != "input"]:
        del network[key]
    array = tomlkit.array().multiline(True)
    for layer in recipe.network.layers:
        stated = layer.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        array.append(_inline({"type": layer.type, **stated}))
    network["layers"] = array


def _change(listed: Any, at: int, changes: Mapping[str, Any]) -> None:
    """Sets the keys ``changes`` of layer number ``at``; a table on one line that lacks one is written anew."""
    layer = listed[at]
    if isinstance(layer, tomlkit.items.InlineTable) and not changes.keys() <= layer.keys():
        listed[at] = _inline({**layer.unwrap(), **changes})
    else:
        layer.update(changes)


def _insert(listed: Any, names: list[str], name: str, before: str, side: int) -> None:
    """Inserts a sum pooling called ``name`` into the ``listed`` layers, whose ``names`` stay as they are."""
    at = names.index(before)
    values: dict[str, Any] = {"type": "sumpool", "name": name, "kernel": side}
    if PLACE in listed[at]:
        values[PLACE] = listed[at][PLACE]
        del listed[at][PLACE]
    for number in range(at, len(names)):
        if LAYER_TYPES[listed[number]["type"]] == LAYER_TYPES["sumpool"] and "name" not in listed[number]:
            _change(listed, number, {"name": names[number]})
    if isinstance(listed, tomlkit.items.AoT):
        table = tomlkit.table()
        table.update(values)
        listed.insert(at, table)
    else:
        listed.insert(at, _inline(values))
    names.insert(at, name)


def _inline(values: Mapping[str, Any]) -> Any:
    """``values`` as a table on one line."""
    return tomlkit.value(toml_value(values))
