"""The setup of a run, as its recording states it and as the lineage of an older one gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploytool.ir.recording import Recording
from deploytool.ir.recording_file import load_recording
from deploytool.store.artifact import Artifact, Store
from deploytool.workflow.sources import recordings


def every(store: Store) -> list[Artifact]:
    return [store.get(path.name) for path in store.folders("recording")]


def test_all_runs_of_a_recipe_are_of_one_network(made: Path) -> None:
    store = Store(made / "store")
    found = {recording.rung: recording for recording in (load_recording(each.path) for each in every(store))}
    (model,) = store.folders("model")
    assert {recording.setup.network for recording in found.values()} == {store.get(model.name).digest}
    assert {rung: recording.setup.arithmetic for rung, recording in found.items()} == {
        "torch": "float32",
        "quantised": "int8/int16",
        "simulator": "float32",
        "emulator": "int8/int16",
    }
    assert {rung: recording.setup.time_steps for rung, recording in found.items()} == {
        "torch": 6,
        "quantised": 6,
        "simulator": None,
        "emulator": None,
    }
    assert found["emulator"].setup.weight_bits == 8


def test_an_older_recording_gets_its_setup_from_its_lineage(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made / "store")

    def old(folder: Path) -> Recording:
        return replace(load_recording(folder), setup=type(load_recording(folder).setup)())

    monkeypatch.setattr(recordings, "load_recording", old)
    for artifact in every(store):
        known, found = load_recording(artifact.path).setup, recordings.load(store, artifact).setup
        assert replace(found, program=known.program, arithmetic=known.arithmetic) == known


def test_the_network_of_a_run_does_not_depend_on_what_else_is_in_the_store(
    made: Path, program: str, tmp_path: Path
) -> None:
    """A recording that was made while its graph and model were deleted had another name than otherwise."""
    store, alone = Store(made / "store"), Store(tmp_path / "store")
    (model,) = store.folders("model")
    alone.adopt(store.get(program))
    recording = next(
        found for found in (load_recording(each.path) for each in every(store)) if found.rung == "emulator"
    )
    for place in (store, alone):
        found = recordings.with_source(place, place.get(program), recording)
        assert found.setup.network == store.get(model.name).digest
