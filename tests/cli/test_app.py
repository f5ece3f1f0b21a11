"""The command line, as a person uses it: a small pipeline, its stages one by one, and what they show."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, Deploytool, answer, invoke, network, refusal
from typer.testing import CliRunner

from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike, SumPool

pytest.importorskip("torch")
pytest.importorskip("sklearn")


def test_the_pipeline_ends_in_a_verdict_and_a_page(cli: Deploytool, made: Path) -> None:
    report = answer(cli("pipeline", made / "recipe.toml", "--json"))
    assert [rung["name"] for rung in report["rungs"]] == ["torch", "quantised", "simulator", "emulator", "board"]
    assert [rung["status"] for rung in report["rungs"]] == ["run"] * 4 + ["not run"]
    assert report["verdict"]["passed"] is True
    assert all(rung["samples"] == 30 for rung in report["rungs"][:4])
    assert (Path(report["report"]) / "report.html").stat().st_size > 10_000


def test_the_same_pipeline_does_nothing_the_second_time(cli: Deploytool, made: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (made / "store").rglob("*")}
    result = cli("pipeline", made / "recipe.toml")
    assert {path: path.stat().st_mtime_ns for path in (made / "store").rglob("*")} == before
    assert result.stderr.count("already there") >= 8
    assert "  made" not in result.stderr


def test_a_changed_section_runs_its_stage_and_what_follows(cli: Deploytool, made: Path) -> None:
    told = cli("pipeline", made / "recipe.toml", "--set", "validate.min_accuracy=1").stderr.splitlines()
    made_anew = [line.split()[0] for line in told if line.endswith("  made")]
    assert made_anew == ["verdict", "report"]
    told = cli("pipeline", made / "recipe.toml", "--set", "run.rasters=1").stderr.splitlines()
    assert {line.split()[0] for line in told if line.endswith("already there")} == {
        "model",
        "graph",
        "program",
        "samples",
        "recording",
    }
    assert sum(line.startswith("recording") and line.endswith("  made") for line in told) == 3


def test_the_quantised_network_counts_as_the_trained_one(cli: Deploytool, made: Path) -> None:
    report = answer(cli("pipeline", made / "recipe.toml", "--json"))
    pair = next(d for d in report["spike_difference"] if (d["reference"], d["test"]) == ("quantised", "torch"))
    assert pair["output"]["pooled"] == 0


def test_a_negative_verdict_has_its_exit_code(cli: Deploytool, made: Path) -> None:
    report = answer(cli("pipeline", made / "recipe.toml", "--set", "validate.max_synops=1", "--json"), exit_code=9)
    assert report["verdict"]["passed"] is False


def test_stages_one_by_one_give_the_same_artifacts(cli: Deploytool, made: Path) -> None:
    model = answer(cli("train", made / "recipe.toml", "--json"))["artifact"]
    graph = answer(cli("convert", model, "--json"))["artifact"]
    program = answer(cli("map", graph, "--json"))["artifact"]
    assert len(list((made / "store").glob("program-*"))) == 2
    assert answer(cli("show", program, "--json"))["lineage"][0]["made_from"] == graph


def test_calibration_on_training_samples(tmp_path: Path) -> None:
    cli = functools.partial(invoke, tmp_path)
    rng = np.random.default_rng(0)
    write_nir(network(weight=rng.normal(0, 0.4, (4, 2, 3, 3)).astype(np.float32)), tmp_path / "net.nir")
    asked = ("map", tmp_path / "net.nir", "--weight-bits", 4, "--quantise", "calibrated")
    found = answer(cli(*asked, "--data", "digits", "--calibration-samples", 2, "--json"))
    assert "on 4 held-out samples" in found["calibration"]
    assert [row["layer"] for row in found["spike_difference"]] == ["conv", "conv2"]
    assert "calibration.json" in found["files"]
    assert "no --data" in refusal(cli(*asked), 2)
    assert "at most" in refusal(cli(*asked, "--data", "digits", "--calibration-samples", 5000), 2)
    assert "--quantise plain" in refusal(cli("map", tmp_path / "net.nir", "--data", "digits"), 2)
    assert "a chip as --target" in refusal(cli(*asked, "--data", "digits", "--target", "simulator"), 2)
    assert "plain or calibrated" in refusal(cli("map", tmp_path / "net.nir", "--quantise", "best"), 2)


def test_run_on_event_files_and_export_counts(cli: Deploytool, program: str, tmp_path: Path) -> None:
    events = np.zeros(50, EVENT)
    events["t"], events["x"], events["y"] = np.arange(50), np.arange(50) % 16, 5
    np.save(tmp_path / "events.npy", events)
    recording = answer(cli("run", program, "--data", tmp_path / "events.npy", "--on", "simulator", "--json"))
    assert (recording["rung"], recording["samples"]) == ("simulator", 1)
    cli("export", recording["artifact"], "--counts", "conv1", "-o", tmp_path / "counts.npy")
    counts = np.load(tmp_path / "counts.npy")
    assert (counts.dtype, counts.shape) == (np.int64, (1, 4, 8, 8))
    by_node = cli("export", recording["artifact"], "--counts", "spike1", "-o", tmp_path / "again.npy")
    assert by_node.exit_code == 0
    assert np.array_equal(np.load(tmp_path / "again.npy"), counts)


def test_validate_two_recordings(cli: Deploytool) -> None:
    listed = [a["artifact"] for a in answer(cli("show", "--json"))["artifacts"]]
    recordings = [answer(cli("show", name, "--json")) for name in listed if name.startswith("recording")]
    of_30 = {r["rung"]: r["artifact"] for r in recordings if r["samples"] == 30}
    report = answer(cli("validate", of_30["emulator"], "--against", of_30["simulator"], "--json"))
    assert [(d["reference"], d["test"]) for d in report["spike_difference"]] == [("simulator", "emulator")]
    limited = ["--max-spike-difference", 0, "--min-accuracy", 100]
    answer(cli("validate", of_30["emulator"], "--against", of_30["simulator"], *limited, "--json"), exit_code=9)


def test_every_artifact_can_be_shown(cli: Deploytool) -> None:
    listed = answer(cli("show", "--json"))["artifacts"]
    kinds = {row["artifact"].split("-")[0] for row in listed}
    assert kinds == {"model", "graph", "program", "samples", "recording", "verdict", "report"}
    for row in listed:
        assert row["artifact"] in cli("show", row["artifact"]).stdout


def test_check_says_that_it_fits(cli: Deploytool, tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    report = answer(cli("check", tmp_path / "net.nir", "--json"))
    assert report["fits"] is True
    assert {layer["name"] for layer in report["layers"]} == {"conv", "conv2"}
    assert {"kernel_bits", "neuron_bits", "kernel_words", "neuron_words", "fits_cores", "core"} <= set(
        report["layers"][0]
    )


def test_a_network_that_cannot_fit(cli: Deploytool, tmp_path: Path) -> None:
    write_nir(network(stride=(3, 3)), tmp_path / "net.nir")
    report = answer(cli("check", tmp_path / "net.nir", "--json"), exit_code=7)
    assert {issue["layer"] for issue in report["issues"]} == {"conv"}
    assert "3" in refusal(cli("map", tmp_path / "net.nir"), 7)


def test_training_refuses_what_cannot_fit_before_the_first_step(cli: Deploytool, made: Path, tmp_path: Path) -> None:
    (tmp_path / "big.toml").write_text(
        RECIPE.replace("out = 4, kernel = 3, stride = 2", "out = 2000, kernel = 3, stride = 2")
    )
    models = len(list((made / "store").glob("model-*")))
    assert "conv1" in refusal(cli("train", tmp_path / "big.toml"), 7)
    assert len(list((made / "store").glob("model-*"))) == models


def test_convert_writes_a_file_and_asks_for_the_reset_rule(cli: Deploytool, tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    nodes = {
        "input": nir.Input({"input": np.array([2, 8, 8])}),
        "conv": nir.Conv2d((8, 8), np.ones((1, 2, 3, 3), np.float32), 1, 0, 1, 1, np.zeros(1, np.float32)),
        "if": nir.IF(np.ones((1, 6, 6)), np.ones((1, 6, 6))),
        "output": nir.Output({"output": np.array([1, 6, 6])}),
    }
    edges = [("input", "conv"), ("conv", "if"), ("if", "output")]
    nir.write(tmp_path / "foreign.nir", nir.NIRGraph(nodes, edges))
    sentence = refusal(cli("convert", tmp_path / "foreign.nir"), 2)
    assert "if" in sentence
    assert "--reset subtract" in sentence
    said = ("--reset", "subtract", "--floor", "-1", "-o", tmp_path / "ours.nir")
    assert cli("convert", tmp_path / "foreign.nir", *said).exit_code == 0
    assert cli("map", tmp_path / "ours.nir").exit_code == 0
    assert answer(cli("check", tmp_path / "foreign.nir", "--json"))["fits"] is True


def test_a_reset_rule_that_contradicts_the_file(cli: Deploytool, tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    sentence = refusal(cli("convert", tmp_path / "net.nir", "--reset", "zero"), 2)
    assert "states reset subtract" in sentence


def test_lint_says_what_other_frameworks_do(cli: Deploytool, tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    report = answer(cli("convert", tmp_path / "net.nir", "--lint", "--json"))
    assert set(report["verdicts"]) == {"sinabs", "snnTorch", "Norse", "SpikingJelly", "nirtorch"}


def test_a_state_dict_needs_its_network(cli: Deploytool, made: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"0.weight": torch.randn(4, 2, 3, 3), "4.weight": torch.randn(10, 64)}
    torch.save(state, tmp_path / "weights.pt")
    assert "--network" in refusal(cli("convert", tmp_path / "weights.pt"), 2)
    graph = answer(cli("convert", tmp_path / "weights.pt", "--network", made / "recipe.toml", "--json"))
    assert [node["node"] for node in graph["nodes"]][1] == "conv1"


def test_splitting_can_be_forbidden(cli: Deploytool, tmp_path: Path) -> None:
    nodes = [
        ("in", Input((2, 64, 64))),
        ("conv", Conv(np.ones((32, 2, 3, 3), np.float32), padding=(1, 1))),
        ("if", Spike(threshold=9)),
        ("pool", SumPool((4, 4), (4, 4))),
        ("conv2", Conv(np.ones((3, 32, 3, 3), np.float32))),
        ("if2", Spike(threshold=9)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), tmp_path / "wide.nir")
    whole = answer(cli("check", tmp_path / "wide.nir", "--no-split", "--json"), exit_code=7)
    assert whole["fits"] is False
    split = answer(cli("check", tmp_path / "wide.nir", "--json"))
    assert [part["layer"] for part in split["splits"]] == ["conv"]
    assert "conv" in refusal(cli("map", tmp_path / "wide.nir", "--no-split"), 7)
    assert answer(cli("map", tmp_path / "wide.nir", "--json"))["splits"][0]["layer"] == "conv"


def test_the_version_can_be_printed() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("deploytool ")


def test_errors_as_json(cli: Deploytool) -> None:
    error = answer(cli("show", "model-000000", "--json"), exit_code=4)["error"]
    assert error["exit_code"] == 4
    assert "no such artifact" in error["problems"][0]


def test_a_board_that_is_not_there(cli: Deploytool, program: str) -> None:
    assert "samna" in refusal(cli("run", program, "--data", "digits", "--on", "speck2edevkit:0"), 8)


def test_selftest_of_the_emulator(cli: Deploytool) -> None:
    assert answer(cli("device", "selftest", "emulator", "--json"))["device"] == "emulator"


def test_quiet_says_nothing_but_the_result(cli: Deploytool, made: Path) -> None:
    result = cli("train", made / "recipe.toml", "--quiet")
    assert result.stderr == ""
    assert "model-" in result.stdout


def test_an_interruption_has_its_exit_code_and_resumes(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploytool.train.loop import epochs

    recipe, other = made / "recipe.toml", made / "interrupted"
    saved = epochs.save_checkpoint

    def interrupt(*arguments: Any) -> None:
        saved(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(epochs, "save_checkpoint", interrupt)
    result = CliRunner().invoke(app, ["train", str(recipe), "--store", str(other)])
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert not list(other.glob("model-*"))
    monkeypatch.undo()
    resumed = CliRunner().invoke(app, ["train", str(recipe), "--store", str(other), "--json"])
    straight = CliRunner().invoke(app, ["train", str(recipe), "--store", str(made / "store"), "--json"])
    assert answer(resumed)["digest"] == answer(straight)["digest"]
    assert sorted(path.name for path in other.iterdir()) == [answer(resumed)["artifact"]]
