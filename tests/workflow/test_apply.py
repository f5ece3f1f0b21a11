"""check --apply: the written network fits, is otherwise the old one, and a recipe keeps what its author wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, answer, invoke, network, refusal
from helpers.sized import sized_networks
from hypothesis import HealthCheck, assume, given, settings

from deploytool.chip.chips import CHIPS
from deploytool.convert.nir import read_nir, write_nir
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Output, Spike, SumPool
from deploytool.map.change import apply_all
from deploytool.map.compile import check
from deploytool.recipe import parse_recipe
from deploytool.store.artifact import Store
from deploytool.workflow.apply import apply_suggestion
from deploytool.workflow.sources.networks import recipe_geometry


def large() -> Graph:
    rng = np.random.default_rng(0)
    nodes = [
        ("in", Input((2, 34, 34))),
        ("conv", Conv(rng.normal(0, 0.1, (32, 2, 3, 3)).astype(np.float32), padding=(1, 1))),
        ("spike", Spike(floor=-1.0)),
        ("pool", SumPool((2, 2), (2, 2))),
        ("flat", Flatten()),
        ("fc", Linear(rng.normal(0, 0.1, (10, 32 * 17 * 17)).astype(np.float32))),
        ("last", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    return chain(nodes)


WIDE = """# The author's comment.
name = "wide"   # a name
[data]
set = "digits"
[network]
input = [2, 34, 34]
layers = [
    { type = "conv", out = 64, kernel = 3, padding = 1 },  # the first
    { type = "spike" },
    { type = "conv", out = 8, kernel = 3, stride = 3 }, { type = "spike" },
    { type = "sumpool", kernel = 3 },
    { type = "flatten" }, { type = "linear", out = 10 },
    { type = "spike" },
]
[train]
time_steps = 6
epochs = 2
batch = 32
learning_rate = 5e-3
"""


def suggested(folder: Path, source: Path, *options: object) -> list[Any]:
    found: list[Any] = answer(invoke(folder, "check", source, *options, "--json"), 7)["suggestions"]
    assert [each["number"] for each in found] == list(range(1, len(found) + 1))
    return found


def test_the_written_network_fits_and_is_the_old_one_with_the_changes(tmp_path: Path) -> None:
    write_nir(large(), tmp_path / "large.nir")
    listed = suggested(tmp_path, tmp_path / "large.nir", "--no-split")
    for each in listed:
        output = tmp_path / f"{each['number']}.nir"
        options = ("--no-split", "--apply", each["number"], "-o", output, "--json")
        done = answer(invoke(tmp_path, "check", tmp_path / "large.nir", *options))
        assert done["applied"] == each
        assert (done["written"], done["fits"]) == (str(output), True)
        assert answer(invoke(tmp_path, "check", output, "--json"))["fits"] is True
        (suggestion,) = [s for s in check(large(), CHIPS["speck2e"], split=False).suggestions if s.says == each["says"]]
        assert read_nir(output).digest == apply_all(large(), suggestion.changes).digest
    shown = invoke(tmp_path, "check", tmp_path / "large.nir", "--apply", 1, "-o", tmp_path / "x.nir")
    assert "1. " in shown.stdout
    assert "x.nir" in shown.stdout


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sized_networks())
def test_every_suggestion_of_any_network_can_be_applied(tmp_path_factory: pytest.TempPathFactory, graph: Graph) -> None:
    count = len(check(graph, CHIPS["speck2e"]).suggestions)
    assume(count)
    folder = tmp_path_factory.mktemp("applied")
    write_nir(graph, folder / "net.nir")
    for number in range(1, count + 1):
        done = apply_suggestion(Store(folder / "store"), str(folder / "net.nir"), (number, folder / "fits.nir"))
        assert done.checked.as_json()["fits"] is True
        assert done.exit_code == 0


def test_a_recipe_keeps_its_comments_and_trains_the_network_that_was_suggested(tmp_path: Path) -> None:
    source = tmp_path / "wide.toml"
    source.write_text(WIDE)
    before = recipe_geometry(parse_recipe(tomllib.loads(source.read_text(encoding="utf-8")), ""))
    report = check(before, CHIPS["speck2e"])
    assert len(suggested(tmp_path, source)) == len(report.suggestions) > 1
    for number, suggestion in enumerate(report.suggestions, 1):
        output = tmp_path / f"{number}.toml"
        done = invoke(tmp_path, "check", source, "--apply", number, "-o", output, "--json")
        assert answer(done, done.exit_code)["fits"] is True
        text = output.read_text()
        for comment in ("# The author's comment.\n", '"wide"   # a name', "},  # the first"):
            assert comment in text
        after = recipe_geometry(parse_recipe(tomllib.loads(output.read_text(encoding="utf-8")), ""))
        wanted = apply_all(before, suggestion.changes)
        assert after.shapes == wanted.shapes
        assert sorted(after.edges) == sorted(wanted.edges)


def test_a_preset_is_written_out(tmp_path: Path) -> None:
    source, output = tmp_path / "r.toml", tmp_path / "fits.toml"
    preset = 'preset = "nmnist"\ninput = [2, 128, 128]  # all of it\nclasses = 10\nspiking_output = true\n'
    _, _, train = WIDE.partition("[train]")
    source.write_text(f'name = "v"\n[data]\nset = "digits"\n[network]\n{preset}[train]{train}')
    listed = suggested(tmp_path, source)
    done = invoke(tmp_path, "check", source, "--apply", len(listed), "-o", output, "--json")
    assert answer(done, done.exit_code)["fits"] is True
    assert "preset" not in output.read_text()
    assert "# all of it" in output.read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--apply", 99, "-o", "x.nir"), "--apply 99: no suggestion 99 for"),
        (("--apply", 0, "-o", "x.nir"), "--apply 0: no suggestion 0 for"),
        (("--apply", 1, "-o", "x.toml"), "the suffix .toml, for a .nir file; need a file with the suffix .nir"),
        (("--apply", 1), "--apply 1: no file for the network; need --output FILE"),
        (("-o", "x.nir"), "--output x.nir: given without --apply"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_nir(large(), tmp_path / "large.nir")
    assert sentence in refusal(invoke(tmp_path, "check", "large.nir", "--no-split", *options), 2)
    assert not (tmp_path / "x.nir").exists()


def test_a_network_that_fits_has_nothing_to_apply(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    said = refusal(invoke(tmp_path, "check", tmp_path / "net.nir", "--apply", 1, "-o", tmp_path / "x.nir"), 2)
    assert "fits speck2e, so nothing is suggested" in said
    (tmp_path / "r.toml").write_text(RECIPE)
    said = refusal(invoke(tmp_path, "check", tmp_path / "r.toml", "--apply", 1, "-o", tmp_path / "x.nir"), 2)
    assert "the suffix .nir, for a recipe; need a file with the suffix .toml" in said
