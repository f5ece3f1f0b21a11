"""Checkpoints of a training, with digests that match and without, from which training continues."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Final

from deploytool.base.digest import digest, file_digest
from deploytool.base.json_text import canonical_json
from tests.fuzz.arrays import tensors_changed
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.values import changed, written

NAME: Final = "checkpoint.json"


METHODS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "sdt": {"epochs": 2},
        "ptl": {"epochs": 1, "method": "ptl", "patience": 1, "ptl": {"stage_epochs": 1, "threshold_samples": 8}},
    }
)
"""{method: keys of [train] for a training of a moment}."""


def _train(method: str, folder: Path) -> object:
    from helpers.tiny import CONSTRAINTS, NETWORK, Sides, spec

    from deploytool.train.methods.table import train
    from deploytool.train.task import Task

    constraints = CONSTRAINTS if method == "sdt" else CONSTRAINTS.model_copy(update={"floor": None})
    return train(Task(NETWORK, constraints, spec(**METHODS[method]), 0, Sides(8, 1), Sides(8, 2), folder))


@cache
def _seed(method: str) -> dict[str, bytes]:
    """{file: content} of the checkpoint of a training that has just ended."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-checkpoint-"))
    try:
        _train(method, folder)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    finally:
        shutil.rmtree(folder)


def _mutated(method: str, random: Random, folder: Path) -> Path:
    for name, content in _seed(method).items():
        (folder / name).write_bytes(content)
    described: dict[str, Any] = json.loads(_seed(method)[NAME])
    tensors = folder / described["tensors"]
    if random.random() < 0.15:
        path = random.choice((folder / NAME, tensors))
        path.write_bytes(damaged(random, path.read_bytes()))
        return folder
    stated: Any = {key: value for key, value in described.items() if key != "digest"}
    if random.random() < 0.7:
        tensors.write_bytes(tensors_changed(random, tensors.read_bytes()))
        stated["sha256"] = file_digest(tensors)
    else:
        key = stated["key"]
        stated = changed(random, stated)
        if isinstance(stated, dict) and random.random() < 0.9:
            stated["key"] = key
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        stated = {**stated, "digest": digest(canonical_json(stated))}
    (folder / NAME).write_bytes(written(stated))
    return folder


def _family(name: str, method: str) -> Family:
    """Training by ``method``, which goes on from the checkpoint, here after its last epoch."""
    return Family(name, partial(_mutated, method), partial(_train, method))


FAMILIES: Final = (_family("checkpoints", "sdt"), _family("checkpoints-ptl", "ptl"))
