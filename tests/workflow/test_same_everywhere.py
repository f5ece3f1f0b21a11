"""Everything after training is the same to the bit on every processor and with every number of threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from helpers.command import RECIPE

PLAIN: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "default",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "OMP_NUM_THREADS": "1",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
"""The instructions that every x86-64 processor has, and one thread."""


def deploytool(folder: Path, settings: Mapping[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "deploytool", *arguments, "--store", str(folder / "store"), "--quiet"]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_behind_training_is_the_same_without_the_vectors_of_this_processor(made: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (model,) = (made / "store").glob("model-*")
    shutil.copytree(model, tmp_path / "store" / model.name)
    settings = {**PLAIN, "NUMBA_CACHE_DIR": str(tmp_path / "compiled")}
    deploytool(tmp_path, settings, "pipeline", "recipe.toml")
    found, expected = ({path.name for path in (folder / "store").glob("*-*")} for folder in (tmp_path, made))
    assert found == expected
    assert len(found) >= 11
