"""Checkpoints of a training, with digests that match and without, from which training continues."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from deploytool.base.digest import digest, file_digest
from deploytool.base.json_text import canonical_json
from tests.fuzz.arrays import tensors_changed
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.values import changed, written

if TYPE_CHECKING:
    from deploytool.train.task import Task

NAME: Final = "checkpoint.json"


METHODS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "sdt": {"epochs": 2},
        "mtt": {"epochs": 2, "method": "mtt", "base": {"epochs": 1, "learning_rate": 0.005}},
        "tit": {"epochs": 2, "method": "tit", "tit": ((2, 1), (4, 1))},
        "ptl": {"epochs": 1, "method": "ptl", "patience": 1, "ptl": {"stage_epochs": 1, "threshold_samples": 8}},
        "trev": {"epochs": 1, "method": "trev", "trev": {"on": ("on1", "on2", "on3"), "own": True}},
    }
)
"""{method: keys of [train] for a training of a moment}."""


def _task(folder: Path, **keys: Any) -> Task:
    from helpers.tiny import NETWORK, STAGES, Sides, spec

    from deploytool.recipe import ConstraintsSection, NetworkSection
    from deploytool.train.task import Task

    asked = spec(**keys)
    network, constraints = NETWORK, ConstraintsSection()
    match asked.method:
        case "mtt":
            first, *others = NETWORK.model_dump(by_alias=True)["layers"]
            layers = [first, {"type": "batchnorm"}, *others]
            network = NetworkSection.model_validate({"input": NETWORK.input, "layers": layers})
        case "ptl":
            constraints = ConstraintsSection(floor=None)
        case "trev":
            network, constraints = STAGES, ConstraintsSection(weight_bits=32, threshold=0.5)
    return Task(network, constraints, asked, 0, Sides(8, 1), Sides(8, 2), folder)


def _train(method: str, folder: Path) -> object:
    from deploytool.train.methods.table import train

    return train(_task(folder, **METHODS[method]))


def _teach(folder: Path) -> object:
    """Trains the teacher of training on events."""
    from helpers.tiny import Sides, in_batches

    from deploytool.recipe.teacher import TeacherSection
    from deploytool.train.methods.events.teacher import taught
    from deploytool.train.outside import Emulated

    teacher = TeacherSection(epochs=2, batch=8, features=2, windows=2)
    streams = in_batches(Sides(8, 1))
    return taught(teacher, 2, _task(folder), Emulated(streams, streams, lambda *_: {}), 1)


@cache
def _seed(train: Callable[[Path], object]) -> dict[str, bytes]:
    """{path: content} of the checkpoints of a training that has just ended, in a folder each."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-checkpoint-"))
    try:
        train(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    finally:
        shutil.rmtree(folder)


def _mutated(train: Callable[[Path], object], random: Random, folder: Path) -> Path:
    for name, content in _seed(train).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    described_in = random.choice(sorted(folder.rglob(NAME)))
    described: dict[str, Any] = json.loads(described_in.read_text())
    tensors = described_in.with_name(described["tensors"])
    if random.random() < 0.15:
        path = random.choice((described_in, tensors))
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
    described_in.write_bytes(written(stated))
    return folder


def _family(name: str, train: Callable[[Path], object]) -> Family:
    """Training by ``train(folder)``, which goes on from the checkpoints, here after their last epochs."""
    return Family(name, partial(_mutated, train), train)


FAMILIES: Final = (
    _family("checkpoints", partial(_train, "sdt")),
    *(_family(f"checkpoints-{method}", partial(_train, method)) for method in METHODS if method != "sdt"),
    _family("checkpoints-teacher", _teach),
)
