"""The recipes of the papers' experiments are complete, and take a step of training on small files of their sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.data_sets import write_set

from deploytool.base.errors import DeployError
from deploytool.base.messages import Messages
from deploytool.recipe import Recipe, load_recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache
from deploytool.workflow.check import check_recipe
from deploytool.workflow.train import train

FOLDER = Path(__file__).parents[2] / "recipes" / "papers"
PAPERS = sorted(path.stem for path in FOLDER.glob("*.toml"))
EVENT_DRIVEN = {"mtt-dvsgesture": True, "mtt-cifar10dvs-vgg9": False}
"""{recipe for event-driven runs: whether its network fits on the chip}."""
REASONS = {
    "mtt": "constraints.decay: found 0.5, a leak per time step",
    "tet": "constraints.decay: found 0.5, a leak per time step",
    "ptl": "train.ptl.input: found first",
    "trev": "train.trev.on: on1, on2, on3, on4 keep potentials",
    **dict.fromkeys(EVENT_DRIVEN, "node 'output': Output takes the potentials of"),
}
"""{paper, or recipe: what of it no chip has}."""


def recipe(name: str, **keys: Any) -> Recipe:
    return load_recipe(FOLDER / f"{name}.toml", [f"{key}={value}" for key, value in keys.items()])


def small(name: str, root: Path) -> Recipe:
    """The recipe called ``name`` for one step of two samples and two time steps, on small maps of files in ``root``."""
    whole = recipe(name)
    keys: dict[str, Any] = {
        "data.root": f'"{root / whole.data.set}"',
        "data.train_samples": 3,
        "train.time_steps": 2,
        "train.epochs": 1,
        "train.batch": 2,
        "train.device": '"cpu"',
        "train.warmup_epochs": 0,
    }
    if whole.data.set not in ("cifar10", "cifar100"):
        side = 64 if "vgg9" in name else 32
        keys |= {"data.size": [side, side], "network.input": [whole.network.input[0], side, side]}
    if whole.train.method == "mtt":
        keys["train.draws"] = 2
    if whole.train.method == "tit":
        keys |= {"train.tit": [[1, 1], [2, 1]], "train.epochs": 2}
    if whole.train.method == "ptl":
        keys |= {"train.schedule": '"cosine"', "train.milestones": [], "train.ptl.coupling": '"whole"'}
        keys |= {"train.ptl.stage_epochs": 1, "train.ptl.stage_milestone": 1}
        keys |= {"network.hidden": [32, 32]} if "vgg" in name else {}
    if whole.train.base is not None:
        keys["train.base.epochs"] = 1
    if whole.train.augment.shift > 10:
        keys["train.augment.shift"] = 2
    return recipe(name, **keys)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for name in {recipe(name).data.set for name in PAPERS}:
        write_set(name, root / name)
    return root


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_is_called_as_its_file_and_says_what_to_expect(name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert recipe(name).name == name
    assert "\n# Expected" in text
    assert "arXiv" in text


@pytest.mark.parametrize("name", PAPERS)
def test_check_says_why_no_chip_takes_the_network_of_a_paper(name: str) -> None:
    with pytest.raises(DeployError, match=REASONS.get(name) or REASONS[name.partition("-")[0]]):
        check_recipe(recipe(name))


@pytest.mark.parametrize(("name", "fits"), EVENT_DRIVEN.items())
def test_with_output_spikes_networks_for_events_are_placed(name: str, fits: bool) -> None:
    assert check_recipe(recipe(name, **{"network.spiking_output": "true"})).report.fits == fits


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_trains(name: str, sets: Path, tmp_path: Path) -> None:
    if (spec := small(name, sets)).data.set == "cifar10dvs":
        pytest.importorskip("aedat")
    model = train(StageCache(Store(tmp_path), Messages(quiet=True)), spec)
    assert model.kind == "model"
