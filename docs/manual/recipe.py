"""The recipe reference, from the schema that reads recipes: every key with its type, its default and its meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploytool.base.arrays import format_shape
from deploytool.recipe import NetworkSection, Recipe
from deploytool.recipe.nodes import weight_count
from deploytool.recipe.presets.preset import PresetSection
from deploytool.recipe.presets.table import PRESETS
from deploytool.recipe.schema import WORDS, limits
from manual.markdown import definitions, listed, prose, slug

SCHEMA: Final[Mapping[str, Any]] = Recipe.model_json_schema()
PRESET_KEYS: Final = PresetSection.model_fields.keys() - {"input"}
COUNTS: Final = {2: "pair of", 3: "list of three"}


def reference() -> str:
    """Every section of a recipe in order, each key an entry that can be linked to: ``#train-epochs``."""
    keys = {key: field for key, field in SCHEMA["properties"].items() if _section_of(field) is None}
    top = "## At the top\n\nKeys above the first section.\n\n" + definitions(_entries("", keys, SCHEMA))
    return "\n".join([top, *_sections("", SCHEMA)])


def presets() -> str:
    """The networks by name, with the sizes on their usual input."""
    entries = []
    for name, preset in PRESETS.items():
        network = NetworkSection.model_validate({**preset.options, "preset": name, "input": preset.input})
        source = f", {preset.parameters:,} in its source" if preset.parameters else ""
        options = ", ".join(f"`{option}`" for option in preset.options)
        facts = f"Input {format_shape(preset.input)}. {weight_count(network):,} weights{source}. Options: {options}."
        entries.append((f"`{name}`{{#preset-{name}}}", f"{preset.title[0].upper()}{preset.title[1:]}.\n\n{facts}"))
    return definitions(entries)


def _sections(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """The text of every section below ``path``, each followed by the sections in it."""
    for key, field in schema["properties"].items():
        section = _section_of(field)
        if section is None:
            continue
        name = f"{path}.{key}" if path else key
        own = {
            key: value
            for key, value in section["properties"].items()
            if _section_of(value) is None and not (name == "network" and key in PRESET_KEYS)
        }
        heading = "##" + "#" * name.count(".")
        needed = "*Required.*\n\n" if key in schema.get("required", ()) else ""
        keys = definitions(_entries(name, own, section))
        yield f"({slug('section', name)})=\n{heading} [{name}]\n\n{_about(section)}\n\n{needed}{keys}"
        if name == "network":
            yield _layers()
        yield from _sections(name, section)


def _about(schema: Mapping[str, Any]) -> str:
    """The docstring of a section, without the name of the section before it."""
    text = re.sub(r"^\[[\w.]+\]: ", "", prose(schema["description"]))
    return text[0].upper() + text[1:]


def _layers() -> str:
    """The kinds of layers, and the options of a network with a preset."""
    items = SCHEMA["$defs"]["NetworkSection"]["properties"]["layers"]["items"]
    kinds: dict[str, list[str]] = {_name(option): [] for option in items["oneOf"]}
    for kind, target in items["discriminator"]["mapping"].items():
        kinds[target.rpartition("/")[2]].append(kind)
    models = {name: SCHEMA["$defs"][name] for name in kinds}
    first = next(iter(models.values()))
    shared = [key for key in first["properties"] if all(key in model["properties"] for model in models.values())]
    common = {key: first["properties"][key] for key in shared if key != "type"}
    type_field = {"enum": [kind for group in kinds.values() for kind in group], "description": "The kind of layer."}
    parts = [
        "### Keys of every layer\n",
        definitions([_entry("layer", "type", type_field, True), *_entries("layer", common, first)]),
    ]
    for name, model in models.items():
        own = {key: field for key, field in model["properties"].items() if key not in shared}
        title = " and ".join(f"`{kind}`" for kind in kinds[name])
        anchor = slug("layer", kinds[name][0])
        parts.append(f"({anchor})=\n### Layer {title}\n\n{_about(model)}\n")
        parts.append(definitions(_entries(anchor, own, model)))
    return "\n".join([*parts, _preset()])


def _preset() -> str:
    schema = PresetSection.model_json_schema()
    options = {key: field for key, field in schema["properties"].items() if key != "input"}
    says = "These keys replace `layers`. [Networks by name](networks.md) says which options each preset has."
    keys = definitions(_entries("preset", options, schema))
    return f"(section-network-preset)=\n### Network with a preset\n\n{says}\n\n{keys}"


def _section_of(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The section that a field holds; None for a key with a value."""
    for option in field.get("anyOf", [field]):
        if (name := _name(option)).endswith("Section"):
            return SCHEMA["$defs"][name]  # type: ignore[no-any-return]
    return None


def _name(option: Mapping[str, Any]) -> str:
    """The name of the model that a schema refers to; empty where it refers to none."""
    return str(option.get("$ref", "")).rpartition("/")[2]


def _entries(path: str, keys: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, field in keys.items():
        yield _entry(path, key, field, key in schema.get("required", ()))


def _entry(path: str, key: str, field: Mapping[str, Any], required: bool) -> tuple[str, str]:
    """A key, and below its meaning one line of facts: what it may be, and its default."""
    what = _kind(field)
    default = "Required." if required else _default(field)
    facts = f"{what[0].upper()}{what[1:]}. {default}".strip()
    return f"`{key}`{{#{slug(path, key)}}}", f"{field['description']}\n\n*{facts}*"


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default in (None, [], {}):
        return ""
    return f"Default: `{json.dumps(default)}`."


def _kind(field: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in field:
        return ", or ".join(_kind(option) for option in field["anyOf"] if option.get("type") != "null")
    if "const" in field or "enum" in field:
        values = [field["const"]] if "const" in field else field["enum"]
        return listed([f"`{json.dumps(value)}`" for value in values])
    match field["type"]:
        case "array" if "prefixItems" in field:
            kinds = [_kind(item) for item in field["prefixItems"]]
            assert len(set(kinds)) == 1, f"a list of different kinds: {field}"
            return f"{COUNTS[len(kinds)]} {_plural(kinds[0])}"
        case "array" if "type" not in field["items"] and "enum" not in field["items"]:
            return "list of tables"
        case "array":
            return f"list of {_plural(_kind(field['items']))}"
        case "object":
            return f"table of {_plural(_kind(field['additionalProperties']))}"
        case kind:
            return WORDS[kind] + limits(field)


def _plural(kind: str) -> str:
    """``kind`` of several values."""
    for word in ("pair", "number", "text"):
        if word in kind.split(",")[0].split():
            return kind.replace(word, f"{word}s", 1)
    return kind
