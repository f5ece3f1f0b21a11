"""Artifacts whose JSON payloads and manifests are changed."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz.arrays import npz_changed, tensors_changed
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.reads import listed, read
from tests.fuzz.stored import copy_of_store, in_artifact, kinds, write_manifest
from tests.fuzz.values import changed, written

KINDS: Final = ("model", "graph", "program", "samples", "recording", "verdict", "sweep", "selftest", "report")
PAYLOADS: Final = {
    "model": ("history.json",),
    "program": ("configuration.json", "quantisation.json", "splits.json", "calibration.json"),
    "verdict": ("verdict.json",),
    "sweep": ("sweep.json",),
    "selftest": ("selftest.json",),
}


def json_changed(random: Random, _: str, content: bytes) -> bytes:
    """The JSON ``content`` with values changed, or its bytes."""
    if random.random() < 0.1:
        return damaged(random, content)
    return written(changed(random, json.loads(content)))


def _payload(random: Random, folder: Path) -> Path:
    kind = random.choice(list(PAYLOADS))
    found: Path = in_artifact(kind, PAYLOADS[kind], json_changed)(random, folder)
    return found


def _manifest(random: Random, folder: Path) -> Path:
    root = copy_of_store(folder)
    target = random.choice(kinds(root, random.choice(KINDS)))
    path = target / "manifest.json"
    values: dict[str, Any] = json.loads(path.read_text())
    if random.random() < 0.1:
        path.write_bytes(damaged(random, path.read_bytes()))
        return target
    part = random.choice((None, "recipe", "recipe", "recipe", "files", "inputs"))
    if part is None:
        values = changed(random, values)
    else:
        values[part] = changed(random, values[part])
    if not isinstance(values, dict) or "digest" not in values:
        path.write_bytes(written(values))
        return target
    return write_manifest(target, values)


def _weights(random: Random, folder: Path) -> Path:
    def change(random: Random, _: str, content: bytes) -> bytes:
        return damaged(random, content) if random.random() < 0.1 else tensors_changed(random, content)

    found: Path = in_artifact("model", ("weights.safetensors",), change)(random, folder)
    return found


def _samples(random: Random, folder: Path) -> Path:
    def change(random: Random, name: str, content: bytes) -> bytes:
        if random.random() < 0.1 or name == "events.bin":
            return damaged(random, content)
        return npz_changed(random, content)

    found: Path = in_artifact("samples", ("samples.npz", "events.bin"), change)(random, folder)
    return found


FAMILIES: Final = (
    Family("payloads", _payload, read),
    Family("manifests", _manifest, listed),
    Family("weights", _weights, read),
    Family("samples", _samples, read),
)
