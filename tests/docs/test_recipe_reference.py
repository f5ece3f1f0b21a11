"""The recipe reference says what the schema says."""

from __future__ import annotations

import re

from manual.recipe import SCHEMA, reference

REFERENCE = reference()


def entry(anchor: str) -> str:
    """What stands below the key with this anchor."""
    found = re.search(rf"{{#{re.escape(anchor)}}}\n: (.*?)\n(?=\n?(?:`|\(|#)|\Z)", REFERENCE, re.DOTALL)
    assert found, anchor
    return found[1]


def test_every_key_of_every_section_has_an_entry() -> None:
    for name, section in SCHEMA["$defs"].items():
        for key in section["properties"]:
            entry_or_section = rf"^(`{key}`{{#[\w-]+}}|#+ \[(\w+\.)?{key}\])$"
            assert re.search(entry_or_section, REFERENCE, re.MULTILINE), f"{name}.{key}"


def test_anchors_differ() -> None:
    anchors = re.findall(r"{#([\w-]+)}", REFERENCE)
    assert len(anchors) == len(set(anchors)) > 100


def test_types_limits_and_defaults() -> None:
    assert "*Whole number, at least 1. Required.*" in entry("train-epochs")
    assert "*Number, above 0 and below 0.5. Default: `0.1`.*" in entry("data-validation")
    assert '*`"subtract"` or `"zero"`. Default: `"subtract"`.*' in entry("constraints-reset")
    assert "*Whole number, from 2 to 32. Default: `8`.*" in entry("constraints-weight_bits")
    assert "*Pair of whole numbers, from 1 to 4,096.*" in entry("data-size")
    assert "*List of three whole numbers, from 1 to 4,096. Required.*" in entry("network-input")
    assert "*List of pairs of whole numbers, above 0.*" in entry("train-tit")
    assert "*Whole number, at least 0 and below 2,147,483,648. Default: `0`.*" in entry("seed")
    kernel = "*Whole number, at least 1, or pair of whole numbers, at least 1. Required.*"
    assert kernel in entry("layer-conv-kernel")


def test_sections_come_in_the_order_of_the_schema() -> None:
    headings = re.findall(r"^#+ \[([\w.]+)\]$", REFERENCE, re.MULTILINE)
    top = [heading for heading in headings if "." not in heading]
    assert top == [key for key in SCHEMA["properties"] if key in top]
    assert {"train.base", "train.augment", "train.ptl", "train.trev", "map.dvs", "map.readout"} <= set(headings)
