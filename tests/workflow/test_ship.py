"""Shipping a model: its payload without the folder of the data, and its figures."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploytool.store.artifact import Artifact, Request, Store, open_artifact
from deploytool.workflow.ship import main, ship
from deploytool.zoo.figures import read_figures


def test_a_shipped_model_has_the_weights_and_the_figures_of_its_verdict(made: Path, tmp_path: Path) -> None:
    store = Store(made / "store")
    shipped = ship(store, store.get("verdict@latest"), tmp_path / "small")
    trained, figures = store.get("model@latest"), read_figures(tmp_path / "small")
    assert open_artifact(shipped.path).manifest.files == trained.manifest.files
    assert shipped.manifest.inputs == trained.manifest.inputs
    assert figures.model == shipped.digest
    assert figures.training_samples == 120
    assert figures.rung("emulator").samples == 30
    assert figures.rung("board").status == "not run"
    assert {(pair.reference, pair.test) for pair in figures.spike_difference} >= {("emulator", "simulator")}


def test_it_takes_the_place_of_another_and_does_not_say_where_the_data_were(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploytool.workflow.ship._training_samples", lambda _: 120)
    pipeline, store, folder = Store(made / "store"), Store(tmp_path / "store"), tmp_path / "small"
    trained, verdict = pipeline.get("model@latest"), pipeline.get("verdict@latest")
    recipe = {**trained.manifest.recipe, "data": {**trained.manifest.recipe["data"], "root": "/somewhere"}}
    placed = store.put(Request("model", trained.manifest.inputs, recipe), copy_of(trained))
    judged = store.put(Request("verdict", {"model": placed.digest}, {}), copy_of(verdict))
    (folder / "model-old").mkdir(parents=True)
    shipped = ship(store, judged, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["figures.json", shipped.name]
    assert shipped.digest == trained.digest != placed.digest


def copy_of(artifact: Artifact) -> Callable[[Path], None]:
    """What writes the files of ``artifact`` to another folder."""

    def write(folder: Path) -> None:
        for name in artifact.manifest.files:
            shutil.copyfile(artifact.path / name, folder / name)

    return write


def test_the_named_models_are_made_by_their_command_lines(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by a process of its own, with the number of threads that its table states."""
    pipeline = Store(made / "store")
    commands: list[tuple[list[str], str]] = []

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append((command[3:], env["OMP_NUM_THREADS"]))
        return subprocess.CompletedProcess(command, 0, json.dumps({"artifact": pipeline.get("verdict@latest").name}))

    monkeypatch.setattr("deploytool.workflow.ship.subprocess.run", run)
    monkeypatch.setattr("deploytool.workflow.ship.STORE", pipeline.root)
    monkeypatch.setattr("deploytool.workflow.ship.ROOT", tmp_path)
    main(["digits", "nmnist=somewhere"])
    store = ["--store", str(pipeline.root), "--json"]
    assert commands == [
        (["pipeline", "recipes/digits.toml", *store], "2"),
        (["pipeline", "recipes/nmnist.toml", "--set", "data.root=somewhere", *store], "2"),
    ]
    assert read_figures(tmp_path / "digits") == read_figures(tmp_path / "nmnist")
