"""The drawing of the network: every layer once, every route, nothing over anything else."""

from __future__ import annotations

import re

import pytest
from helpers import report_example as example

from deploytool.chip.chips import CHIPS
from deploytool.ir.program import Program
from deploytool.map.split import split
from deploytool.report.figures import placement
from deploytool.report.network import cores


def split_program(*parts: int) -> Program:
    whole = split(example.program(), {"conv2": parts}, CHIPS["speck2e"])
    return whole.with_layers(whole.layers, core_of={name: core for core, name in enumerate(whole.layers)})


@pytest.mark.parametrize("program", [example.program(), split_program(12, 4), split_program(4, 4, 4, 4)])
def test_boxes_are_inside_and_apart(program: Program) -> None:
    boxes, height = placement._laid_out(program)
    assert boxes.keys() == {"input", "answer", *program.layers}
    for name, box in boxes.items():
        assert box.x >= 0
        assert box.x + box.width <= placement.WIDTH
        assert box.y + box.height <= height
        for other_name, other in boxes.items():
            apart = (
                box.x + box.width <= other.x
                or other.x + other.width <= box.x
                or box.y + box.height <= other.y
                or other.y + other.height <= box.y
            )
            assert name == other_name or apart


def test_every_route_is_drawn_and_every_layer_is_a_link_with_its_facts() -> None:
    program = split_program(12, 4)
    drawn = placement.placement(program, cores(program, CHIPS["speck2e"]))
    routes = re.findall(r'data-from="(\w+)" data-to="(\w+)"', drawn)
    assert set(routes) == {
        ("input", "conv1"),
        *((name, route.to) for name, layer in program.layers.items() for route in layer.routes),
        *((name, "answer") for name in program.outputs),
    }
    assert re.findall(r'href="#layer-(\d)"', drawn) == ["0", "1", "2", "3", "4"]
    assert "conv1 on core 0; map 8×34×34; kernel memory: 144 of 16,384 words used by the layer" in drawn


def test_a_shortcut_leads_around_the_layers_between() -> None:
    assert placement.ranks(example.program()) == {"conv1": 0, "conv2": 1, "conv3": 2, "fc1": 3}


def test_long_names_are_shortened() -> None:
    assert placement.shortened("abcdef", 4) == "abc…"
    assert placement.shortened("abcd", 4) == "abcd"
