"""A program with a split layer on cores, and files of spikes as others write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers.layers import make_layer

from deploytool.data.spikes.gathered import Statements
from deploytool.data.spikes.read import foreign_recording
from deploytool.data.spikes.samples import Samples
from deploytool.ir.program import Program, Route
from deploytool.ir.recording import SPIKE, Recording


def program(first: str = "conv", last: str = "fc") -> Program:
    """A layer of 4 features in parts on cores 3 and 5 (graph nodes 7 and relu), and one of 3 neurons on core 0."""
    weights, last_weights = np.ones((2, 2, 1, 1), np.int8), np.ones((3, 4, 2, 3), np.int8)
    half = {"weights": weights, "threshold": 1, "in_shape": (2, 2, 3), "out_shape": (2, 2, 3), "sources": ("7", "relu")}
    layers = {
        f"{first}_a": make_layer(**half, part_of=(first, 0), routes=(Route(last),)),  # type: ignore[arg-type]
        f"{first}_b": make_layer(**half, part_of=(first, 2), routes=(Route(last, feature_shift=2),)),  # type: ignore[arg-type]
        last: make_layer(last_weights, 1, (4, 2, 3), (3, 1, 1), sources=("lin",)),
    }
    cores = dict(zip(layers, (3, 5, 0), strict=True))
    routes = (Route(f"{first}_a"), Route(f"{first}_b"))
    return Program("speck2e", "int8/int16", (2, 2, 3), routes, layers, (last,), "abc", cores)


PROGRAM = program()

SAMPLES = Samples(("set/a", "set/b"), np.array([1, 2]), np.array([1000, 500]))


def write(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, known: Samples | None = SAMPLES, **statements: Any) -> Recording:
    return foreign_recording(path, statements.pop("program", PROGRAM), Statements("board", **statements), known)


def spikes(*rows: tuple[int, int, int, int, int]) -> list[tuple[int, ...]]:
    """Rows (sample, t, c, y, x) as a list of recorded spikes."""
    return np.array(list(rows), SPIKE).tolist()
