"""The two branches of progressive tandem learning: one network, as ReLUs and as spikes.

A layer l receives spike counts c, which represent activations theta c. The ANN branch computes a = ReLU(W theta c + b);
the spiking one counts the spikes of integrate-and-fire neurons with threshold theta_l and weights W theta. Their bias b
is on the membrane at the start, or a current of b / T in each of T steps; theta_l / 2 may be on the membrane as well.
In the unit of the recipe's threshold theta_0 these are

    W theta / theta_l theta_0    and    b / theta_l theta_0    and    theta_0 / 2

A model is stored in this form, and the exporter's rule turns it into integers. A theta is one number for all features
of a layer, (1,), or one for each, (O,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from deploytool.base.errors import RecipeError
from deploytool.chip.integers import integer_start
from deploytool.recipe import (
    AddLayer,
    BatchNormLayer,
    ConstraintsSection,
    ConvLayer,
    LinearLayer,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
    TrainSection,
)
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import NORM_PARTS, START, without_norms
from deploytool.train.methods.ptl.restrictions import BIAS
from deploytool.train.methods.ptl.spiking import PtlNetwork, in_bits
from deploytool.train.network.blocks import Block, blocks_of
from deploytool.train.network.norms import normalise, scale
from deploytool.train.network.quantiser import fake_quantise
from deploytool.train.network.spiking import SpikingNetwork, Weights

Thetas: TypeAlias = Mapping[str, Tensor]
"""{layer or "input": the activation that one of its spikes stands for}, (1,) or (O,), float64."""

NO_THETA: Final = torch.ones(1, dtype=torch.float64)
"""The theta of the input, whose counts are the activations, and of a layer that never fires."""


@dataclass(frozen=True)
class TandemLayer:
    """A layer of weights ``block``, the layers ``before`` it behind the last spikes, its batch norm, and whether its
    neurons fire; ``end`` layers of the recipe lead up to its spikes."""

    block: Block
    before: tuple[Block, ...]
    norm: Block | None
    fires: bool
    end: int

    @property
    def name(self) -> str:
        return self.block.name

    def potential(self, given: Tensor, weights: Weights, measured: dict[str, Tensor] | None = None) -> Tensor:
        """W x + b, (B, O, H, W), of counts or activations ``given`` (B, C, H, W), batch norm included.

        With ``measured`` the batch norm uses the statistics of this batch, and adds them there.
        """
        sums = self.block.current(self.arriving(given)[None], weights[self.name])[0]
        if (bias := weights.get(f"{self.name}.{BIAS}")) is not None:
            sums = sums + bias.view(-1, 1, 1)
        return sums if self.norm is None else self._normalised(sums, weights, measured)

    def arriving(self, given: Tensor) -> Tensor:
        """``given`` (B, C, H, W) pooled and flattened, on the input map of the weights."""
        for block in self.before:
            if isinstance(block.layer, PoolLayer):
                mean = block.layer.kernel**2 if block.layer.type == "avgpool" else 1
                given = block.pooled(given[None])[0] / mean
            else:
                given = given.reshape(len(given), *block.out_shape)
        return given

    def _normalised(self, sums: Tensor, weights: Weights, measured: dict[str, Tensor] | None) -> Tensor:
        assert self.norm is not None
        gamma, beta, mean, variance = (weights[f"{self.norm.name}.{part}"] for part in NORM_PARTS)
        if measured is not None:
            variance, mean = torch.var_mean(sums, dim=(0, 2, 3), correction=0)
            measured |= {f"{self.norm.name}.mean": mean.detach(), f"{self.norm.name}.variance": variance.detach()}
        return normalise(sums, gamma, beta, mean, variance)


class Tandem:
    """The network of a recipe in both branches; weights are arguments. It has no batch norms once it is ``folded``.

    ``spiking[k]`` is the spiking network up to and including the neurons of layer k.
    Raises RecipeError for a network that is not a chain of weights and spikes, or whose shapes do not match.
    """

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        self.network, self.constraints, self.spec = network, constraints, spec
        self.layers = _tandem_layers(network)
        self.integers = constraints.integers
        prefixes = (network.model_copy(update={"layers": network.layers[: layer.end]}) for layer in self.layers)
        self.spiking = tuple(PtlNetwork(prefix, constraints, spec) for prefix in prefixes)

    def ann(self, weights: Weights, given: Tensor, first: int = 0, measured: dict[str, Tensor] | None = None) -> Tensor:
        """The potentials (B, K) of the last layer; layer ``first`` takes activations ``given`` (B, C, H, W)."""
        for layer in self.layers[first:-1]:
            given = layer.potential(given, weights, measured).relu()
        return self.layers[-1].potential(given, weights, measured).flatten(1)

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Random weights as for every method, with biases of 0 unless the recipe excludes biases."""
        weights = SpikingNetwork(self.network, self.constraints, self.spec).initial_weights(generator)
        if self.spec.ptl.bias == "none":
            return weights
        return weights | {f"{layer.name}.{BIAS}": torch.zeros(layer.block.weight_shape[0]) for layer in self.layers}

    def coupled(self, layers: range, weights: Weights, thetas: Thetas, counts: Mapping[str, Tensor]) -> Tensor:
        """The logits (B, K) of the hybrid network in which ``layers`` learn as spiking ones, and those behind as ReLUs.

        ``counts`` {layer or "input": (B, C, H, W)} of these layers and of the one before them are used in the forward
        pass. The backward pass uses the gradients of their ReLU twins, in full precision, as if their activations were
        theta c (the straight-through estimator on counts). The last layer's twin is its free potential.
        """
        given = activation(self.before(layers.start), thetas, counts)
        for number in layers:
            layer = self.layers[number]
            twin = layer.potential(given, weights)
            if layer.fires:
                true = activation(layer.name, thetas, counts)
            else:
                true = self.quantised_potential(number, weights, thetas, counts[self.before(number)])
            twin = twin if number == len(self.layers) - 1 else twin.relu()
            given = twin + (true - twin).detach()
        return given.flatten(1) if layers.stop == len(self.layers) else self.ann(weights, given, layers.stop)

    def before(self, number: int) -> str:
        """The layer, or "input", whose spikes layer ``number`` receives."""
        return self.layers[number - 1].name if number else INPUT

    @torch.no_grad()
    def stored(self, number: int, weights: Weights, thetas: Thetas) -> dict[str, Tensor]:
        """The weights and biases of the layers up to ``number``, in the unit of the recipe's threshold: a model. A bias
        is an initial membrane or a current. A last layer that never fires stays in its own unit."""
        found: dict[str, Tensor] = {}
        for index, layer in enumerate(self.layers[: number + 1]):
            unit = self.constraints.threshold / thetas[layer.name] if layer.fires else NO_THETA
            factor = _of_inputs(layer.block, thetas[self.before(index)]) * unit.view(-1, *[1] * _axes(layer.block))
            found[layer.name] = weights[layer.name].detach() * factor.float()
            bias = weights.get(f"{layer.name}.{BIAS}")
            found |= self._stored_bias(layer, None if bias is None else bias.detach() * unit.float())
        return found

    def _stored_bias(self, layer: TandemLayer, bias: Tensor | None) -> dict[str, Tensor]:
        """The arrays of a ``bias`` (O,) in the unit of the recipe's threshold, and of the membrane at the start."""
        current, initial = f"{layer.name}.{BIAS}", f"{layer.name}.{START}"
        start = self.constraints.threshold / 2 if layer.fires and self.spec.ptl.start == "half" else 0.0
        if bias is not None and self.spec.ptl.bias != "current":
            return {initial: bias + start}
        found = {} if bias is None else {current: bias}
        return found | {initial: torch.full((layer.block.weight_shape[0],), start)} if start else found

    def quantised_potential(self, number: int, weights: Weights, thetas: Thetas, counts: Tensor) -> Tensor:
        """The free aggregate potential V = sum w c + b (B, O, H, W) of a layer that never fires, in its integers."""
        layer, stored = self.layers[number], self.stored(number, weights, thetas)
        start, current = (stored.get(f"{layer.name}.{kind}") for kind in (START, BIAS))
        found = {layer.name: stored[layer.name]}
        if self.integers is not None:
            exact = fake_quantise(stored[layer.name], self.constraints.threshold, self.constraints.floor, self.integers)
            found = {layer.name: exact.weights / exact.scale}
            if start is not None:
                integers = integer_start(start.numpy(), exact.scale, self.integers)
                start = torch.tensor(integers / exact.scale, dtype=torch.float32)
        bias = start if current is None else in_bits(current, self.constraints.weight_bits)
        return layer.potential(counts, found if bias is None else found | {f"{layer.name}.{BIAS}": bias})

    def folded(self, weights: Weights) -> tuple[Tandem, dict[str, Tensor]]:
        """(the network without batch norms, its weights): each is folded into the weights and the bias before it."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            array, bias = weights[layer.name].detach(), weights.get(f"{layer.name}.{BIAS}")
            if layer.norm is not None:
                gamma, beta, mean, variance = (weights[f"{layer.norm.name}.{part}"].detach() for part in NORM_PARTS)
                factor = scale(gamma, variance)
                array = array * factor.view(-1, *[1] * (array.ndim - 1))
                bias = beta + ((0 if bias is None else bias.detach()) - mean) * factor
            found[layer.name] = array.clone()
            if bias is not None:
                found[f"{layer.name}.{BIAS}"] = bias.detach().clone()
        return Tandem(without_norms(self.network), self.constraints, self.spec), found


def activation(name: str, thetas: Thetas, counts: Mapping[str, Tensor]) -> Tensor:
    """(B, C, H, W): what the ``counts`` of layer ``name`` represent."""
    return thetas[name].float().view(-1, 1, 1) * counts[name]


def active(activations: Tensor, percentile: float, by_feature: bool = False) -> Tensor:
    """(1,): the ``percentile`` of ``activations`` (B, O, H, W), zeros included; float64.

    ``by_feature`` (O,): that of each feature; the one of all where a feature's own is 0.
    """
    whole = np.percentile(activations.numpy(), percentile)
    if not by_feature:
        return torch.tensor([whole], dtype=torch.float64)
    own = np.percentile(activations.numpy(), percentile, axis=(0, 2, 3))
    return torch.tensor(np.where(own > 0, own, whole), dtype=torch.float64)


def _axes(block: Block) -> int:
    """The number of axes of the weights of ``block`` behind the first."""
    return len(block.weight_shape) - 1


def _of_inputs(block: Block, theta: Tensor) -> Tensor:
    """The ``theta`` of each input of the weights of ``block``, in a shape that multiplies them."""
    if len(theta) == 1:
        return theta.view(1, *[1] * _axes(block))
    if isinstance(block.layer, ConvLayer):
        groups, inputs = block.layer.groups, block.weight_shape[1]
        return theta.view(groups, inputs).repeat_interleave(block.weight_shape[0] // groups, 0)[..., None, None]
    return theta.repeat_interleave(block.weight_shape[1] // len(theta))[None]


def _tandem_layers(network: NetworkSection) -> tuple[TandemLayer, ...]:
    found: list[TandemLayer] = []
    before: list[Block] = []
    last = INPUT
    for number, block in enumerate(blocks_of(network), start=1):
        where = f"network.layers: {block.name!r}"
        if isinstance(block.layer, AddLayer) or block.sources != (last,):
            found_here = f"takes {', '.join(block.sources)} after {last!r}"
            raise RecipeError(where, found_here, "a chain, in which each layer feeds the next, for train.method ptl")
        last = block.name
        match block.layer:
            case ConvLayer() | LinearLayer():
                found.append(TandemLayer(block, tuple(before), None, False, number))
                before = []
            case BatchNormLayer():
                found[-1] = TandemLayer(found[-1].block, found[-1].before, block, False, number)
            case SpikeLayer():
                found[-1] = TandemLayer(found[-1].block, found[-1].before, found[-1].norm, True, number)
            case _:
                before.append(block)
    return tuple(found)
