"""A program with a split layer on cores, its recordings, and files of spikes as others write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers.layers import make_layer
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from deploytool.data.spikes.read import foreign_recording
from deploytool.data.spikes.samples import Samples
from deploytool.data.spikes.statements import Statements
from deploytool.ir.program import INPUT, Program, Route
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


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t=+'\",;"), min_size=1
)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Program, Recording]:
    """A run of a program with odd names; all spikes of the first samples are kept."""
    first, last = draw(NAMES), draw(NAMES)
    names = {first, last, f"{first}_a", f"{first}_b"}
    assume(len(names) == 4 and not any(name.isdecimal() or name.strip() != name or name == INPUT for name in names))
    assume(not names & {"7", "relu", "lin"} and not any("\r" in name or "\0" in name for name in names))
    made = program(first, last)
    samples = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kept = draw(st.integers(1, len(samples)))
    counts, spikes = {}, {INPUT: spikes_of(rng, np.ones((kept, *made.input_shape), np.int64))}
    for layer in made.parts:
        counts[layer] = rng.integers(0, 3, (len(samples), *made.map_of(layer))) * rng.integers(0, 2)
        spikes[layer] = spikes_of(rng, counts[layer][:kept])
    recording = Recording(
        rung="board",
        samples=tuple(samples),
        labels=rng.integers(-1, 9, len(samples)),
        outputs=made.outputs,
        counts=counts,
        synops=np.zeros(0),
        spikes=spikes,
        aliases=made.aliases,
        durations_us=rng.integers(1000, 2000, len(samples)),
    )
    return made, recording


def spikes_of(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    places = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)
    spikes = np.zeros(len(places), SPIKE)
    spikes["sample"], spikes["c"], spikes["y"], spikes["x"] = places.T
    spikes["t"] = rng.integers(0, 1000, len(places))
    return spikes[np.lexsort((spikes["t"], spikes["sample"]))]


def assert_same(found: Recording, wanted: Recording, *fields: str) -> None:
    for name in (*fields, "samples", "outputs"):
        given_, made = getattr(found, name), getattr(wanted, name)
        if isinstance(made, tuple):
            assert given_ == made, name
        else:
            assert list(given_) == list(made), name
            assert all(np.array_equal(given_[layer], made[layer]) for layer in made), name
    assert np.array_equal(found.labels, wanted.labels)
    assert np.array_equal(found.durations_us, wanted.durations_us)
    assert dict(found.aliases) == dict(wanted.aliases)


SETTINGS = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)
