"""A process that repeats the chain through the Python API, and prints its measures after every repetition.

    python -m soak.script FOLDER STORE SEED

All that it makes but the model is deleted before the next repetition, so that it is computed again; every tenth
repetition also trains. It damages one of its own artifacts, which must then be refused by name, and reads what is in
STORE, on which commands work meanwhile. It ends when stdin is closed.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from soak import measured
from soak.chain import RECIPE, artifacts_in
from soak.faults import flip_in

import deploytool as dt

TRAINED_EVERY: Final = 10
KEPT_EVERY: Final = 4
READ: Final = ("model", "graph", "program", "recording", "verdict")


def repetition(folder: Path, random: random.Random) -> tuple[list[str], list[str]]:
    """(the names of all artifacts, what went wrong) of one pass from the recipe to the report."""
    store = folder / "script-store"
    model = dt.train(folder / "recipe.toml", store=store)
    graph = dt.load(model)
    fit = dt.check(graph)
    program = dt.compile(graph)
    samples = dt.events("digits", count=12)
    emulated = dt.emulate(program, samples, rasters=2)
    simulated = dt.simulate(graph, samples, rasters=2)
    stepped = dt.clock_driven(program, samples, 6)
    trained = dt.clock_driven(model, samples)
    compared = dt.compare(emulated, simulated, explain=1)
    verdict = dt.validate([emulated, simulated, stepped, trained], min_accuracy=0)
    page = dt.report(verdict, folder / "script.html")
    counts = np.zeros((3, 6, 2, 16, 16), np.int64)
    counts[:, :, 0, 2:9, 4:12] = 1
    own = dt.emulate(dt.compile(dt.load(folder / "net.nir")), dt.events(counts, dt_ms=10))
    results: list[Any] = [model, graph, program, emulated, simulated, stepped, trained, compared, verdict, own]
    for result in results:
        assert repr(result)
        assert result._repr_html_()
    assert fit
    assert page.is_file()
    return [result.name for result in results], damaged(store, random)


def damaged(store: Path, random: random.Random) -> list[str]:
    """What went wrong when an artifact of ``store`` was damaged and opened."""
    name = random.choice(sorted(name for name in artifacts_in(store) if name.startswith(READ)))
    file = flip_in(store / name, random)
    try:
        dt.open(name, store)
    except dt.DeployError as error:
        found = [] if name in str(error) else [f"damage of {name} is not named: {error}"]
    else:
        found = [f"damage of {file} is not found"]
    shutil.rmtree(store / name)
    return found


def read(store: Path) -> tuple[int, int]:
    """(artifacts of ``store`` that were read, those that were refused with a sentence)."""
    taken = refused = 0
    for name in sorted(name for name in artifacts_in(store) if name.startswith(READ)):
        try:
            assert dt.open(name, store).describe()
            taken += 1
        except dt.DeployError:
            refused += 1
    return taken, refused


def main(folder: Path, store: Path, seed: int) -> None:
    """Repeats until stdin is closed."""
    generator = random.Random(seed)
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    begun, number = time.monotonic(), 0
    first: list[str] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        for name in artifacts_in(folder / "script-store"):
            if not name.startswith("model") or number % TRAINED_EVERY == TRAINED_EVERY - 1:
                shutil.rmtree(folder / "script-store" / name)
        names, wrong = repetition(folder, generator)
        first = first or names
        if names != first:
            wrong.append(f"other artifacts: {sorted(set(names) ^ set(first))}")
        taken, refused = read(store)
        measures = measured.process(os.getpid())._asdict()
        row = {"repetition": number, "seconds": time.monotonic() - begun, **measures}
        if number % KEPT_EVERY == 0:
            row |= measured.kept()._asdict()
        print(json.dumps({**row, "read": taken, "refused": refused, "wrong": wrong}), flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
