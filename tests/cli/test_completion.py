"""What a shell completes, from the functions and once as bash asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploytool.chip.chips import chip_names
from deploytool.cli.completion import completion_of
from deploytool.data.sets.sources import DATASETS
from deploytool.recipe.presets.table import PRESETS
from deploytool.recipe.schema import keys_at
from deploytool.run.targets.table import TARGETS
from deploytool.train.methods.table import METHODS


def completed(parameter: str, incomplete: str = "", store: Path | None = None) -> list[str]:
    complete = completion_of(parameter)
    assert complete is not None
    context: Any = SimpleNamespace(params={"store": store})
    return [name for name, _ in complete(context, incomplete)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number, name in enumerate(("program-1a2b", "recording-3c4d", "recording-5e6f", "model-7a8b")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (number, number))
    (tmp_path / ".cache-x").mkdir()
    (tmp_path / "notes-of-mine.txt").touch()
    return tmp_path


def test_artifacts_newest_first_and_by_kind(store: Path) -> None:
    assert completed("recording", "", store) == ["recording@latest", "recording-5e6f", "recording-3c4d"]
    assert completed("recording", "recording-3", store) == ["recording-3c4d"]
    assert completed("program", "p", store) == ["program@latest", "program-1a2b"]
    assert completed("source", "m", store) == ["model@latest", "model-7a8b"]
    assert {"presets", "models", "schema", "model-7a8b", "recording@latest"} <= set(completed("artifact", "", store))
    assert completed("verdict", "", store) == []
    assert completed("verdict", "", store / "none") == []


@pytest.mark.parametrize(
    "name",
    ["program-$(touch x)", "program-1a2b;x", "program-`x`", "program-1a\n2b", "program-\x1b[31m", "program-1a2b x"],
)
def test_nothing_is_completed_that_a_shell_or_a_terminal_would_obey(store: Path, name: str) -> None:
    (store / name).mkdir()
    assert completed("program", "program-", store) == ["program-1a2b"]


def test_models_that_ship(store: Path) -> None:
    assert {"zoo:digits", "zoo:nmnist"} <= set(completed("program", "zoo:", store))
    assert "zoo:digits" in completed("artifact", "zoo:d", store)
    assert not [name for name in completed("recording", "", store) if name.startswith("zoo")]


def test_names_of_recipes() -> None:
    assert completed("chip") == list(chip_names())
    assert completed("target", "s") == ["speck2e", "speck2f", "simulator"]
    assert completed("data") == list(DATASETS)
    assert completed("data", "nm") == ["nmnist", "nmnist-saccades"]
    assert completed("preset") == list(PRESETS)
    assert set(completed("on")) <= {*TARGETS}
    assert completed("require", "b") == ["board"]
    assert completed("reset") == ["subtract", "zero"]


def test_keys_of_set_and_then_their_values() -> None:
    keys = completed("set_")
    assert {
        f"train.{key}="
        for key in keys_at(("train",))
        if key not in ("ptl", "trev", "events", "augment", "base", "teacher")
    } <= set(keys)
    assert {"seed=", "map.dvs.polarity=", "train.ptl.forward=", "train.shift=", "train.base.epochs="} <= set(keys)
    assert completed("set_", "train.tet") == ["train.tet_lambda=", "train.tet_phi="]
    assert set(completed("set_", "train.method=")) == {f"train.method={name}" for name in METHODS}
    assert completed("set_", "train.method=s") == ["train.method=sdt"]
    assert completed("set_", "map.split") == ["map.split=true", "map.split=false"]
    assert completed("set_", "train.epochs=1") == []
    assert completed("set_", "none.such=") == []


def test_everything_else_is_left_to_the_shell() -> None:
    assert completion_of("output") is None
    assert completion_of("recipe") is None


def asked(words: list[str], at: int) -> list[str]:
    """What bash gets for ``words``, the one at number ``at`` being completed."""
    environment = {"_DEPLOYTOOL_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(at)}
    code = "import sys; sys.argv = ['deploytool']; from deploytool.cli.app import main; main()"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"pydantic", "numpy", "torch", "rich", "tomlkit"}
    return done.stdout.split()


def test_as_bash_asks(store: Path) -> None:
    assert asked(["deploytool", "validate", "--store", str(store), "recording-5"], 4) == ["recording-5e6f"]
    assert asked(["deploytool", "train", "r.toml", "--set", "constraints.r"], 4) == ["constraints.reset="]
    assert asked(["deploytool", "run", "program@latest", "--data", "nc"], 4) == ["ncaltech101"]
    assert asked(["deploytool", "check", "--chip", "speck"], 3) == ["speck2e", "speck2f"]
    assert asked(["deploytool", "valid"], 1) == ["validate"]
    assert asked(["deploytool", "compare", "recording-3c4d", "--store", str(store), "rec"], 5)[0] == "recording@latest"
