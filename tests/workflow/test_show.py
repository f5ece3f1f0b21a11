"""The list of a store: one row per artifact, the newest first, and what an artifact is in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.command import Deploytool, answer

from deploytool.store.artifact import Store
from deploytool.store.manifest import KINDS
from deploytool.workflow import show
from deploytool.workflow.stored.contents import CONTENTS
from deploytool.workflow.stored.scores import validation_score
from deploytool.workflow.stored.summaries import SUMMARIES, Summary, summary


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """The artifacts of a pipeline, which a test may damage."""
    shutil.copytree(made / "store", tmp_path / "store")
    return Store(tmp_path / "store")


def test_every_kind_can_be_listed_and_shown() -> None:
    assert {*SUMMARIES} == {*CONTENTS} == {*KINDS}


def test_every_kind_has_its_figure(store: Store) -> None:
    summaries: dict[str, Summary] = {}
    for path in reversed(store.folders()):
        artifact = store.get(path.name)
        found = summary(store, artifact)
        name = found.on if artifact.kind in ("recording", "program") else None
        summaries[f"{artifact.kind} {name}" if name else artifact.kind] = found
    assert summaries["graph"].result == "8 nodes"
    assert summaries["program simulator"] == Summary("simulator", result="2 layers")
    assert summaries["program speck2e"] == Summary("speck2e", result="2 cores")
    assert (summaries["model"].on, summaries["model"].time_steps) == ("speck2e", 6)
    model, emulator = summaries["model"], summaries["recording emulator"]
    for found in (model, emulator):
        assert found.accuracy_percent is not None
        assert found.result == f"{found.accuracy_percent:.2f} %"
    assert (summaries["recording quantised"].time_steps, emulator.time_steps) == (6, None)
    assert emulator.special is None
    assert summaries["verdict"].result == "passed"
    assert summaries["report"] == Summary()


def test_rows_are_newest_first_and_a_damaged_artifact_says_so(store: Store) -> None:
    (model,) = store.folders("model")
    (graph,) = store.folders("graph")
    (model / "history.json").write_text("[]")
    rows = show.artifacts(store)
    assert [row["artifact"] for row in rows] == [path.name for path in store.folders()]
    times = [row["created"] for row in rows if row["created"]]
    assert times == sorted(times, reverse=True)
    damaged = next(row for row in rows if row["artifact"] == model.name)
    assert (damaged["result"], damaged["created"]) == ("damaged", None)
    assert damaged["made_from"].startswith("damaged: ")
    assert next(row for row in rows if row["artifact"] == graph.name)["result"] == "8 nodes"


def test_the_score_of_a_model_is_that_of_the_chosen_epoch() -> None:
    assert validation_score([]) == {"validation_accuracy_percent": None}
    assert validation_score([{"loss": 1.0}]) == {"validation_accuracy_percent": None}
    history = [{"validation_accuracy": 90.123456}, {"validation_accuracy": 80.0, "chosen": 1}]
    assert validation_score(history) == {"validation_accuracy_percent": 80.0}
    assert validation_score(history[:1]) == {"validation_accuracy_percent": 90.1235}
    assert validation_score([{"validation_r2": 0.7}, {"validation_r2": 0.8}]) == {"validation_r2": 0.8}


def test_models_and_what_is_made_of_them_say_where_they_were_trained(cli: Deploytool) -> None:
    model, verdict = (answer(cli("show", f"{kind}@latest", "--json")) for kind in ("model", "verdict"))
    assert model["machine"].keys() == {"processor", "instructions", "threads", "python", "numpy", "torch", "numba"}
    assert model["trained_on"].startswith(f"Trained on {model['machine']['processor']} (")
    assert verdict["trained_on"] == model["trained_on"]
    shown = " ".join(cli("show", "verdict@latest").stdout.split())
    assert f"{model['machine']['instructions']})" in shown
