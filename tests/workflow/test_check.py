"""check takes what convert and map take, and says what these and run would refuse."""

from __future__ import annotations

import re
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, Deploytool, answer, invoke, network, refusal

from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.ir.program_file import load_program
from deploytool.recipe.load import parse_recipe
from deploytool.workflow.check import check_recipe

MODULE = """
from torch import nn

def build():
    import sinabs.layers as sl
    return nn.Sequential(nn.Conv2d(2, 4, 3, bias=True), sl.IAFSqueeze(batch_size=1))
"""


def checked(folder: Path, source: object, *options: object, exit_code: int = 0) -> Any:
    return answer(invoke(folder, "check", source, *options, "--json"), exit_code)


def says(found: Any) -> dict[str, str]:
    """{command: all that it refuses}."""
    told: dict[str, str] = {}
    for refusal_ in found["refused_later"]:
        told[refusal_["command"]] = told.get(refusal_["command"], "") + refusal_["says"]
    return told


def one(weight: float = 0.5, **conv: Any) -> Graph:
    nodes = [
        ("in", Input((2, 6, 6))),
        ("conv", Conv(np.full((3, 2, 3, 3), weight, np.float32), **conv)),
        ("if", Spike(1.0, -1.0)),
        ("out", Output()),
    ]
    return chain(nodes)


def test_artifacts_onnx_and_modules(cli: Deploytool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sinabs")
    for name in ("model@latest", "graph@latest"):
        found = answer(cli("check", name, "--json"))
        assert (found["fits"], [layer["name"] for layer in found["layers"]]) == (True, ["conv1", "fc1"])
        assert found["refused_later"] == []
    (tmp_path / "checked_net.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert "no input shape; need --shape C,H,W" in refusal(invoke(tmp_path, "check", "checked_net:build"), 2)
    found = checked(tmp_path, "checked_net:build", "--shape", "2,8,8", exit_code=6)
    assert found["fits"] is False
    assert "has a bias, and no slow clock that would add it; need a slow clock" in says(found)["map"]
    assert [(layer["name"], layer["original"]) for layer in found["layers"]] == [("conv1", "0")]
    shown = invoke(tmp_path, "check", "checked_net:build", "--shape", "2,8,8").stdout
    assert "layer  original" in shown
    converted = answer(invoke(tmp_path, "convert", "checked_net:build", "--shape", "2,8,8", "--json"))
    assert [(node["node"], node["original"]) for node in converted["nodes"]][1:3] == [("conv1", "0"), ("spike1", "1")]
    assert checked(tmp_path, converted["artifact"], exit_code=6)["layers"][0]["original"] == "0"
    said = refusal(invoke(tmp_path, "check", "checked_net.py:build", "--shape", "2,8,8"), 4)
    assert "Write checked_net:build for a function in a file." in said


def test_mapping_a_trained_model_is_mapping_its_graph(cli: Deploytool) -> None:
    graph = answer(cli("convert", "model@latest", "--json"))["artifact"]
    assert answer(cli("convert", graph, "--json"))["artifact"] == graph
    mapped = answer(cli("map", "model@latest", "--json"))
    assert mapped == answer(cli("map", graph, "--json"))
    assert "--reset: given with an artifact" in refusal(cli("map", graph, "--reset", "zero"), 2)


def test_check_and_map_refuse_a_bias_where_no_clock_is_given(tmp_path: Path) -> None:
    net = tmp_path / "net.nir"
    write_nir(one(bias=np.ones(3, np.float32)), net)
    found = checked(tmp_path, net, exit_code=6)
    assert found["fits"] is False
    assert list(says(found)) == ["map"]
    need = "conv: has a bias, and no slow clock that would add it; need a slow clock"
    assert need in says(found)["map"]
    assert "--slow-clock HZ" in says(found)["map"]
    assert need in refusal(invoke(tmp_path, "map", net), 6)
    assert need in refusal(invoke(tmp_path, "map", net, "--target", "simulator"), 6)


def test_with_a_clock_a_bias_fits_and_maps_and_check_says_what_a_tick_adds(tmp_path: Path) -> None:
    net, clock = tmp_path / "net.nir", ("--slow-clock", 500)
    for dt_ms, told in ((None, True), (4.0, False)):
        write_nir(replace(one(bias=np.ones(3, np.float32)), dt_ms=dt_ms), net)
        found = checked(tmp_path, net, *clock)
        assert (found["fits"], found["refused_later"]) == (True, [])
        assert ("conv: every tick of 500 Hz adds its bias unchanged" in "".join(found["warnings"])) == told
    for target in ("speck2e", "simulator"):
        mapped = answer(invoke(tmp_path, "map", net, *clock, "--target", target, "--json"))
        program = load_program(tmp_path / "store" / mapped["artifact"])
        assert program.slow_clock_hz == 500
        layer = program.layers["conv"]
        # A step of 4 ms has two ticks of 2 ms.
        shown = answer(invoke(tmp_path, "show", mapped["artifact"], "--json"))
        assert (shown["slow_clock_hz"], shown["layers"][0]["leaks"]) == (500, True)
        assert layer.bias.tolist() == [0.5] * 3 if target == "simulator" else [round(0.5 * layer.scale)] * 3
    assert "--decimate" in refusal(invoke(tmp_path, "map", net, "--decimate", "conv=2", "--target", "simulator"), 2)
    assert "no layer 'x'" in refusal(invoke(tmp_path, "map", net, *clock, "--decimate", "x=2"), 2)
    assert "output decimators of 2, 4" in refusal(invoke(tmp_path, "map", net, *clock, "--decimate", "conv=3"), 7)


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        (one(weight=1e-9), "every weight becomes 0"),
        (replace(one(), weight_bits=12), "weights of 12 bits"),
    ],
    ids=["zeros", "width"],
)
def test_what_map_refuses_of_the_weights(tmp_path: Path, graph: Graph, sentence: str) -> None:
    write_nir(graph, tmp_path / "net.nir")
    found = checked(tmp_path, tmp_path / "net.nir", exit_code=7)
    assert (found["fits"], found["issues"]) == (False, [])
    assert sentence in says(found)["map"]
    assert sentence in refusal(invoke(tmp_path, "map", tmp_path / "net.nir"), 7)
    assert "fits speck2e, and map refuses its weights" in invoke(tmp_path, "check", tmp_path / "net.nir").stdout


