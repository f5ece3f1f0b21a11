"""The spiking branch of PTL, clock-driven, with what its paper has and no chip: biases as currents, analog input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deploytool.recipe import TrainSection
from deploytool.recipe.constraints import UNQUANTISED
from deploytool.train.methods.ptl.restrictions import BIAS
from deploytool.train.network.blocks import Block
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights


class PtlNetwork(SpikingNetwork):
    """The network of a recipe as ``spec.ptl`` trains it.

    Every step adds the current b / T of a layer's `BIAS`, if the weights have one. With input "first" the image is the
    current of the first step, and neurons that fire once per step at most spread it over the others.
    """

    def run(
        self, weights: Weights, frames: Tensor, steps: Sequence[int] | None = None, measure: bool = False
    ) -> Activity:
        """As `SpikingNetwork.run`."""
        if self.spec.ptl.input == "first":
            frames = torch.cat([frames[:1], torch.zeros_like(frames[1:])])
        return super().run(weights, frames, steps, measure)

    def constant_current(self, weights: Weights, name: str, steps: int) -> Tensor | None:
        """b / T, b having as many bits as a weight."""
        bias = weights.get(f"{name}.{BIAS}")
        return None if bias is None else in_bits(bias.detach(), self.constraints.weight_bits) / steps

    def updates(self, block: Block, counts: Tensor) -> Tensor:
        """As `SpikingNetwork.updates`; an analog input costs a multiplication for every synapse of its layer."""
        if self.spec.ptl.input == "first" and block.name == self.weighted[0].name:
            return self.fan_out[block.name].sum(dtype=torch.float64).expand(counts.shape[0])
        return super().updates(block, counts)


def given_by(frames: Tensor, spec: TrainSection) -> Tensor:
    """(B, C, H, W): what whole samples of ``frames`` (T, B, C, H, W) give: their counts, or with input "first" the
    image."""
    return frames[0] if spec.ptl.input == "first" else frames.sum(0)


def in_bits(values: Tensor, bits: int) -> Tensor:
    """``values`` rounded to integers of ``bits``, sign included, in a scale of their own: equation 8 of the paper, on
    both sides of 0. Unchanged if ``bits`` are those of real numbers."""
    largest = float(values.abs().max())
    if bits == UNQUANTISED or not largest:
        return values
    unit = largest / (int(2 ** (bits - 1)) - 1)
    return (values / unit).round() * unit
