"""Neurons of sinabs: what they are as a node, and whether they do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.torch.arrays import to_array
from deploytool.ir.neurons import Reset
from deploytool.ir.nodes import Spike

PROBE_STEPS: Final = 4
TOLERANCES: Final = {torch.float64: 1e-9, torch.float32: 1e-4}
COARSE: Final = 3e-2
"""Largest relative distance to the threshold at which rounding can decide a spike; COARSE with 16 bits."""


@dataclass(frozen=True)
class Neurons:
    """A layer of neurons as ``node``; in a time step a neuron fires as often as V allows, or at most ``once``."""

    node: Spike
    once: bool
    squeezed: bool
    """Whether time is folded into the sample axis, as in IAFSqueeze, or has an axis of its own."""


def read_neurons(layer: Any, shape: tuple[int, ...], where: str) -> Neurons:
    """The neurons of ``layer``, an IAF or IAFSqueeze, on a tensor of ``shape``, as its attributes state them.

    Threshold, min_v_mem (the floor) and reset are kept. MultiSpike and SingleSpike limit the spikes per time step,
    which does not apply to event-by-event updates: a neuron fires at most once per update, as on the chip. Raises
    UnsupportedError for neurons of another kind, InputError for a threshold that is not above 0.
    """
    if layer.tau_syn is not None:
        raise UnsupportedError(where, "a synaptic time constant", "tau_syn=None")
    spikes = getattr(layer.spike_fn, "__name__", type(layer.spike_fn).__name__)
    if spikes not in ("MultiSpike", "SingleSpike"):
        raise UnsupportedError(where, f"spike_fn {spikes}", "MultiSpike or SingleSpike")
    threshold, floor = _numbers(layer.spike_threshold, "spike_threshold", where), None
    if not (threshold > 0).all():
        raise InputError(where, f"spike_threshold is {float(threshold.min())}", "a threshold above 0")
    if layer.min_v_mem is not None:
        low = _numbers(layer.min_v_mem, "min_v_mem", where)
        if not (low == low.flat[0]).all():
            raise UnsupportedError(where, "a min_v_mem per neuron", "one value for all neurons")
        floor = float(low.flat[0])
        if not floor <= 0:
            raise InputError(where, f"min_v_mem is {floor}", "at most 0, or None")
    reset = _reset(layer, threshold, where)
    squeezed = any(cls.__name__ == "IAFSqueeze" for cls in type(layer).__mro__)
    if (threshold == threshold.flat[0]).all():
        node = Spike(float(threshold.flat[0]), floor, reset)
    else:
        node = Spike(_per_neuron(threshold, shape[1:] if squeezed else shape[2:], where), floor, reset)
    return Neurons(node, spikes == "SingleSpike", squeezed)


def _per_neuron(threshold: Array, body: tuple[int, ...], where: str) -> Array:
    """``threshold`` for every neuron of a map or vector of the shape ``body``, as (C, H, W)."""
    try:
        each = np.broadcast_to(threshold, body)
    except ValueError:
        found = f"a spike_threshold of shape {threshold.shape}"
        raise UnsupportedError(where, found, f"one that fits {body}") from None
    return np.array(each).reshape(*body, *[1] * (3 - len(body)))


def _reset(layer: Any, threshold: Array, where: str) -> Reset:
    rule = layer.reset_fn
    match type(rule).__name__:
        case "MembraneSubtract" if rule.subtract_value is None or (threshold == float(rule.subtract_value)).all():
            return "subtract"
        case "MembraneReset" if float(rule.reset_value) == 0:
            return "zero"
    raise UnsupportedError(where, f"reset_fn {rule}", "MembraneSubtract() or MembraneReset()")


def _numbers(value: Any, what: str, where: str) -> Array:
    """``value``, a number or a tensor, as an array."""
    return to_array(torch.as_tensor(value), what, where)


def fire(neurons: Neurons, currents: Tensor) -> tuple[Tensor, Tensor]:
    """(spikes, where rounding may change them) of ``neurons`` for ``currents`` (samples, time steps, ...), from V = 0.

    V += current; then a neuron fires floor(V / threshold) times, or once; then it is reset, and V clamped to the floor.
    """
    node = neurons.node
    tolerance = TOLERANCES.get(currents.dtype, COARSE)
    currents = currents.to(torch.promote_types(currents.dtype, torch.float32))
    threshold = torch.as_tensor(np.array(node.threshold)).to(currents)
    threshold = threshold.reshape(currents.shape[2:]) if threshold.numel() > 1 else threshold.reshape(())
    v = torch.zeros_like(currents[:, 0])
    undecided = torch.zeros_like(v, dtype=torch.bool)
    spikes, doubts = torch.zeros_like(currents), torch.zeros_like(currents, dtype=torch.bool)
    for step in range(currents.shape[1]):
        v = v + currents[:, step]
        ratio = v / threshold
        nearest = ratio.round().clamp(min=1, max=1 if neurons.once else None)
        undecided = undecided | ((ratio - nearest).abs() < tolerance * (1 + ratio.abs()))
        count = (ratio >= 1).to(v) if neurons.once else ratio.clamp(min=0).floor()
        v = v - count * threshold if node.reset == "subtract" else torch.where(count > 0, 0.0, v)
        if node.floor is not None:
            v = v.clamp(min=node.floor)
        spikes[:, step], doubts[:, step] = count, undecided
    return spikes, doubts


def probe(
    neurons: Neurons, layer: nn.Module, run: Callable[[Tensor], Any], given: Tensor, where: str
) -> UnsupportedError | None:
    """The difference between ``layer``, which ``run`` calls with its hooks, and ``neurons``; None if there is none.

    It starts from V = 0 and gets currents between one threshold below 0 and two above, on maps like those of ``given``.
    """
    body = given.shape[1:] if neurons.squeezed else given.shape[2:]
    samples = getattr(layer, "batch_size", 1) if neurons.squeezed else 1
    draws = torch.rand(samples, PROBE_STEPS, *body, generator=torch.Generator().manual_seed(0))
    currents = ((3 * draws - 1) * float(np.mean(neurons.node.threshold))).to(given)
    forget(layer)
    need = "neurons that behave like sinabs's IAF"
    todo = "Remove hooks (handle.remove()) or a custom forward that changes them."
    try:
        answer = run(currents.flatten(0, 1) if neurons.squeezed else currents)
        spikes = answer.to(currents).reshape(currents.shape)
    except Exception as error:
        return UnsupportedError(where, f"its neurons cannot be run ({type(error).__name__}: {error})", need, todo)
    expected, doubts = fire(neurons, currents)
    if wrong := int(((spikes != expected) & ~doubts).flatten(0, 1).any(0).sum()):
        found = f"{wrong} of {expected[0, 0].numel()} neurons do not fire as threshold, reset and min_v_mem specify"
        largest = f" (by up to {float((spikes - expected).abs().max()):g} spikes in a time step)"
        return UnsupportedError(where, found + largest, need, todo)
    return None


def forget(module: nn.Module) -> None:
    """Resets V to 0 in every layer of sinabs neurons in ``module``."""
    for layer in module.modules():
        if not any(cls.__module__.startswith("sinabs.") for cls in type(layer).__mro__):
            continue
        for name in ("v_mem", "i_syn"):
            state = layer._buffers.get(name)
            if state is not None:
                layer._buffers[name] = torch.zeros(0, dtype=state.dtype, device=state.device)
