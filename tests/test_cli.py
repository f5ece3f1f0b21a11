"""The command line, as a person uses it: a small pipeline, and everything that can be wrong with its input."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deploytool.cli import app
from deploytool.convert.nir import write_nir
from deploytool.events import EVENT
from deploytool.graph import Conv, Graph, Input, Output, Spike, SumPool, chain

pytest.importorskip("torch")
pytest.importorskip("sklearn")

RECIPE = """
name = "small"
[data]
set = "digits"
train_samples = 120
test_samples = 30
[network]
input = [2, 16, 16]
layers = [
    { type = "conv", out = 4, kernel = 3, stride = 2, padding = 1 }, { type = "spike" },
    { type = "sumpool", kernel = 2 },
    { type = "flatten" }, { type = "linear", out = 10 }, { type = "spike" },
]
[train]
time_steps = 6
epochs = 2
batch = 32
learning_rate = 5e-3
[run]
rasters = 2
[validate]
min_accuracy = 0
max_accuracy_drop = 100
"""

Deploytool = Callable[..., Result]


def invoke(folder: Path, *arguments: object) -> Result:
    command = [*map(str, arguments), "--store", str(folder / "store")]
    return CliRunner().invoke(app, command)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipe.toml and the store of its pipeline."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "recipe.toml").write_text(RECIPE)
    result = invoke(folder, "pipeline", folder / "recipe.toml")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def program(made: Path) -> str:
    """The name of the program that the pipeline mapped for the chip."""
    folders = (made / "store").glob("program-*/configuration.json")
    return min(folders, key=lambda path: path.stat().st_mtime).parent.name


@pytest.fixture
def cli(made: Path) -> Deploytool:
    return lambda *arguments: invoke(made, *arguments)


def answer(result: Result, exit_code: int = 0) -> Any:
    """The one JSON object on stdout."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def refusal(result: Result, exit_code: int) -> str:
    """The sentence on stderr; nothing on stdout, and no traceback."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def network(**conv: Any) -> Graph:
    weight = np.linspace(-0.5, 1, 4 * 2 * 9, dtype=np.float32).reshape(4, 2, 3, 3)
    nodes = [
        ("in", Input((2, 16, 16))), ("conv", Conv(conv.pop("weight", weight), **conv)), ("if", Spike(floor=-1.0)),
        ("pool", SumPool((2, 2), (2, 2))), ("conv2", Conv(np.ones((3, 4, 3, 3), np.float32), padding=(1, 1))),
        ("if2", Spike()), ("out", Output()),
    ]  # fmt: skip
    return chain(nodes)


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
    assert kinds == {"model", "graph", "program", "recording", "verdict", "report"}
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
        ("in", Input((2, 64, 64))), ("conv", Conv(np.ones((32, 2, 3, 3), np.float32), padding=(1, 1))),
        ("if", Spike(threshold=9)), ("pool", SumPool((4, 4), (4, 4))),
        ("conv2", Conv(np.ones((3, 32, 3, 3), np.float32))), ("if2", Spike(threshold=9)), ("out", Output()),
    ]  # fmt: skip
    write_nir(chain(nodes), tmp_path / "wide.nir")
    whole = answer(cli("check", tmp_path / "wide.nir", "--no-split", "--json"), exit_code=7)
    assert whole["fits"] is False
    split = answer(cli("check", tmp_path / "wide.nir", "--json"))
    assert [part["layer"] for part in split["splits"]] == ["conv"]
    assert "conv" in refusal(cli("map", tmp_path / "wide.nir", "--no-split"), 7)
    assert answer(cli("map", tmp_path / "wide.nir", "--json"))["splits"][0]["layer"] == "conv"


BAD_RECIPES = [
    (("[train]", "[train"), 3, "not TOML"),
    (("epochs = 2", "epoch = 2"), 3, "train.epoch: unknown key"),
    (("epochs = 2", 'epochs = "two"'), 3, "train.epochs: found 'two'"),
    (("epochs = 2", "epochs = -2"), 3, "train.epochs: found -2"),
    (("[train]", "[constraints]\nthreshold = inf\n[train]"), 3, "constraints.threshold: found inf"),
    (('set = "digits"', 'set = "digit"'), 3, "one of digits, nmnist"),
    (('set = "digits"', 'set = "nmnist"\nroot = "/nowhere"'), 5, "/nowhere"),
    (('name = "small"', 'name = "small"\n[constraints]\nchip = "speck9"'), 3, "speck9"),
]


@pytest.mark.parametrize(("change", "code", "sentence"), BAD_RECIPES)
def test_a_bad_recipe(
    cli: Deploytool, made: Path, tmp_path: Path, change: tuple[str, str], code: int, sentence: str
) -> None:
    (tmp_path / "bad.toml").write_text(RECIPE.replace(*change))
    before = sorted((made / "store").iterdir())
    assert sentence in refusal(cli("pipeline", tmp_path / "bad.toml"), code)
    assert sorted((made / "store").iterdir()) == before


def event_file(tmp_path: Path, **columns: Any) -> Path:
    events = np.zeros(3, EVENT)
    for name, values in columns.items():
        events[name] = values
    np.save(tmp_path / "events.npy", events)
    return tmp_path / "events.npy"


BAD_EVENTS = [
    (lambda folder: event_file(folder, t=[3, 2, 1]), "time goes back"),
    (lambda folder: event_file(folder, x=[1, 2, 16]), "x = 16"),
    (lambda folder: event_file(folder, c=[0, 1, 2]), "c = 2"),
    (lambda folder: folder / "none.npy", "neither a data set nor a file"),
    (lambda folder: folder, "an empty folder"),
]


@pytest.mark.parametrize(("make", "sentence"), BAD_EVENTS)
def test_bad_event_files(
    cli: Deploytool, program: str, tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    assert sentence in refusal(cli("run", program, "--data", make(tmp_path)), 5)


def test_event_files_with_wrong_fields_or_no_events(cli: Deploytool, program: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "fields t, x, y and c" in refusal(cli("run", program, "--data", tmp_path / "a.npy"), 5)
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "b.npy" in refusal(cli("run", program, "--data", tmp_path / "b.npy"), 5)
    (tmp_path / "c.txt").write_text("1 2 3")
    assert "not an event file" in refusal(cli("run", program, "--data", tmp_path / "c.txt"), 5)
    np.save(tmp_path / "d.npy", np.zeros(3, [("t", "i8", 2), ("x", "u2"), ("y", "u2"), ("p", "u1")]))
    assert "field t is of" in refusal(cli("run", program, "--data", tmp_path / "d.npy"), 5)


def test_bad_network_files(cli: Deploytool, tmp_path: Path) -> None:
    (tmp_path / "text.nir").write_text("no HDF5")
    assert "text.nir" in refusal(cli("check", tmp_path / "text.nir"), 5)
    write_nir(network(), tmp_path / "net.nir")
    content = (tmp_path / "net.nir").read_bytes()
    (tmp_path / "cut.nir").write_bytes(content[: len(content) // 2])
    assert "cut.nir" in refusal(cli("check", tmp_path / "cut.nir"), 5)
    assert "no such file or artifact" in refusal(cli("convert", tmp_path / "none.nir"), 4)


def test_a_missing_corrupt_or_newer_artifact(cli: Deploytool, made: Path, tmp_path: Path) -> None:
    assert "no such artifact" in refusal(cli("show", "model-000000"), 4)
    write_nir(network(), tmp_path / "net.nir")
    name = answer(cli("map", tmp_path / "net.nir", "--json"))["artifact"]
    path = made / "store" / name / "program.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert "program.safetensors" in refusal(cli("show", name), 4)
    manifest = made / "store" / name / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert "schema version 2" in refusal(cli("show", name), 4)
    for file in (made / "store" / name).iterdir():
        file.unlink()
    (made / "store" / name).rmdir()


def test_an_unwritable_store(made: Path) -> None:
    (made / "file").write_text("")
    result = CliRunner().invoke(app, ["train", str(made / "recipe.toml"), "--store", str(made / "file" / "store")])
    assert "cannot be written" in refusal(result, 4)


def test_usage_errors(cli: Deploytool, program: str) -> None:
    assert cli("run").exit_code == 2
    assert cli("nothing").exit_code == 2
    assert "--pin" in refusal(cli("map", "graph@latest", "--pin", "conv1"), 2)
    assert "one of speck2e" in refusal(cli("map", "graph@latest", "--target", "speck9"), 2)
    assert "no target" in refusal(cli("run", program, "--data", "digits", "--on", "speck9"), 2)
    assert "--time-steps" in refusal(cli("run", program, "--data", "digits", "--on", "quantised"), 2)
    assert "denoise_ms: found nan" in refusal(cli("run", program, "--data", "digits", "--denoise-ms", "nan"), 2)
    two = "validate", "recording@latest", "--against", "recording@latest"
    assert "max_synops: found 0.0" in refusal(cli(*two, "--max-synops", "0"), 2)
    assert "a folder" in refusal(cli("export", "recording@latest", "--counts", "conv1", "-o", "."), 4)


@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        ("map.target=zzz", 3, "one of speck2e"),
        ("map.target=simulator", 3, "run.on"),
        ("map.pins.nope=0", 2, "nope"),
        ("map.pins.conv1=99", 2, "99"),
    ],
)
def test_what_a_later_stage_cannot_do_is_refused_before_training(
    made: Path, tmp_path: Path, asked: str, code: int, sentence: str
) -> None:
    command = ["pipeline", str(made / "recipe.toml"), "--set", asked, "--store", str(tmp_path / "store")]
    assert sentence in refusal(CliRunner().invoke(app, command), code)
    assert not list((tmp_path).glob("store/model-*"))


def test_options_that_say_nothing_are_refused(cli: Deploytool, program: str, tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    assert "--shape" in refusal(cli("convert", tmp_path / "net.nir", "--shape", "1,2,3"), 2)
    assert "--pin" in refusal(cli("map", "graph@latest", "--target", "simulator", "--pin", "conv=0"), 2)
    assert "pinned to core 0 already" in refusal(cli("map", "graph@latest", "--pin", "conv=0", "--pin", "conv=1"), 2)
    assert "--time-steps" in refusal(cli("run", program, "--data", "digits", "--time-steps", "5"), 2)


def test_a_damaged_artifact_is_listed_as_such(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    graph = answer(invoke(tmp_path, "convert", tmp_path / "net.nir", "--json"))["artifact"]
    (tmp_path / "store" / graph / "network.nir").write_bytes(b"")
    (row,) = answer(invoke(tmp_path, "show", "--json"))["artifacts"]
    assert row["artifact"] == graph
    assert "damaged" in row["made_from"]


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
    from deploytool.train import loop

    recipe, other = made / "recipe.toml", made / "interrupted"
    saved = loop.save_checkpoint

    def interrupt(*arguments: Any) -> None:
        saved(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", interrupt)
    result = CliRunner().invoke(app, ["train", str(recipe), "--store", str(other)])
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert not list(other.glob("model-*"))
    monkeypatch.undo()
    resumed = CliRunner().invoke(app, ["train", str(recipe), "--store", str(other), "--json"])
    straight = CliRunner().invoke(app, ["train", str(recipe), "--store", str(made / "store"), "--json"])
    assert answer(resumed)["digest"] == answer(straight)["digest"]
    assert sorted(path.name for path in other.iterdir()) == [answer(resumed)["artifact"]]
