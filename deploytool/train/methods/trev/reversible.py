"""Integrate-and-fire networks that recompute past states backwards, so training keeps one bit per neuron and step.

Hu et al., 2024, use no reset at all; with a reset the spikes must be kept. With reset "subtract" and no floor, a step
can be undone from its spikes S[t]:

    U[t] = V[t] + theta S[t],     V[t-1] = U[t] - I[t]

In the chip's integers, which float32 holds exactly, this is lossless. The forward pass keeps the last V of every layer
and the compressed spikes of all steps, as bits if a neuron fires at most once per step, else as bytes. The backward
pass recomputes the currents I[t] from these spikes, layer by layer, last step first. The gradients are those of
`neurons.fire`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from deploytool.base.errors import RecipeError
from deploytool.recipe import (
    ConstraintsSection,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
    TrainSection,
)
from deploytool.train.methods.trev.restrictions import irreversible
from deploytool.train.network.blocks import Block
from deploytool.train.network.neurons import SURROGATES
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights

MOST_PER_STEP: Final = 255


class ReversibleNetwork(SpikingNetwork):
    """A `SpikingNetwork` that discards its membranes in the forward pass and recomputes them in the backward pass.

    Its Activity has the spikes of hidden layers summed over time, (1, B, C, H, W). Raises RecipeError for a floor, a
    reset to zero, a leak, batch norms, or layers that are not one chain, because their steps cannot be undone.
    """

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        super().__init__(network, constraints, spec)
        if problems := list(irreversible(network, constraints)):
            raise RecipeError.together(problems)

    def run(
        self, weights: Weights, frames: Tensor, _steps: Sequence[int] | None = None, measure: bool = False
    ) -> Activity:
        """As `SpikingNetwork.run` at equal time steps of all layers; there is nothing to ``measure``."""
        del measure
        layers = [self.quantised(block, weights) for block in self.weighted]
        thresholds = [layer.threshold * divisor for layer, divisor in zip(layers, self._divisors(), strict=True)]
        output, synops, *summed = _Reversible.apply(self, frames, thresholds, *(layer.weights for layer in layers))  # type: ignore[no-untyped-call]
        spikes = {block.name: counts[None] for block, counts in zip(self.weighted, summed, strict=True)}
        return Activity(spikes, output.flatten(2), synops, {})

    def _divisors(self) -> list[int]:
        """The factor on the threshold of each layer with weights, from the average pooling before it."""
        divisor, found = 1, []
        for block in self.blocks:
            if isinstance(block.layer, PoolLayer) and block.layer.type == "avgpool":
                divisor *= block.layer.kernel**2
            elif block.weight_shape:
                found.append(divisor)
                divisor = 1
        return found

    def chain(self) -> list[tuple[list[Block], Block]]:
        """(layers that the spikes pass before the weights, weights) of each layer with weights, in order."""
        found: list[tuple[list[Block], Block]] = []
        before: list[Block] = []
        for block in self.blocks:
            if block.weight_shape:
                found.append((before, block))
                before = []
            elif not isinstance(block.layer, SpikeLayer):
                before = [*before, block]
        return found


def _prepared(before: list[Block], spikes: Tensor, block: Block) -> Tensor:
    """``spikes`` (1, B, ...) pooled and shaped as ``block`` takes them."""
    for each in before:
        if isinstance(each.layer, PoolLayer):
            spikes = each.pooled(spikes)
    return spikes.reshape(1, spikes.shape[1], *block.in_shape)


def packed(spikes: Tensor, once: bool) -> bytes:
    """Integer ``spikes`` as compressed bytes, with 8 spikes per byte when a neuron fires at most ``once``.

    Raises RecipeError for more than 255 spikes of a neuron in a step.
    """
    counts = spikes.numpy().ravel()
    if not once and len(counts) and counts.max() > MOST_PER_STEP:
        found = f"a neuron that fires {int(counts.max())} times in one step"
        raise RecipeError("train.method", found, f"at most {MOST_PER_STEP} with trev", "Use more time steps.")
    stored = counts.astype(np.uint8)
    return zlib.compress((np.packbits(stored) if once else stored).tobytes(), level=1)


def unpacked(stored: bytes, once: bool, like: Tensor) -> Tensor:
    """The spikes in a `packed` value, with the shape and type of ``like``."""
    counts = np.frombuffer(bytearray(zlib.decompress(stored)), np.uint8)
    if once:
        counts = np.unpackbits(counts, count=like.numel())
    return torch.from_numpy(counts).view(like.shape).to(like.dtype)


class _Reversible(torch.autograd.Function):
    """All layers over all steps. Inputs: network, frames (T, B, C, H, W), thresholds, integer weights. Outputs: spikes
    of the last layer (T, B, ...), synops (B,), spikes of every layer summed over time (B, ...)."""

    @staticmethod
    def forward(ctx: Any, net: ReversibleNetwork, frames: Tensor, thresholds: list[float], *weights: Tensor) -> Any:
        chain, once = net.chain(), net.spec.spikes_per_step == "one"
        size = frames.shape[1]
        states = [frames.new_zeros(size, *block.out_shape) for _, block in chain]
        sums = [torch.zeros_like(state) for state in states]
        synops = torch.zeros(size, dtype=torch.float64)
        kept: list[list[bytes]] = []
        outputs = []
        for frame in frames:
            spikes, bits = frame[None], []
            for number, (before, block) in enumerate(chain):
                given = _prepared(before, spikes, block)
                synops += (given[0] * net.fan_out[block.name]).flatten(1).sum(1, dtype=torch.float64)
                membrane = states[number] + block.current(given, weights[number])[0]
                fired = _fired(membrane, thresholds[number], once)
                states[number] = membrane - fired * thresholds[number]
                sums[number] += fired
                bits.append(packed(fired, once))
                spikes = fired[None]
            kept.append(bits)
            outputs.append(spikes[0])
        ctx.net, ctx.thresholds, ctx.once, ctx.kept = net, thresholds, once, kept
        ctx.save_for_backward(frames, *weights, *states)
        ctx.mark_non_differentiable(*sums)
        return torch.stack(outputs), synops, *sums

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        net, thresholds, once = ctx.net, ctx.thresholds, ctx.once
        chain = net.chain()
        frames, *saved = ctx.saved_tensors
        weights, states = saved[: len(chain)], list(saved[len(chain) :])
        to_output, to_synops = gradients[0], gradients[1].to(frames.dtype).view(-1, 1, 1, 1)
        to_weights = [torch.zeros_like(weight) for weight in weights]
        to_states = [torch.zeros_like(state) for state in states]
        surrogate = SURROGATES[net.spec.surrogate]
        for t in reversed(range(len(frames))):
            bits = ctx.kept.pop()
            fired = [unpacked(stored, once, state) for stored, state in zip(bits, states, strict=True)]
            to_spikes = to_output[t]
            for number in reversed(range(len(chain))):
                before, block = chain[number]
                theta = thresholds[number]
                spikes = (fired[number - 1] if number else frames[t])[None]
                with torch.enable_grad():
                    source = spikes.detach().requires_grad_(number > 0)
                    weight = weights[number].detach().requires_grad_()
                    given = _prepared(before, source, block)
                    current = block.current(given, weight)
                membrane = states[number] + theta * fired[number]
                slope = surrogate(membrane / theta) / theta
                to_current = to_states[number] + (to_spikes - theta * to_states[number]) * slope
                wanted = [weight, source] if number else [weight]
                through_weights = torch.autograd.grad(current, wanted, to_current[None], retain_graph=number > 0)
                to_weights[number] += through_weights[0]
                if number:
                    fan_out = (to_synops * net.fan_out[block.name])[None]
                    (through_synops,) = torch.autograd.grad(given, source, fan_out)
                    to_spikes = (through_weights[1] + through_synops)[0]
                states[number] = membrane - current.detach()[0]
                to_states[number] = to_current
        return None, None, None, *to_weights


def _fired(membrane: Tensor, threshold: float, once: bool) -> Tensor:
    """Spikes of neurons at ``membrane``, as in `neurons`."""
    if once:
        return (membrane >= threshold).to(membrane.dtype)
    return torch.div(membrane, threshold, rounding_mode="trunc").clamp_(min=0)
