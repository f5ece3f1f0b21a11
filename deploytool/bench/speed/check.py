"""The time of `deploytool check` beyond starting Python."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median
from typing import Any

import numpy as np

from deploytool.base.files import temporary_folder
from deploytool.bench.speed.timing import REPETITIONS
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool


def check() -> list[dict[str, Any]]:
    """Process time of `deploytool check` on a NIR file, compared with that of a Python process that does nothing."""
    from deploytool.convert.nir import write_nir

    with temporary_folder() as folder:
        path = folder / "net.nir"
        write_nir(_nmnist_network(), path)
        taken = _process_time([sys.executable, "-m", "deploytool", "check", str(path), "--json"])
    idle = _process_time([sys.executable, "-c", "pass"])
    return [{"check_s": taken, "idle Python s": idle, "beyond it s": taken - idle}]


def _process_time(command: list[str]) -> float:
    """Median user and system seconds of ``command``."""
    taken = []
    for _ in range(REPETITIONS):
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(taken)


def _nmnist_network() -> Graph:
    """The 6,160-weight network of recipes/nmnist.toml with random weights."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> Any:
        return (rng.normal(0.15, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    pool = SumPool((2, 2), (2, 2))
    nodes: list[tuple[str, Node]] = [
        ("in", Input((2, 34, 34))),
        ("conv1", Conv(weight(8, 2, 3, 3), padding=(1, 1))),
        ("if1", Spike(floor=-1.0)),
        ("pool1", pool),
        ("conv2", Conv(weight(16, 8, 3, 3), padding=(1, 1))),
        ("if2", Spike(floor=-1.0)),
        ("pool2", pool),
        ("conv3", Conv(weight(16, 16, 3, 3), None, (2, 2), (1, 1))),
        ("if3", Spike(floor=-1.0)),
        ("flat", Flatten()),
        ("fc", Linear(weight(10, 256))),
        ("if4", Spike(floor=-1.0)),
        ("out", Output()),
    ]
    return chain(nodes)
