"""The map of the cores: every layer on its core, bars in proportion to memories."""

from __future__ import annotations

import re

from helpers.command import network

from deploytool.chip.chips import chip_named
from deploytool.ir.graph import chain
from deploytool.map.compile import check, compile_graph
from deploytool.report.views.cores import LETTERS, WIDTH, core_map, fit_view

CHIP = chip_named("speck2e")


def test_every_layer_is_on_its_core_with_bars_of_its_memories() -> None:
    program = compile_graph(network(), CHIP).program
    drawn = re.findall(r"<g>(.*?)</g>", core_map(program, CHIP))
    assert len(drawn) == len(CHIP.cores)
    on = {number: name for name, number in program.core_of.items()}
    for number, core in enumerate(drawn):
        name = on.get(number, "free")
        assert f">core {number}</text>" in core
        assert f">{name}</text>" in core
        taken = [float(width) for width in re.findall(r'width="([\d.]+)" height="5" class="dt-lost"', core)]
        if name == "free":
            assert taken == [0, 0]
            continue
        memory, whole = program.layers[name].memory(), CHIP.cores[number]
        shares = (1 << memory.kernel_bits) / whole.kernel_words, (1 << memory.neuron_bits) / whole.neuron_words
        assert taken == [round((WIDTH - 16) * share, 2) for share in shares]


def test_a_long_name_is_shortened_and_whole_in_the_title() -> None:
    long = "a_layer_with_a_name_that_is_long"
    nodes = [(long if name == "conv2" else name, node) for name, node in network().nodes.items()]
    program = compile_graph(chain(nodes), CHIP).program
    drawn = core_map(program, CHIP)
    assert len(long) > LETTERS
    assert f">{long[: LETTERS - 1]}…</text>" in drawn
    assert f"core {program.core_of[long]}: {long}." in drawn


def test_a_fit_shows_the_memory_of_the_largest_core_for_a_layer_without_one() -> None:
    found = check(network(), CHIP, split=False).as_json() | {"refused_later": [], "warnings": []}
    whole = fit_view("title", found, check(network(), CHIP).program, CHIP)
    assert "svg" in whole
    for layer in found["layers"]:
        core = CHIP.cores[layer["core"]]
        assert f"{1 << layer['kernel_bits']:,} of {core.kernel_words:,}" in whole
        layer["core"] = None
    without = fit_view("title", found, check(network(), CHIP).program, CHIP)
    assert f" of {max(core.kernel_words for core in CHIP.cores):,}" in without
    assert f" of {max(core.neuron_words for core in CHIP.cores):,}" in without
