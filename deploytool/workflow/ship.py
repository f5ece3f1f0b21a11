"""Trains and measures the shipped models again, and rewrites their files; ``make models`` calls it.

    python -m deploytool.workflow.ship NAME [NAME=FOLDER ...]

FOLDER holds the data set, if it is read from disk. Each model is trained by its own command line, in the folder of the
project and with the store ``build/models``; what is already trained there is not trained again.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from deploytool.base.machine import processor
from deploytool.ir.verdict_file import load_verdict
from deploytool.store.artifact import Artifact, Request, Store
from deploytool.store.lineage import ancestors
from deploytool.zoo.figures import VERSION, Figures, figures_of, write_figures
from deploytool.zoo.models import MODELS, ROOT, ShippedModel

STORE: Final = Path("build/models")
PACKAGES: Final = ("deploytool", "numpy", "numba", "torch")


def ship(store: Store, verdict: Artifact, folder: Path) -> Artifact:
    """The trained model behind ``verdict``, written to ``folder`` with its figures in place of what is there.

    Its manifest does not say where the data were.
    """
    model = next(each for each in ancestors(store, verdict) if each.kind == "model")
    shutil.rmtree(folder, ignore_errors=True)
    request = Request("model", model.manifest.inputs, _without_root(model.manifest.recipe))
    shipped = Store(folder).put(request, lambda draft: _copy(model, draft))
    figures = Figures(
        version=VERSION,
        model=shipped.digest,
        training_samples=_training_samples(model),
        **figures_of(load_verdict(verdict.path)),
        measured_on=processor(),
        measured_with={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    write_figures(figures, folder)
    return shipped


def _without_root(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "data": {**recipe["data"], "root": None}}


def _copy(model: Artifact, draft: Path) -> None:
    for name in model.manifest.files:
        shutil.copyfile(model.path / name, draft / name)


def _training_samples(model: Artifact) -> int:
    from deploytool.data.sets.table import load
    from deploytool.recipe import DataSection

    recipe = model.manifest.recipe
    data = load(DataSection.model_validate(recipe["data"]), recipe["seed"])
    return len(data.train) + len(data.validation)


def _trained(store: Store, model: ShippedModel, data: str) -> Artifact:
    """The verdict of the whole chain on ``model``, made by its command line."""
    where = ("--set", f"data.root={data}") if data else ()
    command = [
        sys.executable,
        "-m",
        "deploytool",
        "pipeline",
        model.recipe,
        *where,
        "--store",
        str(store.root),
        "--json",
    ]
    print(shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": str(model.threads)}, stdout=subprocess.PIPE, check=True
    )
    return store.get(json.loads(done.stdout)["artifact"], "verdict")


def main(arguments: Sequence[str]) -> None:
    """Ships the models that ``arguments`` name."""
    named = dict(argument.partition("=")[::2] for argument in arguments)
    store = Store(STORE)
    for name, data in named.items():
        model = ship(store, _trained(store, MODELS[name], data), ROOT / name)
        print(f"{name}: {model.name}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
