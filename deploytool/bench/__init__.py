"""Speed, as ratios measured in one run: what was measured against a named peer, beside it.

Every row gives the median of several repetitions of each side, taken in turn, so that a machine whose speed drifts
drifts for both.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from deploytool.chip import CHIPS
from deploytool.errors import UsageError
from deploytool.events import EVENT, EventStream, Shape
from deploytool.graph import Conv, Flatten, Graph, Input, Linear, Node, Output, Spike, SumPool, chain

REPETITIONS: Final = 5
NMNIST: Final[Shape] = (2, 34, 34)


def bench(what: str) -> dict[str, Any]:
    """The tables of the benchmark ``what``, or of all. Raises UsageError when there is no such benchmark."""
    if what != "all" and what not in BENCHMARKS:
        raise UsageError("bench", f"found {what!r}", f"one of {', '.join(BENCHMARKS)}, or nothing for all")
    chosen = BENCHMARKS if what == "all" else {what: BENCHMARKS[what]}
    return {"cores": os.cpu_count(), **{name: run() for name, run in chosen.items()}}


def in_turn(*sides: Callable[[], Any], repetitions: int = REPETITIONS) -> list[float]:
    """Median seconds of each of ``sides``, which are run in turn after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in sides]
    for round_ in range(repetitions + 1):
        for side, taken in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            if round_:
                taken.append(time.perf_counter() - start)
    return [median(taken) for taken in seconds]


def _simulator() -> list[dict[str, Any]]:
    """One N-MNIST-sized sample through the 6,160-weight network: event-driven, clock-driven, and the specification."""
    from deploytool.map.compile import compile_graph
    from deploytool.run.clocked import run_clocked
    from deploytool.run.emulator import Emulator
    from deploytool.run.reference import run_reference

    program = compile_graph(nmnist_network(), CHIPS["speck2e"]).program
    stream = random_stream(4000)
    sample = Emulator().run(program, [stream])
    emulator, clocked = in_turn(
        lambda: Emulator().run(program, [stream]), lambda: run_clocked(program, [stream], time_steps=300)
    )
    (reference,) = in_turn(lambda: run_reference(program, stream), repetitions=1)
    synops = int(sample.synops.sum())
    rows = [
        ("emulator, event by event", emulator),
        ("clock-driven, 300 steps", clocked),
        ("specification in numpy", reference),
    ]
    return [
        {"on one core": name, "ms per sample": 1e3 * seconds, "MSynOps/s": synops / seconds / 1e6,
         "times the emulator's time": seconds / emulator}
        for name, seconds in rows
    ]  # fmt: skip


def _training() -> list[dict[str, Any]]:
    """Forward and backward of one layer of integrate-and-fire neurons against sinabs's layer, on one thread."""
    import torch

    from deploytool.train.neurons import Neuron, fire

    torch.set_num_threads(1)
    if importlib.util.find_spec("sinabs") is None:
        return [{"time steps": steps, "peer": "not run: sinabs is not installed"} for steps in (10, 30, 100)]
    import sinabs.layers
    from sinabs.activation import PeriodicExponential

    rows = []
    for steps in (10, 30, 100):
        current = torch.randn(steps, 16, 8, 16, 16) * 0.5
        neuron = Neuron(threshold=1.0, floor=-1.0, surrogate="periodic")

        def ours(current: torch.Tensor = current, neuron: Neuron = neuron) -> None:
            fire(current.clone().requires_grad_(), neuron).sum().backward()  # type: ignore[no-untyped-call]

        def theirs(current: torch.Tensor = current) -> None:
            layer = sinabs.layers.IAF(spike_threshold=1.0, min_v_mem=-1.0, surrogate_grad_fn=PeriodicExponential())
            layer(current.transpose(0, 1).clone().requires_grad_()).sum().backward()

        own, peer = in_turn(ours, theirs)
        rows.append({"time steps": steps, "ms": 1e3 * own, "sinabs ms": 1e3 * peer, "times faster": peer / own})
    return rows


def _check() -> list[dict[str, Any]]:
    """Process time of `deploytool check` on a NIR file against that of a Python that does nothing."""
    from deploytool.convert.nir import write_nir

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write_nir(nmnist_network(), path)
        check = _process_time([sys.executable, "-m", "deploytool", "check", str(path), "--json"])
    idle = _process_time([sys.executable, "-c", "pass"])
    return [{"check_s": check, "idle Python s": idle, "beyond it s": check - idle}]


def _process_time(command: list[str]) -> float:
    """Median user and system seconds of ``command``."""
    taken = []
    for _ in range(REPETITIONS):
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(taken)


def nmnist_network() -> Graph:
    """The 6,160-weight network of recipes/nmnist.toml with random weights."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> Any:
        return (rng.normal(0.15, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    pool = SumPool((2, 2), (2, 2))
    nodes: list[tuple[str, Node]] = [
        ("in", Input(NMNIST)),
        ("conv1", Conv(weight(8, 2, 3, 3), padding=(1, 1))), ("if1", Spike(floor=-1.0)), ("pool1", pool),
        ("conv2", Conv(weight(16, 8, 3, 3), padding=(1, 1))), ("if2", Spike(floor=-1.0)), ("pool2", pool),
        ("conv3", Conv(weight(16, 16, 3, 3), None, (2, 2), (1, 1))), ("if3", Spike(floor=-1.0)),
        ("flat", Flatten()), ("fc", Linear(weight(10, 256))), ("if4", Spike(floor=-1.0)), ("out", Output()),
    ]  # fmt: skip
    return chain(nodes)


def random_stream(count: int) -> EventStream:
    """``count`` events, evenly over the N-MNIST map and 300 ms."""
    rng = np.random.default_rng(2)
    events = np.zeros(count, EVENT)
    events["t"] = np.sort(rng.integers(0, 300_000, count))
    for axis, size in zip("cyx", NMNIST, strict=True):
        events[axis] = rng.integers(0, size, count)
    return EventStream(events, NMNIST, 300_000)


BENCHMARKS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {"simulator": _simulator, "training": _training, "check": _check}
)
