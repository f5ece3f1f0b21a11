"""Gradients through time, whole and in part: backpropagation through time (BPTT), SLTT, OTTT, and BPTT cut at layers.

The neurons of a layer, for the current I[t] and threshold theta, with a leak and a reset that subtracts:

    U[t] = decay V[t-1] + I[t]     S[t] = 1 if U[t] >= theta, else 0     V[t] = U[t] - theta S[t]

The loss is the mean over steps of the cross-entropy of the output of a step. BPTT differentiates through V[t-1]. A
layer that is cut does not: its V[t-1] counts as a constant. With all layers cut, every step has a gradient of its own,
which needs no other step, so memory does not grow with T:

* SLTT, spatial learning through time (Meng et al., ICCV 2023, arXiv 2302.14311): dL/dW = sum_t delta[t] S_in[t].
* OTTT, online training through time (Xiao et al., NeurIPS 2022, arXiv 2210.04195): the same with the trace of the input
  spikes, dL/dW = sum_t delta[t] a[t] with a[t] = decay a[t-1] + S_in[t], which accumulates over steps.

Written from the papers; compiled loops, and batch norms, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad as conv_gradients

from deploytool.recipe import AddLayer, ConvLayer, LinearLayer, PoolLayer, SpikeLayer
from deploytool.recipe.network import INPUT
from deploytool.train.network.blocks import Block
from deploytool.train.network.neurons import SURROGATES
from deploytool.train.network.spiking import SpikingNetwork, Weights

Gradients = dict[str, Tensor]
"""{layer: gradient of its weights}."""


def through_time(
    net: SpikingNetwork, weights: Weights, frames: Tensor, labels: Tensor, cut: Set[str] = frozenset()
) -> Gradients:
    """BPTT of ``net`` for ``frames`` (T, B, C, H, W) with ``labels`` (B,), without the temporal gradients of the spike
    layers that are ``cut``."""
    needed = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    past = _Past(net, needed)
    loss = torch.stack([F.cross_entropy(past.step(frame, cut), labels) for frame in frames]).mean()
    return dict(zip(needed, torch.autograd.grad(loss, list(needed.values())), strict=True))


def online(net: SpikingNetwork, weights: Weights, frames: Tensor, labels: Tensor, traced: bool) -> Gradients:
    """SLTT, or OTTT if ``traced``, of the same: the sum of the gradients of every step, each computed in that step."""
    needed = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    past = _Past(net, needed, traced)
    spiking = {block.name for block in net.blocks if isinstance(block.layer, SpikeLayer)}
    total = {name: torch.zeros_like(weight) for name, weight in needed.items()}
    for frame in frames:
        loss = F.cross_entropy(past.step(frame, spiking), labels) / len(frames)
        for name, gradient in zip(needed, torch.autograd.grad(loss, list(needed.values())), strict=True):
            total[name] += gradient
    return total


def cosine(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The mean over layers of the cosine of the angle between their gradients; layers without one do not count.

    It is 0 if no layer has both.
    """
    pairs = [(one[name].flatten(), other[name].flatten()) for name in one]
    found = [F.cosine_similarity(a, b, dim=0) for a, b in pairs if a.any() and b.any()]
    return float(torch.stack(found).mean()) if found else 0.0


@dataclass(eq=False)
class _Past:
    """The state of ``net`` before a step: the ``membranes`` {spike layer: V}, and the ``traces`` {layer: a} of input
    spikes if ``traced``."""

    net: SpikingNetwork
    weights: Weights
    traced: bool = False
    membranes: dict[str, Tensor] = field(default_factory=dict)
    traces: dict[str, Tensor] = field(default_factory=dict)

    def step(self, frame: Tensor, cut: Set[str]) -> Tensor:
        """The output (B, K) for ``frame`` (B, C, H, W), whose state follows; layers that are ``cut`` keep no graph."""
        flows = {INPUT: frame}
        maps = frame
        for block in self.net.blocks:
            first, *others = (flows[source] for source in block.sources)
            match block.layer:
                case ConvLayer() | LinearLayer():
                    maps = self._current(block, first.reshape(len(first), *block.in_shape))
                case SpikeLayer():
                    maps = self._spikes(block.name, first, block.name in cut)
                case PoolLayer(type=kind, kernel=kernel):
                    maps = block.pooled(first[None])[0] / (kernel**2 if kind == "avgpool" else 1)
                case AddLayer():
                    maps = sum(others, first)
                case _:
                    maps = first.reshape(len(first), *block.out_shape)
            flows[block.name] = maps
        return maps.flatten(1)

    def _spikes(self, name: str, current: Tensor, cut: bool) -> Tensor:
        theta, decay = self.net.constraints.threshold, self.net.constraints.decay
        before = self.membranes.get(name)
        membrane = current if before is None else current + decay * before
        spikes: Tensor = _Fired.apply(membrane, theta, self.net.spec.surrogate)  # type: ignore[no-untyped-call]
        after = membrane - theta * spikes
        self.membranes[name] = after.detach() if cut else after
        return spikes

    def _current(self, block: Block, given: Tensor) -> Tensor:
        weight = self.weights[block.name]
        if not self.traced:
            return block.current(given[None], weight)[0]
        trace = given.detach()
        if block.name in self.traces:
            trace = trace + self.net.constraints.decay * self.traces[block.name]
        self.traces[block.name] = trace
        current: Tensor = _Traced.apply(given, weight, trace, block)  # type: ignore[no-untyped-call]
        return current


class _Fired(torch.autograd.Function):
    """1 where a membrane reaches theta, else 0; backward by the surrogate called ``surrogate``."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, theta: float, surrogate: Any) -> Tensor:
        ctx.save_for_backward(membrane)
        ctx.theta, ctx.surrogate = theta, SURROGATES[surrogate]
        return (membrane >= theta).to(membrane.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (membrane,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate(membrane / ctx.theta) / ctx.theta, None, None


class _Traced(torch.autograd.Function):
    """The current of ``block`` for its input; backward, the gradient of the weights is that for the trace instead."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, trace: Tensor, block: Block) -> Tensor:
        ctx.save_for_backward(weight, trace)
        ctx.block = block
        return block.current(given[None], weight)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        weight, trace = ctx.saved_tensors
        layer, gradient = ctx.block.layer, gradients[0]
        if isinstance(layer, LinearLayer):
            flat = gradient.flatten(1)
            return (flat @ weight).view_as(trace), flat.T @ trace.flatten(1), None, None
        geometry = layer.stride, layer.padding, layer.dilation, layer.groups
        to_given = None
        if ctx.needs_input_grad[0]:
            to_given = conv_gradients.conv2d_input(trace.shape, weight, gradient, *geometry)  # type: ignore[no-untyped-call]
        return to_given, conv_gradients.conv2d_weight(trace, weight.shape, gradient, *geometry), None, None  # type: ignore[no-untyped-call]