def test_weights_that_vanish_are_told_by_check_map_and_show(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(0, 0.002, (4, 2, 3, 3)).astype(np.float32)
    weight[1, 0, 2, 1] = 50
    write_nir(network(weight=weight), tmp_path / "net.nir")
    (said, *_) = checked(tmp_path, tmp_path / "net.nir")["warnings"]
    assert "conv: 99% of the nonzero weights become 0, and features 0, 2, 3 of 4 lose all their weights" in said
    assert "one weight sets the scale: 50 (from feature 0 to feature 1, row 2, column 1)" in said
    mapped = answer(invoke(tmp_path, "map", tmp_path / "net.nir", "--json"))
    assert mapped["warnings"] == checked(tmp_path, "graph@latest")["warnings"]
    for command in (("check", tmp_path / "net.nir"), ("map", tmp_path / "net.nir"), ("show", "program@latest")):
        assert said in invoke(tmp_path, *command).stdout.replace("\n", "")


def test_what_a_foreign_file_leaves_unsaid(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    nodes = {
        "input": nir.Input({"input": np.array([2, 8, 8])}),
        "conv": nir.Conv2d((8, 8), np.ones((1, 2, 3, 3), np.float32), 1, 0, 1, 1, np.zeros(1, np.float32)),
        "if": nir.IF(np.ones((1, 6, 6)), np.ones((1, 6, 6))),
        "output": nir.Output({"output": np.array([1, 6, 6])}),
    }
    edges = [("input", "conv"), ("conv", "if"), ("if", "output")]
    nir.write(tmp_path / "foreign.nir", nir.NIRGraph(nodes, edges))
    assert "need --reset subtract|zero" in says(checked(tmp_path, tmp_path / "foreign.nir"))["convert"]
    assert says(checked(tmp_path, tmp_path / "foreign.nir", "--reset", "zero")) == {}


NORM = '{ type = "conv", out = 4, kernel = 3, stride = 2, padding = 1 }, { type = "batchnorm" },'


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('{ type = "conv", out = 4, kernel = 3, stride = 2, padding = 1 },', NORM), "'bn1' is a batchnorm layer"),
        (("input = [2, 16, 16]", "input = [2, 20, 20]"), "network.input: found [2, 20, 20]; need [2, 16, 16]"),
        (("out = 10", "out = 5"), "need at least 10, one for each class"),
        (('set = "digits"', 'set = "digits"\nlevels = 4'), "data.levels: found 4; need none without count or rate"),
    ],
)
def test_what_training_refuses_of_a_recipe(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    changed = RECIPE.replace(*change)
    assert changed != RECIPE
    (tmp_path / "r.toml").write_text(changed)
    found = checked(tmp_path, tmp_path / "r.toml", exit_code=3)
    assert found["fits"] is True
    assert sentence in says(found)["train"]
    assert re.search(r"r\.toml:\d+: (network|data)", says(found)["train"])
    assert sentence in refusal(invoke(tmp_path, "train", tmp_path / "r.toml"), 3)


def test_what_mapping_could_not_configure_of_a_recipe(tmp_path: Path) -> None:
    sections = '[constraints]\nchip = "dynapcnn"\n[map.readout]\naverage = 16\n[train]'
    (tmp_path / "r.toml").write_text(RECIPE.replace("[train]", sections))
    found = checked(tmp_path, tmp_path / "r.toml", exit_code=6)
    assert "whose readout fields are unknown" in says(found)["train"]


def test_a_recipe_brings_its_chip_its_pins_and_whether_layers_may_be_split(tmp_path: Path) -> None:
    sections = '[constraints]\nchip = "speck2f"\n[map]\npins = { conv1 = 4 }\n[train]'
    (tmp_path / "r.toml").write_text(RECIPE.replace("[train]", sections))
    found = checked(tmp_path, tmp_path / "r.toml")
    assert found["chip"] == "speck2f"
    assert found["layers"][0]["core"] == 4
    assert checked(tmp_path, tmp_path / "r.toml", "--chip", "dynapcnn", "--pin", "conv1=2")["layers"][0]["core"] == 2


def test_a_network_is_mapped_for_the_chip_that_it_was_trained_for(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    (tmp_path / "r.toml").write_text(RECIPE.replace("[train]", '[constraints]\nchip = "speck2f"\n[train]'))
    assert invoke(tmp_path, "train", tmp_path / "r.toml").exit_code == 0
    assert checked(tmp_path, "model@latest")["chip"] == "speck2f"
    assert answer(invoke(tmp_path, "map", "model@latest", "--json"))["target"] == "speck2f"
    assert checked(tmp_path, "graph@latest")["chip"] == "speck2f"
    assert answer(invoke(tmp_path, "map", "graph@latest", "--target", "speck2e", "--json"))["target"] == "speck2e"


@pytest.mark.parametrize("norm", ["", ', { type = "batchnorm" }'])
def test_a_layer_too_large_for_any_chip_takes_no_memory(tmp_path: Path, norm: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace('{ type = "linear", out = 10 }', f'{{ type = "linear", out = 1_000_000 }}{norm}'))
    tracemalloc.start()
    report = answer(invoke(tmp_path, "check", recipe, "--json"), 7)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {issue["rule"] for issue in report["issues"]} == {"features", "memory"}
    assert most < 300e6
    recipe.write_text(RECIPE.replace('{ type = "linear", out = 10 }', '{ type = "linear", out = 1_000_000_000_000 }'))
    assert "the Linear gives 1000000000000x1x1; need maps" in invoke(tmp_path, "check", recipe).output


def test_rules_take_no_network(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    assert "--rules" in refusal(invoke(tmp_path, "check", tmp_path / "net.nir", "--rules"), 2)
    assert "--rules" in refusal(invoke(tmp_path, "check", "--pin", "conv=0"), 2)
    assert answer(invoke(tmp_path, "check", "--chip", "dynapcnn", "--json"))["rules"]


def test_options_that_have_no_effect(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    for options in (("--lint", "--reset", "zero"), ("--lint", "-o", "x.nir")):
        assert "--lint: given with options for a conversion" in refusal(
            invoke(tmp_path, "convert", tmp_path / "net.nir", *options), 2
        )
    said = refusal(invoke(tmp_path, "map", tmp_path / "net.nir", "--target", "simulator", "--no-split"), 2)
    assert "--no-split" in said
    said = refusal(invoke(tmp_path, "map", tmp_path / "net.nir", "--calibration-samples", 4), 2)
    assert "--calibration-samples: given with --quantise plain" in said


def test_the_cost_at_a_rate_or_of_samples(tmp_path: Path) -> None:
    """An event makes 3 x 3 x 3 updates. The ten events of the file, in 9.001 ms, are 1,111 per second."""
    write_nir(one(padding=(1, 1)), tmp_path / "net.nir")
    found = checked(tmp_path, tmp_path / "net.nir", "--rate", 1000)["cost"]
    assert (found["events_per_s"], found["busiest_ms_events_per_s"]) == (1000, None)
    assert found["load"][0]["mean_synops_per_s"] == 27_000
    assert found["power_mw"] == pytest.approx(0.42 + 27_000 * 366e-9, abs=1e-4)
    assert "cost" not in checked(tmp_path, tmp_path / "net.nir")
    events = np.zeros(10, EVENT)
    events["t"] = 1000 * np.arange(10)
    np.save(tmp_path / "events.npy", events)
    found = checked(tmp_path, tmp_path / "net.nir", "--data", tmp_path / "events.npy")["cost"]
    assert found["events_per_s"] == pytest.approx(10 / 9.001e-3)
    assert found["busiest_ms_events_per_s"] == 1000
    both = ["--rate", 5, "--data", tmp_path / "events.npy"]
    assert "--rate: given with --data" in refusal(invoke(tmp_path, "check", tmp_path / "net.nir", *both), 2)
    assert "without --data" in refusal(invoke(tmp_path, "check", tmp_path / "net.nir", "--samples", 5), 2)
    assert "no option but --chip" in refusal(invoke(tmp_path, "check", "--rules", "--rate", 5), 2)


def lines_of_check(blocks: int) -> int:
    """The number of lines of Python that `check_recipe` executes for a network of ``blocks`` shortcuts."""
    conv = {"type": "conv", "out": 8, "kernel": 3, "padding": 1}
    layers: list[dict[str, Any]] = [conv, {"type": "spike"}]
    for block in range(blocks):
        layers += [{**conv, "name": f"a{block}"}, {"type": "spike"}, {**conv, "name": f"b{block}"}]
        layers += [{"type": "add", "other": [f"a{block}"]}, {"type": "spike"}]
    layers += [{"type": "flatten"}, {"type": "linear", "out": 10}, {"type": "spike"}]
    values = {
        "name": "deep",
        "seed": 1,
        "data": {"set": "digits"},
        "network": {"input": [2, 16, 16], "layers": layers},
        "train": {"method": "sdt", "time_steps": 10, "epochs": 1, "batch": 8, "learning_rate": 1e-3},
    }
    lines = 0

    def trace(_frame: Any, event: str, _value: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = check_recipe(parse_recipe(values, "deep.toml"))
    finally:
        sys.settrace(before)
    assert len(found.report.layers) == 2 * blocks + 2
    return lines


def test_the_work_of_check_grows_with_the_number_of_layers() -> None:
    lines_of_check(1)
    assert lines_of_check(120) < 3.3 * lines_of_check(40)
