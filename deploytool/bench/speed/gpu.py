"""The event-driven engine on a GPU against the same engine on all cores of the CPU."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Shape
from deploytool.base.machine import threads
from deploytool.bench.speed.networks import DVS, DVS_POOL, NMNIST, NMNIST_NETWORK, VGG9, Spiking, network, random_stream
from deploytool.bench.speed.timing import in_turn
from deploytool.ir.program import Arithmetic
from deploytool.run.targets.simulator import Simulator

NETWORKS: Final[tuple[tuple[str, Shape, tuple[Spiking, ...], int, int, int], ...]] = (
    ("6,160 weights", NMNIST, NMNIST_NETWORK, 1, 4096, 4_000),
    ("9.2 million weights", DVS, VGG9, DVS_POOL, 128, 10_000),
)
"""(what, input map, layers, pool, samples, events of each)."""

ARITHMETICS: Final[tuple[Arithmetic, ...]] = ("int8/int16", "float32")
REPETITIONS: Final = 3


def gpu() -> list[dict[str, Any]]:
    """Samples and updates per second on both, and whether every count was the same."""
    from deploytool.run.cuda.memory import available

    if not available():
        return [{"GPU": "not run: no GPU"}]
    return [_row(*each, arithmetic) for each in NETWORKS for arithmetic in ARITHMETICS]


def _row(
    what: str, shape: Shape, layers: tuple[Spiking, ...], pool: int, samples: int, events: int, arithmetic: Arithmetic
) -> dict[str, Any]:
    streams = [random_stream(shape, events, seed) for seed in range(samples)]
    program = network(shape, layers, arithmetic, streams[0], pool)
    sides = Simulator(threads()), Simulator(device="cuda")
    on_cpu, on_gpu = (side.run(program, streams) for side in sides)
    same = np.array_equal(on_cpu.synops, on_gpu.synops) and all(
        np.array_equal(maps, on_gpu.counts[name]) for name, maps in on_cpu.counts.items()
    )
    cpu, gpu = in_turn(*(lambda side=side: side.run(program, streams) for side in sides), repetitions=REPETITIONS)
    synops = int(on_cpu.synops.sum())
    return {
        "network": what,
        "arithmetic": arithmetic,
        "samples": samples,
        "CPU threads": sides[0].threads,
        "CPU samples/s": samples / cpu,
        "GPU samples/s": samples / gpu,
        "CPU GSynOps/s": synops / cpu / 1e9,
        "GPU GSynOps/s": synops / gpu / 1e9,
        "times faster": cpu / gpu,
        "same counts": same,
    }
