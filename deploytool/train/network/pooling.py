"""Sum pooling that writes its gradient once, in the memory order of the neurons before it."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.train.network import loops
from deploytool.train.network.threads import in_parts

CHUNK: Final = 64
"""The number of maps per call of the compiled loop."""


def sum_pool(maps: Tensor, kernel: int) -> Tensor:
    """Sums of ``maps`` (N, C, H, W) over whole windows of ``kernel`` x ``kernel``."""
    if maps.device.type != "cpu":
        return F.avg_pool2d(maps, kernel, divisor_override=1)
    pooled: Tensor = _SumPool.apply(maps, kernel)  # type: ignore[no-untyped-call]
    return pooled


class _SumPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: int) -> Tensor:
        ctx.shape, ctx.kernel = maps.shape, kernel
        return F.avg_pool2d(maps, kernel, divisor_override=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        count, features, rows, columns = ctx.shape
        places = torch.empty(count, rows, columns, features)
        pooled, out = gradients[0].movedim(1, -1).contiguous().numpy(force=True), places.numpy()

        def part(first: int, last: int) -> None:
            loops.spread(pooled, out, first, last, ctx.kernel)

        in_parts(part, count, CHUNK)
        return places.movedim(-1, 1), None
