"""Programs whose JSON or arrays are changed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.arrays import tensors_changed
from tests.fuzz.damage import damaged
from tests.fuzz.families.artifacts import json_changed
from tests.fuzz.family import Family
from tests.fuzz.reads import read
from tests.fuzz.stored import in_artifact


def _changed(random: Random, name: str, content: bytes) -> bytes:
    if name == "program.json":
        return json_changed(random, name, content)
    return damaged(random, content) if random.random() < 0.1 else tensors_changed(random, content)


def _program(random: Random, folder: Path) -> Path:
    file = random.choice(("program.json", "program.json", "program.json", "program.safetensors"))
    found: Path = in_artifact("program", (file,), _changed)(random, folder)
    return found


FAMILIES: Final = (Family("programs", _program, read),)
