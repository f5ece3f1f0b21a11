"""The two branches of progressive tandem learning: one network, as ReLUs and as spikes.

A layer l receives spike counts c, which represent activations theta c. The ANN branch computes a = ReLU(W theta c + b);
the spiking one counts the spikes of integrate-and-fire neurons with threshold theta_l, weights W theta, and b, or
b + theta_l / 2, on the membrane at the start. In the unit of the recipe's threshold theta_0 these are

    W theta / theta_l theta_0    and    b / theta_l theta_0    (+ theta_0 / 2)

A model is stored in this form, and the exporter's rule turns it into integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from deploytool.train.network.norms import normalise, scale
from deploytool.train.network.quantiser import fake_quantise
from deploytool.train.network.spiking import Block, SpikingNetwork, Weights, blocks_of


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
        self.spiking = tuple(SpikingNetwork(prefix, constraints, spec) for prefix in prefixes)

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

    def coupled(
        self, number: int, weights: Weights, thetas: Mapping[str, float], counts: Mapping[str, Tensor]
    ) -> Tensor:
        """The logits (B, K) of the hybrid network in which layer ``number`` is the last that spikes.

        ``counts`` {layer or "input": (B, C, H, W)} of this layer and of the one before it are used in the forward
        pass. The backward pass uses the gradient of the layer's ReLU twin, in full precision, as if its activation were
        theta c (the straight-through estimator on counts). The last layer's twin is its free potential.
        """
        layer, last = self.layers[number], number == len(self.layers) - 1
        before = self.before(number)
        twin = layer.potential(thetas[before] * counts[before], weights)
        if layer.fires:
            true = thetas[layer.name] * counts[layer.name]
        else:
            true = self.quantised_potential(number, weights, thetas, counts[before])
        if last:
            return (twin + (true - twin).detach()).flatten(1)
        twin = twin.relu()
        return self.ann(weights, twin + (true - twin).detach(), number + 1)

    def before(self, number: int) -> str:
        """The layer, or "input", whose spikes layer ``number`` receives."""
        return self.layers[number - 1].name if number else INPUT

    @torch.no_grad()
    def stored(self, number: int, weights: Weights, thetas: Mapping[str, float]) -> dict[str, Tensor]:
        """The weights and starting membranes of the layers up to ``number``, in the unit of the recipe's threshold: a
        model. A last layer that never fires stays in its own unit."""
        found = {}
        for index, layer in enumerate(self.layers[: number + 1]):
            unit = self.constraints.threshold / thetas[layer.name] if layer.fires else 1.0
            found[layer.name] = weights[layer.name].detach() * (thetas[self.before(index)] * unit)
            start = self.constraints.threshold / 2 if layer.fires and self.spec.ptl.start == "half" else 0.0
            bias = weights.get(f"{layer.name}.{BIAS}")
            if bias is not None or start:
                features = torch.zeros(layer.block.weight_shape[0]) if bias is None else bias.detach() * unit
                found[f"{layer.name}.{START}"] = features + start
        return found

    def quantised_potential(self, number: int, weights: Weights, thetas: Mapping[str, float], counts: Tensor) -> Tensor:
        """The free aggregate potential V = sum w c + b (B, O, H, W) of a layer that never fires, in its integers."""
        layer, stored = self.layers[number], self.stored(number, weights, thetas)
        if self.integers is None:
            return layer.potential(counts, {layer.name: stored[layer.name], **_bias_of(layer, stored)})
        exact = fake_quantise(stored[layer.name], self.constraints.threshold, self.constraints.floor, self.integers)
        found = {layer.name: exact.weights / exact.scale}
        for key, start in _bias_of(layer, stored).items():
            integers = integer_start(start.numpy(), exact.scale, self.integers)
            found[key] = torch.tensor(integers / exact.scale, dtype=torch.float32)
        return layer.potential(counts, found)

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


def _bias_of(layer: TandemLayer, stored: Weights) -> dict[str, Tensor]:
    start = stored.get(f"{layer.name}.{START}")
    return {} if start is None else {f"{layer.name}.{BIAS}": start}


def active(activations: Sequence[Tensor] | Tensor, percentile: float) -> float:
    """The ``percentile`` of ``activations``, zeros included."""
    return float(np.percentile(torch.as_tensor(activations).numpy(), percentile))


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
