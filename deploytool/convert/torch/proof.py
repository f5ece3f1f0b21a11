"""Whether a module computes what the graph that was read from it computes."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from deploytool.base.errors import UnsupportedError
from deploytool.convert.torch.compute import compute
from deploytool.convert.torch.network import INPUT, OUTPUT
from deploytool.convert.torch.neurons import fire
from deploytool.convert.torch.read import Reading
from deploytool.convert.torch.record import run
from deploytool.convert.torch.trace import Trace, leaves
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Conv, Linear

NEED: Final = "a forward whose calls define its whole output"
WAY_OUT: Final = "Remove hooks (handle.remove()) and in-place changes of tensors that other variables share."
TOLERANCES: Final = {torch.float64: 1e-7, torch.float32: 1e-3}
COARSE: Final = 0.1
"""Largest difference due to rounding, relative to the largest value; COARSE with 16 bits."""


def require_same_layers(reading: Reading, trace: Trace, maps: Tensor) -> None:
    """Raises UnsupportedError if a layer as read computes something else than in ``trace``, for its ``maps``.

    Layers of neurons return the random numbers that they returned in the trace.
    """
    graph, neurons = reading.graph, reading.neurons
    spikes = {name: _as_maps(trace.spikes[step], graph.shapes[name], graph) for name, step in neurons.items()}
    precise = _precise(maps)

    def given(name: str, currents: Tensor) -> Tensor:
        return spikes[name].to(precise) if name in spikes else currents.relu()

    computed = compute(graph, _as_maps(maps, graph.shapes[INPUT], graph).to(precise), given)
    for name, step in neurons.items():
        source = graph.sources(name)[0]
        _compare(graph, source, computed[source], trace.currents[step])
    if reading.end is not None:
        source = graph.sources(OUTPUT)[0]
        _compare(graph, source, computed[source], trace.answer[reading.end])


def require_same_spikes(reading: Reading, module: nn.Module, maps: Tensor, clock: tuple[int, ...]) -> None:
    """Raises UnsupportedError if a neuron of ``module`` fires differently in the graph, for spikes ``maps``.

    The module runs unchanged, time step by time step of its ``clock``. Each layer of the graph gets the spikes of the
    preceding layers of the module, so that rounding errors do not accumulate.
    """
    graph, neurons = reading.graph, reading.neurons
    fired: dict[str, Tensor] = {}
    handles = []
    for name, step in neurons.items():

        def note(_module: nn.Module, _given: Any, answer: Tensor, name: str = name) -> Tensor:
            fired[name] = answer.clone()
            return answer.to(maps.dtype)  # sinabs gives float32 in a module of float64 too

        handles.append(step.layer.module.register_forward_hook(note))
    try:
        answer = list(leaves(run(module, maps.clone())))[reading.output]
    finally:
        for handle in handles:
            handle.remove()
    precise = _precise(maps)

    def check(name: str, currents: Tensor) -> Tensor:
        if name not in neurons:
            return currents.relu()
        layer, where = neurons[name].neurons, f"module {neurons[name].layer.path!r}"
        assert layer is not None
        if name not in fired:
            raise UnsupportedError(
                where, "is not called every time", "a forward that makes the same calls for all values"
            )
        actual = _as_maps(fired[name], graph.shapes[name], graph)
        expected, doubts = fire(layer, _by_time(currents.to(maps.dtype), clock))
        differs = (expected != _by_time(actual, clock)) & ~doubts
        if wrong := int(differs.flatten(0, 1).any(0).sum()):
            total = math.prod(graph.shapes[name])
            found = f"{wrong} of {total} neurons fire differently from the converted network for one sample"
            raise UnsupportedError(where, found, NEED, WAY_OUT)
        return actual.to(precise)

    computed = compute(graph, _as_maps(maps, graph.shapes[INPUT], graph).to(precise), check)
    if reading.end is not None:
        source = graph.sources(OUTPUT)[0]
        _compare(graph, source, computed[source], answer)


def _compare(graph: Graph, name: str, computed: Tensor, given: Tensor) -> None:
    actual = _as_maps(given, graph.shapes[name], graph).to(computed)
    node = graph.nodes[name]
    bias = node.bias if isinstance(node, Conv | Linear) else None
    largest = float(actual.abs().max())
    scale = max(largest, float(computed.abs().max()), 0.0 if bias is None else float(abs(bias).max()))
    difference = float((actual - computed).abs().max())
    if not difference <= TOLERANCES.get(given.dtype, COARSE) * scale:
        found = f"gives up to {largest:.3g} in the module, but the converted network differs by up to {difference:.3g}"
        raise UnsupportedError(f"layer {name!r}", found, NEED, WAY_OUT)


def _as_maps(tensor: Tensor, shape: tuple[int, int, int], graph: Graph) -> Tensor:
    """``tensor`` reshaped to maps (N, C, H, W), with its values in the same order."""
    if tensor.numel() % math.prod(shape):
        raise UnsupportedError(graph.name, f"returns a tensor of shape {tuple(tensor.shape)}", f"maps of {shape}")
    return tensor.detach().reshape(-1, *shape)


def _by_time(maps: Tensor, clock: tuple[int, ...]) -> Tensor:
    """``maps`` (N, C, H, W) as (samples, time steps, C, H, W)."""
    return maps.reshape(*(clock if len(clock) == 2 else (1, -1)), *maps.shape[1:])


def _precise(maps: Tensor) -> torch.dtype:
    return torch.float64 if maps.dtype == torch.float64 else torch.float32
