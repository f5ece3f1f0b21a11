"""The network of a recipe, clock-driven, in the chip's integers. Weights are arguments, and it keeps no state.

It also has layers that the chip cannot run: batch normalisation, shortcuts that end in a sum, and a last layer that
never fires. Weights before a batch norm stay real numbers, because their integers on the chip are not known until the
batch norm is folded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from deploytool.chip.integers import integer_start
from deploytool.recipe import (
    AddLayer,
    BatchNormLayer,
    ConstraintsSection,
    ConvLayer,
    FlattenLayer,
    LinearLayer,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
    TrainSection,
)
from deploytool.recipe.network import INPUT
from deploytool.recipe.nodes import NORM_PARTS, START
from deploytool.train.device import device_of
from deploytool.train.network.blocks import Block, blocks_of, only_readers, pooling_kernels
from deploytool.train.network.fused.layer import Fusion, fusion_of
from deploytool.train.network.neurons import Neuron, fire
from deploytool.train.network.norms import normalise, scaled
from deploytool.train.network.pooled import fire_pooled
from deploytool.train.network.quantiser import IntegerLayer, fake_quantise
from deploytool.train.network.stages import resample
from deploytool.train.processes import moments

Weights: TypeAlias = Mapping[str, Tensor]
"""Latent float32 weights {layer: (O, I / groups, KH, KW) or (O, I)}. Of a batchnorm layer "bn1": {"bn1.gamma",
"bn1.beta", "bn1.mean", "bn1.variance": (C,)}, the last two of which are measured and not learnt. If present,
"conv1.v_init" (O,) is V before the first step, in the unit of the threshold, and "conv1.scale" (O,) a factor on the
weights of each output feature."""


@dataclass(frozen=True, eq=False)
class Activity:
    """Of one run: ``spikes`` {weight layer: (T, B, C, H, W)} of the neurons that it drives; ``output`` (T, B, K), the
    spikes of the last layer, or the currents of one that never fires; ``synops`` (B,), float64 synaptic updates;
    ``statistics`` {"bn1.mean": (C,) ...}, measured on this batch if requested."""

    spikes: dict[str, Tensor]
    output: Tensor
    synops: Tensor
    statistics: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Flow:
    """The output of a layer, (T, B, C, H, W), which is ``tensor / divisor``.

    Average pooling is computed as a sum; its factor k * k goes into the ``divisor``, and so into threshold and floor.
    The result is the same, and integers stay integers. ``integers`` are those of the weights that define the unit of
    the tensor, if it is in integers. ``fired``: these are already the spikes of the neurons that follow, and if
    ``pooled`` too, their sums over the windows of the pooling layer after them, which alone takes them.
    """

    tensor: Tensor
    divisor: int = 1
    integers: IntegerLayer | None = None
    fired: bool = False
    pooled: bool = False

    def real(self) -> Tensor:
        """The tensor in the unit of the recipe's threshold."""
        return self.tensor / (self.divisor * (self.integers.scale if self.integers else 1))


