"""Memory and time of a training step over T steps: activations kept, recomputed, or not needed (SLTT, OTTT).

Every figure of memory is the increase in peak resident memory of a separate process during the step; the input is in
memory before it. Neurons fire in 2 to 13 % of the steps, those of the T-RevSNN in about 45 %. A slope is that of a
straight line fitted to the figures, in MB or ms per time step. Time is that of the process, on one thread, so that
other work on the machine hardly enters.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deploytool.recipe import ConstraintsSection, NetworkSection, TrainSection
from deploytool.recipe.trev import TrevSection

if TYPE_CHECKING:
    from torch import Tensor

    from deploytool.train.network.spiking import SpikingNetwork

STEPS: Final = (1, 2, 4, 8, 16, 32, 64)
BATCH: Final = 8
FEATURES: Final = 16
STAGES: Final = 3
LAYERS_PER_STAGE: Final = 4

_CHILD: Final = """
import sys
import time
from pathlib import Path
from deploytool.bench.speed.memory import prepared

def resident_kb(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))

step = prepared(sys.argv[1], int(sys.argv[2]))
prepared(sys.argv[1], 1)()
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
before = resident_kb("VmRSS")
step()
peak = resident_kb("VmHWM") - before
started = time.process_time()
step()
print(peak, time.process_time() - started)
"""


def _layers(last: list[dict[str, Any]]) -> NetworkSection:
    conv = {"type": "conv", "out": FEATURES, "kernel": 3, "padding": 1}
    layers: list[dict[str, Any]] = []
    for stage in range(1, STAGES + 1):
        for _ in range(LAYERS_PER_STAGE):
            layers += [conv, {"type": "spike"}]
        layers[-1] = {"type": "spike", "name": f"on{stage}"}
    layers += [{"type": "sumpool", "kernel": 8}, {"type": "flatten"}, {"type": "linear", "out": 10}, *last]
    return NetworkSection.model_validate({"input": (FEATURES, 32, 32), "layers": layers})


def _spec(steps: int, method: str, **keys: Any) -> TrainSection:
    fixed = {"time_steps": steps, "epochs": 1, "batch": BATCH, "learning_rate": 1e-3, "spikes_per_step": "one"}
    return TrainSection.model_validate({**fixed, "method": method, **keys})


def staged(steps: int, alpha: float, reversible: bool) -> SpikingNetwork:
    """A T-RevSNN of three stages over ``steps`` time steps."""
    from deploytool.train.methods.table import build

    on = tuple(f"on{stage}" for stage in range(1, STAGES + 1))
    trev = TrevSection(on=on, alpha=alpha, reversible=reversible)
    return build(
        _layers([]), ConstraintsSection(weight_bits=32, threshold=0.5), _spec(steps, "trev", trev=trev, gain=2.5)
    )


KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "integrate-and-fire, kept": "backpropagation through time of integrate-and-fire neurons (sdt)",
        "integrate-and-fire, undone": "the same network, its membranes computed backwards from 1-bit spikes (trev)",
        "integrate-and-fire, SLTT": "the same network without temporal gradients, step by step (SLTT)",
        "integrate-and-fire, OTTT": "the same network, with traces of its spikes instead of temporal gradients (OTTT)",
        "T-RevSNN, kept": "the T-RevSNN by plain autograd (trev, reversible = false)",
        "T-RevSNN, undone": "the T-RevSNN, its potentials computed backwards (trev)",
    }
)
ONLINE: Final = ("integrate-and-fire, SLTT", "integrate-and-fire, OTTT")


def prepared(kind: str, steps: int) -> Any:
    """A function that does one forward and backward pass of ``kind`` over ``steps`` time steps."""
    import torch

    from deploytool.train.methods.table import build

    torch.set_num_threads(1)
    if kind in ONLINE:
        return _online(steps, traced=kind.endswith("OTTT"))
    if kind.startswith("T-RevSNN"):
        net = staged(steps, alpha=1.0, reversible=kind.endswith("undone"))
    else:
        spec = _spec(steps, "sdt" if kind.endswith("kept") else "trev", gain=3.0)
        net = build(_layers([{"type": "spike"}]), ConstraintsSection(floor=None), spec)
    weights = net.initial_weights(torch.Generator().manual_seed(0))
    weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    frames = _frames(steps)

    def step() -> None:
        net.run(weights, frames).output.sum().backward()  # type: ignore[no-untyped-call]

    return step


def _online(steps: int, traced: bool) -> Any:
    """A function that computes the gradients of the integrate-and-fire network by OTTT, if ``traced``, or SLTT."""
    import torch

    from deploytool.bench.temporal import online
    from deploytool.train.network.spiking import SpikingNetwork

    net = SpikingNetwork(_layers([]), ConstraintsSection(weight_bits=32, floor=None), _spec(steps, "sdt", gain=3.0))
    weights, frames = net.initial_weights(torch.Generator().manual_seed(0)), _frames(steps)
    labels = torch.arange(BATCH) % 10
    return lambda: online(net, weights, frames, labels, traced)


def _frames(steps: int) -> Tensor:
    import torch

    return (torch.rand(steps, BATCH, FEATURES, 32, 32) < 0.2).float()


def memory() -> list[dict[str, Any]]:
    """One row per kind: peak MB at each number of time steps, MB and ms per step, and their ratios to those of all
    kept, in %.

    Needs Linux, where /proc reports the peak.
    """
    rows: list[dict[str, Any]] = []
    kept: dict[str, float] = {}
    for kind, says in KINDS.items():
        measured = [peak_and_time(kind, steps) for steps in STEPS]
        slopes = np.polyfit(STEPS, measured, 1)[0]
        row = {"kind": kind, "says": says, **{f"T={t}": peak for t, (peak, _) in zip(STEPS, measured, strict=True)}}
        figures = {"MB per step": float(slopes[0]), "ms per step": float(slopes[1])}
        kept = figures if kind.endswith("kept") else kept
        shares = {f"% of kept{what}": 100 * figures[key] / kept[key] for what, key in _SHARES.items()}
        rows.append({**row, **figures, **shares})
    return rows


_SHARES: Final = MappingProxyType({"": "MB per step", ", time": "ms per step"})


def peak_and_time(kind: str, steps: int) -> tuple[float, float]:
    """(peak MB, ms) of a training step of ``kind`` over ``steps`` time steps, in a separate process."""
    done = subprocess.run([sys.executable, "-c", _CHILD, kind, str(steps)], capture_output=True, text=True, check=True)
    peak, seconds = done.stdout.split()
    return int(peak) / 1024, 1e3 * float(seconds)
