"""Runs claims: every arm with every seed, on all cores. Results that are in the store are reused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from deploytool.base.digest import digest
from deploytool.base.errors import DeployError
from deploytool.base.machine import threads
from deploytool.base.messages import Messages
from deploytool.bench.experiments.claim import arm_recipe, load_claims
from deploytool.bench.experiments.table import as_markdown, rows
from deploytool.recipe import Recipe
from deploytool.store.artifact import Store
from deploytool.store.cache import StageCache

VERSION: Final = 1
"""Version of the measures. Increase it if a measure changes, so that older figures are not reused."""


@dataclass(frozen=True)
class Trial:
    """The ``arm`` of the claim ``name`` with one ``seed``: what is trained, if anything, and what is measured."""

    name: str
    arm: str
    seed: int
    recipe: Recipe | None
    measures: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def trained_key(self) -> str:
        """The key of what is trained: trials with the same key share the training, and run one after the other."""
        if self.recipe is None:
            return digest((self.name, self.arm))
        return digest(self.recipe.section("seed", "data", "network", "constraints", "train"))

    @property
    def key(self) -> str:
        recipe = None if self.recipe is None else self.recipe.model_dump(mode="json")
        return digest((VERSION, recipe, self.arm, self.seed, self.measures, dict(self.options)))


def claims(cache: StageCache, folder: Path, only: str | None = None, data_root: Path | None = None) -> dict[str, Any]:
    """The table of all claims in ``folder`` (or of the one called ``only``), which is also written to the store.

    ``data_root`` contains the folders nmnist and mnist; without them, the claims that need them are "not run".
    """
    found = load_claims(folder, only)
    trials: list[Trial] = []
    for name, claim in found.items():
        if claim.needs == "nothing" or data_root is not None:
            root = None if data_root is None or claim.needs == "nothing" else str(data_root / claim.needs)
            trials += [
                Trial(name, arm, seed, arm_recipe(claim, arm, seed, folder, root), claim.measures, claim.options)
                for seed in claim.seeds
                for arm in claim.arms
            ]
    measured = _measure(cache, trials)
    results = {name: rows(claim, measured.get(name, {})) for name, claim in found.items()}
    table = cache.store.root / "claims" / "claims.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(as_markdown(found, results), encoding="utf-8")
    return {"table": str(table), "claims": results}


def _measure(cache: StageCache, trials: list[Trial]) -> dict[str, dict[str, dict[int, dict[str, Any]]]]:
    """{claim: {arm: {seed: figures}}} of ``trials``."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.trained_key, []).append(trial)
    measured: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    started, done = time.monotonic(), 0
    with multiprocessing.get_context("spawn").Pool(threads(), _begin) as pool:
        for finished in pool.imap_unordered(partial(_measure_group, cache.store.root), groups.values()):
            for trial, figures in finished:
                done += 1
                measured.setdefault(trial.name, {}).setdefault(trial.arm, {})[trial.seed] = figures
                left = (time.monotonic() - started) / done * (len(trials) - done)
                shown = "  ".join(f"{name} {_short(value)}" for name, value in figures.items())
                what = f"{trial.name} {trial.arm} {trial.seed}"
                cache.messages.say(f"{done}/{len(trials)}  {left:.0f} s left  {what}: {shown}")
    return measured


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _begin() -> None:
    """Makes each worker compute on one thread, so that figures do not depend on the number of workers, and ignore
    interrupts, which the waiting parent process handles."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _measure_group(root: Path, trials: Iterable[Trial]) -> list[tuple[Trial, dict[str, Any]]]:
    """The figures of ``trials``, which all share one training."""
    return [(trial, _figures(root, trial)) for trial in trials]


def _figures(root: Path, trial: Trial) -> dict[str, Any]:
    """The measurements of ``trial``, from the store or new; {"failed": sentence} if they could not be made."""
    from deploytool.bench.experiments.measures import MEASURES

    path = root / "claims" / f"{trial.key[:16]}.json"
    if path.is_file():
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return figures
    cache = StageCache(Store(root), Messages(quiet=True))
    figures = {}
    try:
        for name in trial.measures:
            figures |= MEASURES[name](cache, trial.recipe, trial.seed, trial.options)
    except DeployError as error:
        return {"failed": str(error)}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(figures), encoding="utf-8")
    draft.replace(path)
    return figures