class SpikingNetwork:
    """The network that ``network`` describes, under ``constraints``, with the neurons of ``spec``.

    ``blocks`` are all layers in order, ``weighted`` those with weights; ``device`` is where it runs. Raises
    RecipeError when a layer cannot take the shape it gets, the chip is unknown, or there is no such device.
    """

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        self.blocks = blocks_of(network)
        self.weighted = tuple(block for block in self.blocks if block.weight_shape)
        self.constraints = constraints
        self.spec = spec
        self.integers = constraints.integers
        self.device = device_of(spec)
        self._driver = {block.spikes: block.name for block in self.weighted if block.spikes is not None}
        self._kernels = pooling_kernels(self.blocks)
        self.fan_out = {block.name: block.fan_out() for block in self.weighted}
        self._fusions = _fusions(self.blocks, self._kernels, self.fan_out)
        self._unflattened = {
            name
            for name, reader in only_readers(self.blocks).items()
            if isinstance(reader.layer, LinearLayer) and reader.name in self._fusions
        }

    @property
    def answering(self) -> str:
        """The layer of weights whose neurons or potentials give the answer."""
        return self.weighted[-1].name

    @property
    def normalised(self) -> bool:
        """Whether it has batch norms."""
        return any(isinstance(block.layer, BatchNormLayer) for block in self.blocks)

    @property
    def answers_in_spikes(self) -> bool:
        """Whether the answer is spikes, rather than the potentials of a last layer that never fires."""
        return isinstance(self.blocks[-1].layer, SpikeLayer)

    def read(self, outputs: Tensor) -> Tensor:
        """The answer (B, K) of a last layer that never fires: the mean of its ``outputs`` (T, B, K) over time."""
        return outputs.mean(0)

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights uniform in +-gain / sqrt(fan-in), torch's default times the recipe's ``gain``; identity batch
        norms."""
        weights = {}
        for block in self.blocks:
            if block.weight_shape:
                bound = self.spec.gain / math.sqrt(math.prod(block.weight_shape[1:]))
                weights[block.name] = torch.empty(block.weight_shape).uniform_(-bound, bound, generator=generator)
            elif isinstance(block.layer, BatchNormLayer):
                for name, value in zip(NORM_PARTS, (1.0, 0.0, 0.0, 1.0), strict=True):
                    weights[f"{block.name}.{name}"] = torch.full((block.out_shape[0],), value)
        return weights

    def quantised(self, block: Block, weights: Weights) -> IntegerLayer:
        """The layer of ``block`` in the chip's integers, or unchanged if a batch norm follows."""
        floor, threshold = self.constraints.floor, self.constraints.threshold
        fmt = self.integers
        if block.normalised or fmt is None:
            return IntegerLayer(scaled(block.name, weights), threshold, -math.inf if floor is None else floor, 1.0)
        return fake_quantise(scaled(block.name, weights), threshold, floor, fmt)

    def run(
        self, weights: Weights, frames: Tensor, steps: Sequence[int] | None = None, measure: bool = False
    ) -> Activity:
        """Activity for ``frames`` (T, B, C, H, W), event counts or images; neurons start at 0, or as ``weights`` say.

        ``steps`` are the time steps of each layer with weights, as drawn by a training method; without ``steps`` all
        layers run at T. Batch norms use the statistics in ``weights``, or with ``measure``, for training, those of this
        batch, over time as well; the Activity then lacks spikes that only a pooling layer sees.
        """
        if not (measure and self.blocks[0].name in self._fusions):
            frames = _features_last(frames)
        drawn = dict(zip((block.name for block in self.weighted), steps or (), strict=False))
        if steps and self.spec.input_ttm is not None:
            frames = resample(frames, steps[0], self.spec.input_ttm)
        flows = {INPUT: _Flow(frames)}
        activity = Activity({}, frames, torch.zeros(frames.shape[1], dtype=torch.float64, device=frames.device), {})
        synops = activity.synops
        for block in self.blocks:
            first, *others = (flows[source] for source in block.sources)
            match block.layer:
                case ConvLayer() | LinearLayer():
                    given = resample(first.tensor, drawn.get(block.name, len(first.tensor)), self.spec.ttm)
                    flow, updates = self._driven(block, replace(first, tensor=given), weights, measure)
                    synops = synops + updates
                case PoolLayer(type=kind, kernel=kernel):
                    divisor = first.divisor * (kernel**2 if kind == "avgpool" else 1)
                    flow = _Flow(first.tensor if first.pooled else block.pooled(first.tensor), divisor)
                case SpikeLayer() if first.fired:
                    flow = first
                    if not flow.pooled:
                        activity.spikes[self._driver[block.name]] = flow.tensor
                case SpikeLayer():
                    started = self._started(first, weights, block.sources[0])
                    window = self._kernels.get(block.name) if measure else None
                    if window is not None and started.integers is not None and started.tensor.device.type == "cpu":
                        flow = self._fired(started, window)
                    else:
                        flow = self._fired(started)
                        activity.spikes[self._driver[block.name]] = flow.tensor
                case BatchNormLayer():
                    flow = _Flow(self._normalised(block, weights, first.real(), activity if measure else None))
                case AddLayer():
                    ways = [resample(other.real(), len(first.tensor), self.spec.ttm) for other in others]
                    flow = _Flow(sum(ways, first.real()))
                case FlattenLayer() if measure and block.name in self._unflattened:
                    flow = first
                case _:
                    flow = replace(first, tensor=first.tensor.reshape(*first.tensor.shape[:2], *block.out_shape))
            flows[block.name] = flow
        last = flow.tensor if self.answers_in_spikes else self._started(flow, weights, self.answering).real()
        return replace(activity, output=last.flatten(2), synops=synops)

    def _driven(self, block: Block, given: _Flow, weights: Weights, measure: bool) -> tuple[_Flow, Tensor]:
        """(the currents of ``block`` for its input ``given``, synaptic updates (B,) float64).

        In training, where its loop is known, these are already the spikes of the neurons.
        """
        integers = self.quantised(block, weights)
        fusion = self._fusion(block, given.tensor, weights) if measure else None
        if fusion is not None:
            neuron = self._neuron(integers, given.divisor)
            if (found := fusion.run(given.tensor, integers.weights, neuron)) is not None:
                return _Flow(found[0], fired=True, pooled=fusion.pool > 1), found[1]
        spikes = _features_last(given.tensor) if block.sources == (INPUT,) else given.tensor
        spikes = spikes.reshape(*spikes.shape[:2], *block.in_shape)
        currents = block.current(spikes, integers.weights)
        return _Flow(currents, given.divisor, integers), self.updates(block, spikes.sum(0))

    def _fusion(self, block: Block, given: Tensor, weights: Weights) -> Fusion | None:
        """The loop of ``block`` with its neurons, if these get whole numbers on a CPU, and nothing but its currents."""
        if self.integers is None or block.normalised or given.device.type != "cpu" or self.spec.precision == "mixed":
            return None
        if f"{block.name}.{START}" in weights or self.constant_current(weights, block.name, len(given)) is not None:
            return None
        return self._fusions.get(block.name)

    def updates(self, block: Block, counts: Tensor) -> Tensor:
        """(B,) float64: synaptic updates that ``counts`` (B, *in_shape) of spikes cause in the layer ``block``."""
        caused = counts * self.fan_out[block.name].to(counts.device)
        return caused.flatten(1).sum(1, dtype=torch.float64)

    def constant_current(self, _weights: Weights, _name: str, _steps: int) -> Tensor | None:
        """(O,): what the neurons of a layer get in each of its steps, in the unit of the threshold; or None."""
        return None

    def _started(self, flow: _Flow, weights: Weights, name: str) -> _Flow:
        """``flow``, the currents of layer ``name``, with the initial V added to the current of the first step, and the
        constant current to that of every step."""
        if (constant := self.constant_current(weights, name, len(flow.tensor))) is not None:
            unit = flow.divisor * (flow.integers.scale if flow.integers else 1)
            flow = replace(flow, tensor=flow.tensor + unit * constant.view(-1, 1, 1))
        if (start := weights.get(f"{name}.{START}")) is None:
            return flow
        integers = flow.integers
        if integers is not None and self.integers is not None:
            whole = integer_start(start.numpy(force=True), integers.scale, self.integers)
            start = torch.tensor(whole, dtype=torch.float32, device=start.device)
        first = (flow.tensor[:1] + flow.divisor * start.view(-1, 1, 1), flow.tensor[1:])
        return replace(flow, tensor=torch.cat(first))

    def _fired(self, flow: _Flow, kernel: int | None = None) -> _Flow:
        """The spikes of neurons driven by ``flow``, summed over windows of ``kernel`` x ``kernel`` if given."""
        current = flow.real() if flow.integers is None else flow.tensor
        neuron = self._neuron(flow.integers, flow.divisor, current.is_cuda)
        by_feature = current.float().movedim(2, -1)
        if kernel is not None:
            return _Flow(fire_pooled(by_feature, neuron, kernel).movedim(-1, 2), pooled=True)
        return _Flow(fire(by_feature, neuron).movedim(-1, 2))

    def _neuron(self, integers: IntegerLayer | None, divisor: int, inexact: bool = False) -> Neuron:
        """The neurons of currents in the unit of ``integers``, times ``divisor``, or in the recipe's; whole currents
        whose sums are ``inexact`` are rounded."""
        constraints, spec = self.constraints, self.spec
        threshold, floor, ceiling = constraints.threshold, constraints.floor, math.inf
        if integers is not None:
            lowest, ceiling = integers.state_range
            threshold = integers.threshold * divisor
            floor = max(integers.floor * divisor, lowest)
        return Neuron(
            threshold=threshold,
            floor=floor,
            reset=constraints.reset,
            spikes_per_step=spec.spikes_per_step,
            reset_gradient=spec.reset_gradient,
            surrogate=spec.surrogate,
            decay=constraints.decay,
            ceiling=ceiling,
            whole=inexact and ceiling < math.inf,
        )

    def _normalised(self, block: Block, weights: Weights, current: Tensor, measured: Activity | None) -> Tensor:
        """``current`` after the batch norm ``block``; statistics that are ``measured`` are used and stored."""
        gamma, beta, mean, variance = (weights[f"{block.name}.{x}"] for x in NORM_PARTS)
        if measured is not None:
            variance, mean = moments(current.float(), dim=(0, 1, 3, 4))
            measured.statistics.update(
                {f"{block.name}.mean": mean.detach(), f"{block.name}.variance": variance.detach()}
            )
        return normalise(current, gamma, beta, mean, variance)


def _features_last(maps: Tensor) -> Tensor:
    """``maps`` (T, B, C, H, W) with features last in memory, the order in which convolutions with few features are
    faster."""
    return maps.movedim(2, -1).contiguous().movedim(-1, 2)


def learnt(name: str) -> bool:
    """Whether the array ``name`` of a network's weights is learnt by gradients; statistics are measured instead."""
    return not name.endswith((".mean", ".variance"))


def _fusions(blocks: Sequence[Block], kernels: Mapping[str, int], fan_out: Mapping[str, Tensor]) -> dict[str, Fusion]:
    """{layer with weights: it with the neurons after it, and the pooling after them}, where that is one loop."""
    only, found = only_readers(blocks), {}
    for block in blocks:
        reader = only.get(block.name)
        if isinstance(block.layer, ConvLayer | LinearLayer) and reader and isinstance(reader.layer, SpikeLayer):
            shapes, pool = (block.in_shape, block.out_shape), kernels.get(reader.name, 1)
            if (fusion := fusion_of(block.layer, shapes, pool, fan_out[block.name])) is not None:
                found[block.name] = fusion
    return found
