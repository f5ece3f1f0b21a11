"""What commands cost besides their computing: process time, compared with the start of Python."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deploytool.base.files import temporary_folder
from deploytool.base.machine import threads
from deploytool.bench.speed.program import noise_of
from deploytool.ir.program_file import load_program
from deploytool.ir.streams_file import load_streams
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target
from deploytool.store.artifact import Store

REPEATS: Final = 5
LOOP: Final = ("-c", "n = 0\nfor i in range(4_000_000):\n    n += i & 7")
"""The unit for comparisons with earlier answers, in which changes of the machine's speed cancel."""
START: Final = ("-c", "import deploytool")
RUN: Final = ("run", "zoo:digits", "--data", "digits", "--on", "emulator")
AGAIN: Final = (*RUN, "--rasters", "3")
PYTHON: Final = "Python and import deploytool"
UNIT: Final = "the loop"
ENGINE: Final = "the engine alone on these samples"
AGAIN_PIPELINE: Final = "pipeline, already stored"

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

NMNIST_SAMPLES: Final = "500"
NMNIST: Final = ("run", "zoo:nmnist", "--data", "nmnist", "--samples", NMNIST_SAMPLES, "--on", "emulator")
OF_NMNIST: Final = f"run on {NMNIST_SAMPLES} samples of N-MNIST"

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


def commands(root: Path | None = None) -> list[dict[str, Any]]:
    """One row per command: user and system time of its process, the shortest of several, and beyond Python's start.

    With N-MNIST in ``root``, also of runs on it, beside what the engine alone takes for them.
    """
    python = (sys.executable, *START)
    with temporary_folder() as folder:
        _seconds(python, folder)  # files into memory, loops into the cache
    rounds = [_round(root) for _ in range(REPEATS)]
    taken = {name: [each[name] for each in rounds] for name in rounds[0]}
    if importlib.util.find_spec("torch") is not None:
        taken[AGAIN_PIPELINE] = _pipeline_again()
    rows = [_row(name, seconds, taken) for name, seconds in taken.items() if name != UNIT]
    if AGAIN_PIPELINE not in taken:
        rows.append({"command": AGAIN_PIPELINE, "process s": "not run: PyTorch is not installed"})
    if root is None:
        rows.append({"command": OF_NMNIST, "process s": "not run: it needs --root"})
    return rows


def measures(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """{command: its milliseconds, their noise, and the multiple of the loop's time}, for comparisons of answers."""
    return {
        row["command"]: {
            "ms": 1000 * row["process s"],
            "noise in %": row["noise in %"],
            "times the loop's": row["times the loop's"],
        }
        for row in rows
        if isinstance(row["process s"], float)
    }


def _row(name: str, seconds: Sequence[float], taken: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    start, shortest = min(taken[PYTHON]), min(seconds)
    row: dict[str, Any] = {"command": name, "process s": shortest}
    if name != ENGINE:
        row["s beyond Python"] = shortest - start
    if name.startswith(OF_NMNIST):
        row["s beyond Python and the engine"] = shortest - start - min(taken[ENGINE])
    row["noise in %"] = 100 * noise_of(seconds)
    row["times the loop's"] = shortest / min(taken[UNIT])
    return row


def _round(root: Path | None) -> dict[str, float]:
    """{command: its seconds}, in a store that is empty at first."""
    with temporary_folder() as place:
        found = {name: _seconds((sys.executable, *call), place) for name, call in ((PYTHON, START), (UNIT, LOOP))}
        found |= {name: _seconds(_called(arguments), place) for name, arguments in IN_ORDER}
    if root is None:
        return found
    with temporary_folder() as place:
        run = (*NMNIST, "--root", str(root.absolute() / "nmnist"))
        found[f"{OF_NMNIST}, the first on this data"] = _seconds(_called(run), place)
        found[f"{OF_NMNIST}, with prepared samples"] = _seconds(_called((*run, "--rasters", "1")), place)
        found[ENGINE] = _engine(Store(place / "artifacts"))
    return found


def _engine(store: Store) -> float:
    """The seconds of all threads in which the emulator runs the newest program of ``store`` on the newest samples."""
    program = load_program(store.get("program@latest").path)
    streams = load_streams(store.get("samples@latest").path)
    target = make_target("emulator", Options(threads=threads()))
    target.run(program, streams[:2])  # compiles loops, or loads them
    before = time.process_time()
    target.run(program, streams)
    return time.process_time() - before


def _pipeline_again() -> list[float]:
    with temporary_folder() as folder:
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        _, *again = (_seconds(_called(PIPELINE), folder) for _ in range(1 + REPEATS))
        return again


def _called(arguments: Sequence[str]) -> tuple[str, ...]:
    return (sys.executable, "-m", "deploytool", *arguments)


def _seconds(call: Sequence[str], folder: Path) -> float:
    """The user and system time of a process in ``folder``. Raises CalledProcessError if it fails.

    Python keeps its bytecode, as it does by default: to compile all modules again takes half of a short command.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(call, cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
