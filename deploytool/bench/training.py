"""Training a spiking layer against sinabs."""

from __future__ import annotations

import importlib.util
from typing import Any

from deploytool.bench.timing import in_turn


def training() -> list[dict[str, Any]]:
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
