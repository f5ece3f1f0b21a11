"""A student's way: folders of recordings of one's own, from the recipe to the report, and runs on other folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import event_files
from helpers.command import answer, invoke, refusal
from helpers.own_recordings import NAMES, recording, rows, write, write_classes

from deploytool.convert.nir import write_nir
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Output, Spike, SumPool
from deploytool.ir.recording_file import load_recording

RECIPE = """
name = "mine"
[data]
set = "events"
root = "{root}"
sensor = [12, 12]
test_share = 0.3
[network]
input = [2, 12, 12]
layers = [
    {{ type = "sumpool", kernel = 2 }},
    {{ type = "flatten" }}, {{ type = "linear", out = 3 }}, {{ type = "spike" }},
]
[train]
time_steps = 5
epochs = 8
batch = 8
learning_rate = 5e-2
[run]
on = ["emulator"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings in ``data``, recipe.toml, and the store of its pipeline."""
    folder = tmp_path_factory.mktemp("own")
    write_classes(folder / "data", 14)
    (folder / "data" / "README.md").write_text("# My recordings\n")
    (folder / "recipe.toml").write_text(RECIPE.format(root=folder / "data"))
    result = invoke(folder, "pipeline", folder / "recipe.toml")
    assert result.exit_code == 0, result.output
    assert "Ignored, because they are no recordings: README.md (1 file)." in result.stderr
    return folder


def run(made: Path, data: Path, *options: object) -> object:
    return answer(invoke(made, "run", "program@latest", "--data", data, *options, "--json"))


def labels_of(made: Path, shown: object) -> list[int]:
    return load_recording(made / "store" / shown["artifact"]).labels.tolist()


def test_the_network_learns_and_its_verdict_has_the_accuracy(made: Path) -> None:
    found = answer(invoke(made, "validate", "recording@latest", "--json"))
    rung = next(rung for rung in found["rungs"] if rung["name"] == "emulator")
    assert (rung["samples"], rung["accuracy"] > 70) == (12, True)


def test_verdict_and_report_name_the_classes(made: Path) -> None:
    for verdict in (made / "store").glob("verdict-*/verdict.json"):
        assert json.loads(verdict.read_text())["class_names"] == list(NAMES)
    page = next((made / "store").glob("report-*/report.html")).read_text()
    for name in NAMES:
        assert f'<th scope="row">{name}</th>' in page


def test_check_says_what_the_recordings_are(made: Path, tmp_path: Path) -> None:
    found = answer(invoke(made, "check", made / "recipe.toml", "--json"))["data"]
    assert (found["recordings"], found["samples"], found["looked_at"], found["map"]) == (42, 42, 42, [2, 12, 12])
    assert found["classes"] == [{"class": name, "train": 10, "test": 4} for name in NAMES]
    assert sum(found["formats"].values()) == 42
    assert found["events_per_sample"] == {"least": 200, "median": 200, "most": 200}
    assert 40 < found["duration_ms"]["least"] <= found["duration_ms"]["most"] <= 50
    assert found["warnings"] == ["Ignored, because they are no recordings: README.md (1 file)."]
    shown = invoke(made, "check", made / "recipe.toml").stdout
    assert "42 recordings, 42 samples on a map of 2x12x12" in shown
    write_classes(tmp_path / "few", 4)
    (tmp_path / "few" / "up" / "rec000.bin").write_bytes(b"123")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(root=tmp_path / "few"))
    refused = answer(invoke(made, "check", tmp_path / "recipe.toml", "--json"), 5)
    assert ["3 bytes; need a positive" in each["says"] for each in refused["refused_later"]] == [True]
    (tmp_path / "few" / "up" / "rec000.bin").unlink()
    warned = answer(invoke(made, "check", tmp_path / "recipe.toml", "--json"))["data"]["warnings"]
    assert warned == ["Classes with fewer than 10 recordings in the part train: down (3), left (3), up (2)."]


def test_check_reads_a_few_of_many_recordings_and_all_formats(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploytool.data.sets import summary

    monkeypatch.setattr(summary, "READ_ALL", 10)
    monkeypatch.setattr(summary, "LOOKED_AT", 5)
    found = answer(invoke(made, "check", made / "recipe.toml", "--json"))["data"]
    assert (found["recordings"], found["samples"]) == (42, None)
    assert 7 <= found["looked_at"] <= 15
    assert found["events_per_sample"]["median"] == 200


@pytest.mark.parametrize("kind", ["model", "graph", "program"])
def test_every_artifact_of_the_network_names_its_classes(made: Path, kind: str) -> None:
    (file,) = (made / "store").glob(f"{kind}-*/classes.json")
    assert re.findall(r"\w+", file.read_text()) == list(NAMES)


def test_a_run_on_class_folders_has_the_classes_of_the_training(made: Path, tmp_path: Path) -> None:
    for name, first in (("up", 50), ("left", 60)):
        write_classes(tmp_path / "new", 5, names=[name], first=first)
        shutil.rmtree(tmp_path / "new" / name)
        for index in range(5):
            write(tmp_path / "new" / name / str(index), recording(first + index, NAMES.index(name)), index)
    shown = run(made, tmp_path / "new")
    assert labels_of(made, shown) == [1] * 5 + [2] * 5
    assert shown["accuracy_percent"] > 60
    alone = run(made, tmp_path / "new" / "up")
    assert labels_of(made, alone) == [2] * 5
    one = run(made, tmp_path / "new" / "up" / "0.bin")
    assert labels_of(made, one) == [2]
    assert labels_of(made, run(made, tmp_path / "new", "--samples", 4)) == [1, 1, 2, 2]


def test_recordings_of_the_training_are_told(made: Path, tmp_path: Path) -> None:
    told = "The network was trained on some of the recordings in "
    assert f"{told}{made / 'data'}, so" in invoke(made, "run", "program@latest", "--data", made / "data").stderr
    write_classes(tmp_path, 1, first=90)
    assert told not in invoke(made, "run", "program@latest", "--data", tmp_path).stderr


def test_an_unknown_class_is_refused_with_those_that_are_known(made: Path, tmp_path: Path) -> None:
    write_classes(tmp_path, 1, names=["up", "sideways"])
    said = refusal(invoke(made, "run", "program@latest", "--data", tmp_path, "--quiet"), 5)
    assert (
        "recordings of sideways, which is no class of the network; need the network's: down, left, up. Rename" in said
    )


def test_a_label_file_gives_the_labels_of_spans(made: Path, tmp_path: Path) -> None:
    name = write(tmp_path / "long", recording(0, 2)).name
    (tmp_path / "labels.csv").write_text(f"file,start_ms,end_ms,label\n{name},0,20,up\n{name},25,40,down\n")
    shown = run(made, tmp_path)
    found = load_recording(made / "store" / shown["artifact"])
    assert found.labels.tolist() == [2, 0]
    assert found.durations_us.tolist() == [20_000, 15_000]
    assert [Path(sample).name for sample in found.samples] == [f"{name}@0-20ms", f"{name}@25-40ms"]


def test_of_a_folder_with_a_split_the_test_part_runs(made: Path, tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    write_classes(tmp_path / "test", 1, first=70)
    result = invoke(made, "run", "program@latest", "--data", tmp_path)
    assert f"Takes the 3 test recordings in {tmp_path}, and not the 9 others." in result.stderr
    assert len(labels_of(made, run(made, tmp_path))) == 3
    assert len(labels_of(made, run(made, tmp_path / "train"))) == 9


def test_the_set_by_name_runs_its_test_part_with_the_classes_of_the_network(made: Path, tmp_path: Path) -> None:
    write_classes(tmp_path, 10, names=["down", "up"])
    shown = run(made, "events", "--root", tmp_path, "--sensor", "12,12")
    assert labels_of(made, shown) == [0, 0, 2, 2]


def test_windows_crops_and_pools_of_a_run(made: Path, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        write(tmp_path / name / "large", recording(0, number, side=24), number)
    refused = refusal(invoke(made, "run", "program@latest", "--data", tmp_path, "--quiet"), 5)
    assert "on a map of 2x12x12" in refused
    shown = run(made, tmp_path, "--pool", 2, "--window-ms", 15, "--stride-ms", 10)
    found = load_recording(made / "store" / shown["artifact"])
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert set(found.durations_us.tolist()) == {15_000}
    for options in (("--resize", "12,12"), ("--crop", "0,6,12,12"), ("--crop", "12,12")):
        assert len(labels_of(made, run(made, tmp_path, "--sensor", "24,24", *options))) == 3
    said = refusal(invoke(made, "run", "program@latest", "--data", tmp_path, "--resize", "12,12", "--quiet"), 2)
    assert "--sensor: missing, and the recordings do not state the size of their camera; need --sensor H,W" in said
    said = refusal(invoke(made, "run", "program@latest", "--data", tmp_path, "--crop", "12", "--quiet"), 2)
    assert "--crop: found '12'; need 2 whole numbers or 4 whole numbers" in said


def test_a_recording_of_another_camera_is_refused_and_resized_on_request(made: Path, tmp_path: Path) -> None:
    head = "% Data file containing CD events.\n% Version 2\n% Height 24\n% Width 32\n"
    (tmp_path / "a.dat").write_bytes(event_files.dat(rows(recording(0, 0)), head))
    said = refusal(invoke(made, "run", "program@latest", "--data", tmp_path, "--quiet"), 5)
    assert "a.dat: recordings of a camera of 24x32 pixels; need 12x12, the input of the network. Add --resize" in said
    assert run(made, tmp_path, "--resize", "12,12")["samples"] == 1
    assert run(made, tmp_path, "--sensor", "12,12")["samples"] == 1


def test_events_in_a_small_part_of_the_map_are_told(made: Path, tmp_path: Path) -> None:
    write(tmp_path / "a", recording(0, 0, count=1200, side=6))
    said = invoke(made, "run", "program@latest", "--data", tmp_path).stderr
    assert "The events reach only 6 rows and 6 columns of the map of 2x12x12." in said
    assert "add --sensor 6,6 --resize 12,12." in said
    write(tmp_path / "b", recording(0, 0, count=1200))
    assert "reach only" not in invoke(made, "run", "program@latest", "--data", tmp_path).stderr


def test_calibration_on_a_folder_of_recordings(made: Path) -> None:
    asked = ("map", "graph@latest", "--quantise", "calibrated", "--data", made / "data", "--sensor", "12,12")
    shown = answer(invoke(made, *asked, "--calibration-samples", 4, "--json"))
    assert "calibration" in shown
    said = refusal(invoke(made, *asked[:6], "--quiet"), 3)
    assert "data.sensor: missing" in said


def test_a_check_of_the_rate_and_a_sweep_take_folders(made: Path, tmp_path: Path) -> None:
    write_classes(tmp_path, 2)
    cost = answer(invoke(made, "check", "graph@latest", "--data", tmp_path, "--json"))["cost"]
    assert cost["events_per_s"] == pytest.approx(4000, rel=0.1)
    swept = answer(invoke(made, "sweep", "model@latest", "--time-steps", "2,4", "--data", tmp_path, "--json"))
    assert {point["samples"] for curve in swept["curves"] for point in curve["points"]} == {6}
    said = refusal(invoke(made, "check", "graph@latest", "--crop", "3,3", "--quiet"), 2)
    assert "given without --data" in said


def test_a_report_replays_recordings_of_files_in_windows(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "some", 2)
    monkeypatch.chdir(tmp_path)
    names = [run(made, Path("some"), "--window-ms", 20, *on)["artifact"] for on in ((), ("--bins", "time"))]
    found = answer(invoke(made, "validate", *dict.fromkeys(names), "--json"))
    assert found["rungs"]
    assert invoke(made, "report", "verdict@latest").exit_code == 0


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of a network that does not name its three classes."""
    folder = tmp_path_factory.mktemp("stranger")
    rng = np.random.default_rng(0)
    nodes = [
        ("in", Input((2, 12, 12))),
        ("conv", Conv(rng.normal(0.1, 0.2, (2, 2, 3, 3)).astype(np.float32), padding=(1, 1))),
        ("if", Spike(floor=-1.0)),
        ("pool", SumPool((2, 2), (2, 2))),
        ("flat", Flatten()),
        ("fc", Linear(rng.normal(0.05, 0.2, (3, 72)).astype(np.float32))),
        ("if2", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    write_nir(chain(nodes), folder / "net.nir")
    assert invoke(folder, "map", folder / "net.nir").exit_code == 0
    return folder


def test_a_network_without_names_takes_as_many_folders_as_it_has_outputs_in_order(
    stranger: Path, tmp_path: Path
) -> None:
    write_classes(tmp_path, 2)
    result = invoke(stranger, "run", "program@latest", "--data", tmp_path)
    assert "The names in order are taken for its outputs: down = 0, left = 1, up = 2." in result.stderr
    assert labels_of(stranger, run(stranger, tmp_path)) == [0, 0, 1, 1, 2, 2]
    shutil.rmtree(tmp_path / "up")
    result = invoke(stranger, "run", "program@latest", "--data", tmp_path)
    assert "No labels for recordings in down, left:" in result.stderr
    assert labels_of(stranger, run(stranger, tmp_path)) == [-1] * 4
