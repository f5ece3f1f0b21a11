"""The event-driven engine on a GPU compared with the same engine on all cores of the CPU."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.machine import threads
from deploytool.bench.speed.networks import DVS, DVS_POOL, NMNIST, NMNIST_NETWORK, VGG9, Spiking, network, random_stream
from deploytool.bench.speed.timing import in_turn
from deploytool.ir.program import Arithmetic
from deploytool.run.targets.options import CUDA, Options
from deploytool.run.targets.table import make_target


class Load(NamedTuple):
    """A network on a map of ``shape``, the number of ``samples`` it gets, and the number of ``events`` in each."""

    network: str
    shape: Shape
    layers: tuple[Spiking, ...]
    pool: int
    samples: int
    events: int


LOADS: Final = (
    Load("6,160 weights", NMNIST, NMNIST_NETWORK, pool=1, samples=4096, events=4_000),
    Load("9.2 million weights", DVS, VGG9, pool=DVS_POOL, samples=128, events=10_000),
)

ARITHMETICS: Final[tuple[Arithmetic, ...]] = ("int8/int16", "float32")
REPETITIONS: Final = 3


def gpu() -> list[dict[str, Any]]:
    """Samples and updates per second on both, and whether all counts were equal."""
    from deploytool.run.cuda.memory import available

    if not available():
        return [{"GPU": "not run: no GPU"}]
    return [_row(load, arithmetic) for load in LOADS for arithmetic in ARITHMETICS]


def _row(load: Load, arithmetic: Arithmetic) -> dict[str, Any]:
    streams = [random_stream(load.shape, load.events, seed) for seed in range(load.samples)]
    program = network(load.shape, load.layers, arithmetic, streams[0], load.pool)
    cores = threads()
    sides = [make_target("simulator", options) for options in (Options(threads=cores), Options(device=CUDA))]
    on_cpu, on_gpu = (side.run(program, streams) for side in sides)
    same = np.array_equal(on_cpu.synops, on_gpu.synops) and all(
        np.array_equal(maps, on_gpu.counts[name]) for name, maps in on_cpu.counts.items()
    )
    cpu, gpu = in_turn(*(lambda side=side: side.run(program, streams) for side in sides), repetitions=REPETITIONS)
    synops = int(on_cpu.synops.sum())
    return {
        "network": load.network,
        "arithmetic": arithmetic,
        "samples": load.samples,
        "CPU threads": cores,
        "CPU samples/s": load.samples / cpu,
        "GPU samples/s": load.samples / gpu,
        "CPU GSynOps/s": synops / cpu / 1e9,
        "GPU GSynOps/s": synops / gpu / 1e9,
        "times faster": cpu / gpu,
        "same counts": same,
    }
