"""Mapping keeps the width that a network was trained at, unless a person asks for another by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.command import RECIPE, answer, invoke, network, refusal

from deploytool.base.messages import Messages
from deploytool.convert.nir import write_nir
from deploytool.ir.program_file import load_program
from deploytool.store.artifact import Artifact, Store
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.map import Width, map_graph


def four_bits(folder: Path) -> Path:
    """The file of a network whose weights were trained as integers of 4 bits."""
    weight = np.random.default_rng(0).integers(-8, 8, (4, 2, 3, 3)).astype(np.float32)
    write_nir(replace(network(weight=weight), weight_bits=4), folder / "four.nir")
    return folder / "four.nir"


def largest(artifact: Artifact) -> int:
    return int(np.abs(load_program(artifact.path).layers["conv"].single.weights.astype(int)).max())


def test_another_width_is_refused_unless_it_is_asked_for_by_name(tmp_path: Path) -> None:
    path = four_bits(tmp_path)
    said = refusal(invoke(tmp_path, "map", path, "--weight-bits", 8), 2)
    assert said.count("4 bits") == 1
    assert "the network was trained at 4 bits, and its weights would change; need --weight-bits 4, or no" in said
    done = invoke(tmp_path, "map", path, "--weight-bits", 8, "--requantise", "--json")
    assert "weights trained at 4 bits become weights of 8 bits" in done.stderr
    assert answer(done)["recipe"]["requantised_from"] == 4
    assert answer(invoke(tmp_path, "map", path, "--weight-bits", 4, "--json")) == answer(
        invoke(tmp_path, "map", path, "--json")
    )


@pytest.mark.parametrize("options", [("--requantise",), ("--requantise", "--weight-bits", 4)])
def test_requantising_to_the_same_width_is_refused(tmp_path: Path, options: tuple[object, ...]) -> None:
    said = refusal(invoke(tmp_path, "map", four_bits(tmp_path), *options), 2)
    assert "--requantise: has no effect: the network was trained at 4 bits; need --weight-bits with a width" in said


def test_a_network_that_states_no_width_has_eight_bits_or_what_is_asked_for(tmp_path: Path) -> None:
    cache = StageCache(Store(tmp_path / "store"), Messages(quiet=True))
    write_nir(network(), tmp_path / "net.nir")
    source = str(tmp_path / "net.nir")
    assert largest(map_graph(cache, convert(cache, source))) == 127
    assert largest(map_graph(cache, convert(cache, source), width=Width(3))) == 3
    assert largest(map_graph(cache, convert(cache, str(four_bits(tmp_path))))) in (7, 8)
    said = refusal(invoke(tmp_path, "map", source, "--requantise", "--weight-bits", 4), 2)
    assert "has no effect: the network does not state a width" in said


def test_more_bits_than_the_chip_has_are_refused(tmp_path: Path) -> None:
    write_nir(replace(network(), weight_bits=12), tmp_path / "net.nir")
    said = refusal(invoke(tmp_path, "map", tmp_path / "net.nir"), 7)
    assert "speck2e: weights of 12 bits; need at most 8" in said


def test_the_simulator_has_no_width(tmp_path: Path) -> None:
    for options in (("--weight-bits", 8), ("--requantise",)):
        said = refusal(invoke(tmp_path, "map", four_bits(tmp_path), "--target", "simulator", *options), 2)
        assert "given for the simulator" in said


def test_a_recipe_for_the_simulator_alone_maps_for_no_chip(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    simulated = RECIPE.partition("[validate]")[0].replace("[run]\n", '[run]\non = ["simulator"]\n')
    (tmp_path / "recipe.toml").write_text(simulated)
    assert invoke(tmp_path, "pipeline", tmp_path / "recipe.toml").exit_code == 0
    (program,) = (tmp_path / "store").glob("program-*")
    assert load_program(program).chip == "simulator"


def test_plain_commands_give_the_program_of_the_recipe(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    limits = '[constraints]\nweight_bits = 4\nfan_in = 12\n[run]\non = ["emulator"]\n'
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("[run]\n", limits))
    assert invoke(tmp_path, "pipeline", tmp_path / "recipe.toml").exit_code == 0
    (of_recipe,) = (tmp_path / "store").glob("program-*")
    graph = answer(invoke(tmp_path, "convert", "model@latest", "--json"))["artifact"]
    assert answer(invoke(tmp_path, "map", graph, "--json"))["artifact"] == of_recipe.name
    weights = load_program(of_recipe).layers["conv1"].single.weights
    assert weights.min() >= -8
    assert weights.max() <= 7
