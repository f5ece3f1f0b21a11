"""Parts of an unfinished run, with digests that match and without, from which the run continues."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.ir.program_file import load_program
from deploytool.ir.recording import Recording
from deploytool.ir.target import Watch
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.parts import DIGITS, keep
from deploytool.run.jobs.resume import in_this_process, run_job
from deploytool.run.targets.options import Options
from tests.fuzz.arrays import npz_changed
from tests.fuzz.damage import damaged
from tests.fuzz.family import Family
from tests.fuzz.stored import kinds, seed_store

SAMPLES: Final = 3
JOB: Final = Job("simulator", watch=Watch(rasters=1))


@cache
def _seed() -> tuple[Program, Sequence[EventStream], dict[str, bytes]]:
    """(program, samples, {file: content} of the parts of its run on them, one for each sample)."""
    programs = [load_program(path) for path in kinds(seed_store(), "program")]
    program = next(each for each in programs if each.chip == "simulator")
    streams = [_stream(program, number) for number in range(SAMPLES)]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-parts-"))
    try:
        for first in range(SAMPLES):
            keep(JOB.run(program, streams[first : first + 1], first, Options()), folder, first)
        return program, streams, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    finally:
        shutil.rmtree(folder)


def _stream(program: Program, number: int) -> EventStream:
    rng, events = np.random.default_rng(number), np.zeros(200, EVENT)
    for name, size in zip("cyx", program.input_shape, strict=True):
        events[name] = rng.integers(0, size, len(events))
    events["t"] = np.sort(rng.integers(0, 1000, len(events)))
    return EventStream(events, program.input_shape, 1000, 0, f"s{number}")


def _mutated(random: Random, folder: Path) -> Path:
    for name, content in _seed()[2].items():
        if random.random() < 0.2:
            continue
        changed = content
        if random.random() < 0.6:
            changed = damaged(random, content) if random.random() < 0.1 else npz_changed(random, content)
        (folder / _renamed(random, name, changed)).write_bytes(changed)
    return folder


def _renamed(random: Random, name: str, content: bytes) -> str:
    """``name`` with the digest of ``content``, and sometimes with other samples."""
    first, stop, _ = name.split("-")
    if random.random() < 0.1:
        first, stop = (f"{random.choice((0, 1, 2, 3, 10**9, 10**40)):09}" for _ in range(2))
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    return f"{first}-{stop}-{digest}.npz" if random.random() < 0.9 else name


def _read(folder: Path) -> Recording:
    """The run, which goes on from the parts in ``folder``."""
    program, streams, _ = _seed()
    return run_job(JOB, program, streams, folder, in_this_process(Options()))


FAMILIES: Final = (Family("run-parts", _mutated, _read),)
