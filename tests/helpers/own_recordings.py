"""Folders of recordings for tests, in mixed formats: classes that a small network can tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from helpers import event_files

from deploytool.ir.events import EVENT, Events

SIDE = 12
NAMES = ("down", "left", "up")


def recording(seed: int, number: int, count: int = 200, duration_us: int = 50_000, side: int = SIDE) -> Events:
    """Events of class ``number`` of three: most are in its third of the columns. The first is at 0."""
    rng = np.random.default_rng([seed, number])
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, duration_us, count))
    events["t"][0] = 0
    third = side // 3
    inside = rng.random(count) < 0.8
    events["x"] = np.where(inside, number * third + rng.integers(0, third, count), rng.integers(0, side, count))
    events["y"], events["c"] = rng.integers(0, side, count), rng.integers(0, 2, count)
    events["x"][-1] = events["y"][-1] = side - 1
    return events


def _npy(path: Path, events: Events) -> None:
    np.save(path, events)


def _npz(path: Path, events: Events) -> None:
    np.savez(path, t=events["t"], x=events["x"], y=events["y"], p=events["c"])


def _bytes(write: Callable[[Sequence[event_files.Row]], bytes]) -> Callable[[Path, Events], None]:
    return lambda path, events: path.write_bytes(write(rows(events))) and None


def _csv(path: Path, events: Events) -> None:
    lines = (",".join(map(str, row)) for row in rows(events))
    path.write_text("t,x,y,p\n" + "\n".join(lines) + "\n")


def rows(events: Events) -> list[event_files.Row]:
    return [(t, x, y, c) for t, c, y, x in events.tolist()]


WRITERS: tuple[tuple[str, Callable[[Path, Events], None]], ...] = (
    (".bin", _bytes(event_files.nbin)),
    (".npy", _npy),
    (".dat", _bytes(event_files.dat)),
    (".raw", _bytes(event_files.evt2)),
    (".csv", _csv),
    (".raw", _bytes(event_files.evt3)),
    (".npz", _npz),
)


def write(path: Path, events: Events, number: int = 1) -> Path:
    """The recording at ``path``, which has no suffix yet, in the format with that ``number``."""
    suffix, writer = WRITERS[number % len(WRITERS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer(path.with_suffix(suffix), events)
    return path.with_suffix(suffix)


def write_classes(root: Path, each: int, names: Sequence[str] = NAMES, first: int = 0, **how: int) -> Path:
    """``root``/class/rec<n>.<suffix>: ``each`` recordings of every class, in all formats in turn."""
    for number, name in enumerate(names):
        for index in range(first, first + each):
            write(root / name / f"rec{index:03d}", recording(index, number % 3, **how), index)
    return root
