"""The shipped models: their list, what one of them is, and its program."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from deploytool.base.numbers import rounded
from deploytool.ir.program import SIMULATOR
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.zoo.models import MODELS, PREFIX, ROOT, is_shipped, model_folder, name_of


def program_named(cache: StageCache, reference: str, for_chip: bool = True) -> Artifact:
    """The program that ``reference`` names. A shipped model is mapped first, for its chip or for the simulator."""
    if is_shipped(reference):
        graph = convert(cache, reference)
        return map_graph(cache, graph, None if for_chip else SIMULATOR)
    return cache.store.get(reference, "program", for_chip=for_chip)


def models() -> list[dict[str, Any]]:
    """One row per shipped model."""
    from deploytool.zoo.figures import read_figures

    rows = []
    for name, model in MODELS.items():
        figures, folder = read_figures(ROOT / name), model_folder(name)
        rows.append(
            {
                "model": f"{PREFIX}{name}",
                "trained_percent": rounded(figures.rung("torch").accuracy),
                "emulator_percent": rounded(figures.rung("emulator").accuracy),
                "samples": figures.rung("emulator").samples,
                "kilobytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1000),
                "says": model.says,
                "data": model.data.says,
                "licence": model.data.licence,
                "recipe": model.recipe,
                "digest": figures.model,
            }
        )
    return rows


def card(reference: str) -> dict[str, Any]:
    """What a shipped model is, how it was made, and its figures on every rung."""
    from deploytool.zoo.figures import read_figures

    name = name_of(reference)
    model, figures = MODELS[name], read_figures(ROOT / name)
    return {
        "model": f"{PREFIX}{name}",
        "says": model.says,
        "reproduce": model.command,
        "trained_on": model.data.says,
        "measured_on_samples": model.data.test,
        "licence": model.data.licence,
        "attribution": model.data.attribution,
        "training_samples": figures.training_samples,
        "measured_on": figures.measured_on,
        "measured_with": ", ".join(f"{package} {version}" for package, version in figures.measured_with.items()),
        "threads": model.threads,
        "date": figures.date,
        "rungs": [
            {
                "rung": rung.rung,
                "status": rung.status,
                "time_steps": rung.time_steps,
                "accuracy_percent": rung.accuracy,
                "samples": rung.samples,
                "synops_per_sample": rung.synops,
            }
            for rung in figures.rungs
        ],
        "spike_difference": [asdict(pair) for pair in figures.spike_difference],
    }
