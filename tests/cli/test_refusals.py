"""Everything that can be wrong with what a command is given: one sentence, the right exit code, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import RECIPE, Deploytool, answer, invoke, network, refusal
from typer.testing import CliRunner

from deploytool.cli.app import app
from deploytool.convert.nir import write_nir
from deploytool.ir.events import EVENT

pytest.importorskip("torch")
pytest.importorskip("sklearn")


BAD_RECIPES = [
    (("[train]", "[train"), 3, "not TOML"),
    (("epochs = 2", "epoch = 2"), 3, "train.epoch: unknown key"),
    (("epochs = 2", 'epochs = "two"'), 3, "train.epochs: found 'two'"),
    (("epochs = 2", "epochs = -2"), 3, "train.epochs: found -2"),
    (("[train]", "[constraints]\nthreshold = inf\n[train]"), 3, "constraints.threshold: found inf"),
    (('set = "digits"', 'set = "digit"'), 3, "one of digits, nmnist"),
    (('set = "digits"', 'set = "nmnist"\nroot = "/nowhere"'), 3, "network.input: found [2, 16, 16]"),
    (("out = 10", "out = 5"), 3, "the last gives 5 outputs; need at least 10"),
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
    (lambda folder: folder / ("a" * 300), "neither a data set nor a file"),
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
    assert "field t has dtype" in refusal(cli("run", program, "--data", tmp_path / "d.npy"), 5)


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
    manifest.write_text(manifest.read_text().replace('"schema_version": 4', '"schema_version": 9'))
    assert "schema version 9" in refusal(cli("show", name), 4)
    for file in (made / "store" / name).iterdir():
        file.unlink()
    (made / "store" / name).rmdir()


def test_an_unwritable_store(made: Path) -> None:
    (made / "file").write_text("")
    result = CliRunner().invoke(app, ["train", str(made / "recipe.toml"), "--store", str(made / "file" / "store")])
    assert "cannot be written" in refusal(result, 4)


@pytest.mark.parametrize(
    "options",
    [
        ("--counts", "conv1", "-o", "{}/a.npy"),
        ("--samples", "ok.csv", "--counts", "{}/a.csv"),
        ("--samples", "ok.csv", "--spikes", "{}/a.npz"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_recording_is_read(
    cli: Deploytool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deploytool.workflow.export.load_recording", lambda _: pytest.fail("was read"))
    asked = [option.format(tmp_path / "missing") for option in options]
    assert "cannot be written (No such file or directory)" in refusal(cli("export", "recording@latest", *asked), 4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["file/page.html", "file/folder"])
def test_a_page_that_cannot_be_written_is_refused_before_it_is_made(
    cli: Deploytool, made: Path, tmp_path: Path, page: str
) -> None:
    (tmp_path / "file").touch()
    before = sorted((made / "store").iterdir())
    assert "cannot be written" in refusal(cli("report", "--title", "another", "-o", tmp_path / page), 4)
    assert sorted((made / "store").iterdir()) == before


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
        ("constraints.chip=zzz", 3, "one of speck2e"),
        ("map.target=speck2f", 3, "map.target: found 'speck2f'; need constraints.chip = 'speck2f'"),
        ("map.target=simulator", 3, "map.target: found 'simulator'; need run.on = ['simulator']"),
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
    assert "--network" in refusal(cli("convert", tmp_path / "net.nir", "--network", "recipe.toml"), 2)
    for option, value in (("--floor", "-5"), ("--dt-ms", "7"), ("--delay-us", "3")):
        sentence = f"{option} has no effect"
        assert sentence in refusal(cli("convert", tmp_path / "net.nir", option, value), 2)
    assert cli("convert", tmp_path / "net.nir", "--floor", "-1").exit_code == 0
    assert "--reset" in refusal(cli("convert", "model@latest", "--reset", "subtract"), 2)
    assert "--floor" in refusal(cli("convert", "no.module:build", "--floor", "-1", "--shape", "1,2,3"), 2)
    assert "--pin" in refusal(cli("map", "graph@latest", "--target", "simulator", "--pin", "conv=0"), 2)
    assert "already pinned to core 0" in refusal(cli("map", "graph@latest", "--pin", "conv=0", "--pin", "conv=1"), 2)
    assert "--time-steps" in refusal(cli("run", program, "--data", "digits", "--time-steps", "5"), 2)
    assert "--claim" in refusal(cli("bench", "check", "--claim", "x"), 2)
    assert "claims, or nothing for all; or a network" in refusal(cli("bench", "nope"), 2)


def test_a_damaged_artifact_is_listed_as_such(tmp_path: Path) -> None:
    write_nir(network(), tmp_path / "net.nir")
    graph = answer(invoke(tmp_path, "convert", tmp_path / "net.nir", "--json"))["artifact"]
    (tmp_path / "store" / graph / "network.nir").write_bytes(b"")
    (row,) = answer(invoke(tmp_path, "show", "--json"))["artifacts"]
    assert row["artifact"] == graph
    assert "damaged" in row["made_from"]
