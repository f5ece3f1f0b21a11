"""A kind of hostile input, and what reads it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Family:
    """Hostile inputs of one format.

    ``mutated(random, folder)`` writes one input into the empty ``folder`` and returns its path; the same state of
    ``random`` gives the same bytes. ``read(path)`` does with it what the first command that takes such a file does.
    """

    name: str
    mutated: Callable[[random.Random, Path], Path]
    read: Callable[[Path], object]
