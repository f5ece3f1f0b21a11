"""Fake quantisation: a layer in the chip's integers while its weights learn as real numbers.

The exporter's own rule (chip/integers.py) is applied to the latent float32 weights at every step, with one scale s per
layer: w_int = round(w s), theta_int, floor_int. The network computes in these integers, which float32 holds exactly,
so that the clock-driven run of a trained network and that of its integer program agree spike for spike; the
real-valued weights w_int / s would round differently in every sum. Backward, rounding counts as the identity
(straight-through estimator: Bengio, Leonard and Courville, 2013) and s as a constant: dL/dw = s dL/dw_int.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deploytool.chip.integers import IntegerFormat, integer_floor, integer_threshold, weight_scale


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Integers as float32 numbers: ``weights`` like the latent ones, through which gradients pass to them.

    At a ``scale`` of 1 these may be the latent weights themselves, with a real threshold and floor.
    """

    weights: Tensor
    threshold: float
    floor: float
    scale: float
    state_range: tuple[float, float] = (-math.inf, math.inf)
    """The lowest and highest membrane that the chip can hold, in these integers."""


def fake_quantise(weights: Tensor, threshold: float, floor: float | None, fmt: IntegerFormat) -> IntegerLayer:
    """The layer that `chip.integers.quantise` makes of float32 ``weights``, with a straight-through gradient."""
    w_min, w_max = (float(bound) for bound in torch.aminmax(weights.detach()))
    scale = weight_scale(w_min, w_max, threshold, fmt)
    rounded: Tensor = _Round.apply(weights, scale, *fmt.weight_range)  # type: ignore[no-untyped-call]
    return IntegerLayer(
        rounded, integer_threshold(threshold, scale, fmt), integer_floor(floor, scale, fmt), scale, fmt.state_range
    )


class _Round(torch.autograd.Function):
    """round(w s), half to even, clipped; backward as if it were w s."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, scale: float, low: int, high: int) -> Tensor:
        ctx.scale = scale
        return (weights * scale).round_().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0] * ctx.scale, None, None, None
