"""Recordings whose columns or archive are changed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.arrays import npz_changed
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.reads import read
from tests.fuzz.stored import in_artifact


def _changed(random: Random, _: str, content: bytes) -> bytes:
    return damaged(random, content) if random.random() < 0.1 else npz_changed(random, content)


def _recording(random: Random, folder: Path) -> Path:
    found: Path = in_artifact("recording", ("recording.npz",), _changed)(random, folder)
    return found


FAMILIES: Final = (Family("recordings", _recording, read),)
