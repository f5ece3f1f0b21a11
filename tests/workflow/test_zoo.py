"""Shipped models wherever a network is taken, with the figures that are stated of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploytool.base.errors import ArtifactError
from deploytool.ir.program_file import load_program
from deploytool.ir.recording_file import load_recording
from deploytool.run.jobs.job import Job
from deploytool.store.artifact import SILENT, Store
from deploytool.store.cache import StageCache
from deploytool.store.lineage import ancestors
from deploytool.validate.metrics import accuracy, synops_per_sample
from deploytool.workflow import zoo
from deploytool.workflow.check import check
from deploytool.workflow.package.package import package
from deploytool.workflow.run import run
from deploytool.workflow.sources.samples import samples
from deploytool.workflow.sweep import Asked, sweep
from deploytool.zoo.figures import read_figures
from deploytool.zoo.models import MODELS, ROOT

TORCH_FREE = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from deploytool.cli.app import app
for command in ("convert", "map", "run"):
    data = ["--data", "events.npy"] if command == "run" else []
    app([command, "zoo:nmnist", "--quiet", *data], standalone_mode=False)
assert "sinabs" not in sys.modules
"""


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(Store(tmp_path / "store"), SILENT)


@pytest.mark.parametrize("name", ["digits", "ptl-digits"])
def test_the_stated_figures_are_measured_again_exactly(cache: StageCache, name: str) -> None:
    from deploytool.data.formats.reading import AS_IT_IS

    test = samples("digits", None, None, None, AS_IT_IS)
    for rung in ("emulator", "simulator"):
        made = run(cache, f"zoo:{name}", Job(rung), test)
        found, stated = load_recording(made.path), read_figures(ROOT / name).rung(rung)
        assert len(found) == stated.samples == 359
        assert accuracy(found) == pytest.approx(stated.accuracy, abs=1e-4)
        assert int((found.predictions == found.labels).sum()) == stated.right
        assert synops_per_sample(found) == pytest.approx(stated.synops, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_mapped_for_its_chip_or_the_simulator_and_stays_in_the_lineage(cache: StageCache, name: str) -> None:
    on_chip = zoo.program_named(cache, f"zoo:{name}")
    simulated = zoo.program_named(cache, f"zoo:{name}", for_chip=False)
    assert load_program(on_chip.path).chip == "speck2e"
    assert load_program(simulated.path).chip == "simulator"
    for program in (on_chip, simulated):
        model = ancestors(cache.store, program)[-1]
        assert model.digest == read_figures(ROOT / name).model
        assert model.path.parent == cache.store.root


def test_checking_one_writes_nothing(cache: StageCache) -> None:
    assert check(cache.store, "zoo:nmnist").report.fits
    assert not cache.store.root.exists()


def test_it_can_be_packed(cache: StageCache, tmp_path: Path) -> None:
    packed = package(cache, "zoo:digits", tmp_path / "digits.zip")
    assert packed["chip"] == "speck2e"
    assert packed["samples"] == 4


def test_it_is_swept_under_its_own_name_on_its_own_test_samples(cache: StageCache) -> None:
    from deploytool.ir.sweep_file import load_sweep

    made = sweep(cache, ["zoo:digits"], Asked("events", (50, 400), on="emulator"))
    (curve,) = load_sweep(made.path).curves
    assert curve.model == "zoo:digits"
    assert [point.value for point in curve.points] == [50, 400]
    assert ancestors(cache.store, made)[-1].digest == read_figures(ROOT / "digits").model


def test_a_program_is_still_named_as_before(cache: StageCache) -> None:
    made = zoo.program_named(cache, "zoo:digits")
    assert zoo.program_named(cache, made.name) == made
    with pytest.raises(ArtifactError, match="a graph; need a program"):
        zoo.program_named(cache, "graph@latest")


def test_a_list_and_a_card_state_the_figures() -> None:
    rows = zoo.models()
    assert [row["model"] for row in rows] == [f"zoo:{name}" for name in MODELS]
    for row in rows:
        card = zoo.card(row["model"])
        emulator = next(rung for rung in card["rungs"] if rung["rung"] == "emulator")
        assert row["emulator_percent"] == pytest.approx(emulator["accuracy_percent"], abs=1e-2)
        assert card["licence"] == row["licence"]
        assert row["recipe"] in card["reproduce"]
        assert card["rungs"][-1]["status"] == "not run"


def test_no_torch_is_needed(tmp_path: Path) -> None:
    import numpy as np

    from deploytool.ir.events import EVENT

    events = np.zeros(50, EVENT)
    events["t"] = np.arange(50) * 100
    np.save(tmp_path / "events.npy", events)
    done = subprocess.run([sys.executable, "-c", TORCH_FREE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
