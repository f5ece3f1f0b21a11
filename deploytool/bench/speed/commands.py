"""What commands cost besides their computing: process time, compared with the start of Python."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

REPEATS: Final = 3
START: Final = ("-c", "import deploytool")
RUN: Final = ("run", "zoo:digits", "--data", "digits", "--on", "emulator")
AGAIN: Final = (*RUN, "--rasters", "3")

IN_ORDER: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("help", ("--help",)),
    ("show models", ("show", "models")),
    ("check", ("check", "zoo:digits")),
    ("map", ("map", "zoo:digits")),
    ("run, the first on this data", RUN),
    ("run, with prepared samples", AGAIN),
    ("run, already stored", AGAIN),
    ("show a recording", ("show", "recording@latest")),
    ("validate", ("validate", "recording@latest")),
)
"""The commands, each with what those before it left in the store."""

PIPELINE: Final = ("pipeline", "recipe.toml")
RECIPE: Final = """
name = "small"
[data]
set = "digits"
train_samples = 100
test_samples = 50
[network]
input = [2, 16, 16]
layers = [
    { type = "conv", out = 4, kernel = 3 },
    { type = "spike" },
    { type = "sumpool", kernel = 2 },
    { type = "flatten" },
    { type = "linear", out = 10 },
    { type = "spike" },
]
[train]
method = "sdt"
time_steps = 5
epochs = 1
batch = 32
learning_rate = 5e-3
"""
"""A recipe whose training takes seconds."""


def commands() -> list[dict[str, Any]]:
    """One row per command: user and system time of its process, the shortest of several, and beyond Python's start."""
    python = (sys.executable, *START)
    with tempfile.TemporaryDirectory() as folder:
        _seconds(python, Path(folder))  # files into memory, loops into the cache
        start = min(_seconds(python, Path(folder)) for _ in range(REPEATS))
    rounds = [_round() for _ in range(REPEATS)]
    rows: list[dict[str, Any]] = [{"command": "Python and import deploytool", "process s": start}]
    for (name, _), times in zip(IN_ORDER, zip(*rounds, strict=True), strict=True):
        rows.append(_row(name, min(times), start))
    if importlib.util.find_spec("torch") is None:
        return [*rows, {"command": "pipeline, already stored", "process s": "not run: PyTorch is not installed"}]
    return [*rows, _row("pipeline, already stored", _pipeline_again(), start)]


def _row(name: str, seconds: float, start: float) -> dict[str, Any]:
    return {"command": name, "process s": seconds, "s beyond Python": seconds - start, "x Python": seconds / start}


def _round() -> list[float]:
    """The seconds of each command, in a store that is empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        return [_seconds(_called(arguments), Path(folder)) for _, arguments in IN_ORDER]


def _pipeline_again() -> float:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "recipe.toml").write_text(RECIPE, encoding="utf-8")
        _, *again = (_seconds(_called(PIPELINE), Path(folder)) for _ in range(1 + REPEATS))
        return min(again)


def _called(arguments: Sequence[str]) -> tuple[str, ...]:
    return (sys.executable, "-m", "deploytool", *arguments)


def _seconds(call: Sequence[str], folder: Path) -> float:
    """The user and system time of a process in ``folder``. Raises CalledProcessError if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(call, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
