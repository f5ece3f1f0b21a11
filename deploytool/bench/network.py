"""The benchmark of a network that a user names, on the user's samples or on random events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from deploytool.base.errors import DeployError
from deploytool.bench.speed.networks import random_stream
from deploytool.bench.speed.program import measure
from deploytool.data.formats.reading import Reading
from deploytool.ir.program import SIMULATOR
from deploytool.ir.program_file import load_program
from deploytool.store.artifact import Artifact
from deploytool.store.cache import StageCache
from deploytool.workflow.convert import convert
from deploytool.workflow.map import map_graph
from deploytool.workflow.sources.networks import ImportOptions
from deploytool.workflow.sources.samples import samples
from deploytool.workflow.zoo import program_named

RANDOM_SAMPLES: Final = 64


@dataclass(frozen=True)
class Asked:
    """What is measured: ``data``, in the folder ``root``, or else random events at a ``rate`` per second, on a
    ``target``, a number of times."""

    data: str | None = None
    root: str | None = None
    rate: int = 13_333
    duration_ms: int = 300
    target: str = SIMULATOR
    repeats: int = 9


def bench_network(
    cache: StageCache, source: str, options: ImportOptions, asked: Asked, reading: Reading
) -> dict[str, Any]:
    """The speed of the network ``source``; see `deploytool.bench.speed.program.measure`.

    Raises as `deploytool.workflow.convert.convert` and `deploytool.workflow.map.map_graph` do.
    """
    mapped = _program(cache, source, options, asked.target)
    program = load_program(mapped.path)
    says = f"random events, {asked.rate:,} per second for {asked.duration_ms} ms"
    if asked.data is None:
        count = max(1, asked.rate * asked.duration_ms // 1000)
        streams = [
            random_stream(program.input_shape, count, seed, 1000 * asked.duration_ms) for seed in range(RANDOM_SAMPLES)
        ]
    else:
        says = asked.data
        found = samples(asked.data, asked.root, None, None, reading, cache.messages.say)
        streams = list(found.load(program.input_shape))
    with cache.messages.progress("bench", "round") as tick:
        measured = measure(program, streams, asked.repeats, tick)
    return {"network": source, "program": mapped.digest, "target": asked.target, "data": says, **measured}


def _program(cache: StageCache, source: str, options: ImportOptions, target: str) -> Artifact:
    """The program that ``source`` names, or the program of the network that it names for ``target``."""
    try:
        return program_named(cache, source, for_chip=target != SIMULATOR)
    except DeployError:
        graph = convert(cache, source, options)
    return map_graph(cache, graph, target)
