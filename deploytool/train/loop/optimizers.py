"""Optimizers, and what shortens gradients before their step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor

from deploytool.recipe import TrainSection

SMALLEST_WEIGHTS: Final = 1e-3
"""The least length of an output feature's weights in relative clipping, so that weights of 0 can grow."""


def make_optimizer(parameters: list[Tensor], spec: TrainSection) -> torch.optim.Optimizer:
    """The optimizer that ``spec`` asks for, over ``parameters``."""
    if spec.optimizer == "sgd":
        return torch.optim.SGD(parameters, spec.learning_rate, spec.momentum, weight_decay=spec.weight_decay)
    if spec.optimizer == "lamb":
        return Lamb(parameters, spec.learning_rate, weight_decay=spec.weight_decay)
    return torch.optim.AdamW(parameters, spec.learning_rate, weight_decay=spec.weight_decay)


class Lamb(torch.optim.Optimizer):
    """LAMB (You et al., ICLR 2020, arXiv 1904.00962, algorithm 2): Adam whose steps suit the size of a layer's weights.

    With Adam's bias-corrected means m and v of a gradient and of its square, r = m / (sqrt(v) + eps) + decay w, and
    w <- w - rate |w| / |r| r, with lengths over a whole tensor; |w| / |r| counts as 1 where either is 0.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every tensor that has a gradient; the value of ``closure``, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    self._move(weights, weights.grad, group)
        return loss

    def _move(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weights), torch.zeros_like(weights)
        state["step"] += 1
        first, second = group["betas"]
        mean = state["exp_avg"].lerp_(gradient, 1 - first) / (1 - first ** float(state["step"]))
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (square / (1 - second ** float(state["step"]))).sqrt() + group["eps"]
        step = mean / spread + group["weight_decay"] * weights
        size, length = weights.norm(), step.norm()
        ratio = torch.where((size > 0) & (length > 0), size / length, 1.0)
        weights.sub_(group["lr"] * ratio * step)


@torch.no_grad()
def shorten(parameters: Iterable[Tensor], spec: TrainSection) -> None:
    """Shortens the gradients of ``parameters`` in place, as ``clip_relative`` and then ``clip_norm`` of ``spec`` say.

    ``clip_relative`` is adaptive gradient clipping (Brock et al., ICML 2021, arXiv 2102.06171): the gradient of an
    output feature, along the first axis, is at most that share of the length of its weights, of at least 1e-3.
    ``clip_norm`` bounds the length of all gradients together.
    """
    learnt = [parameter for parameter in parameters if parameter.grad is not None]
    if spec.clip_relative is not None:
        for parameter in learnt:
            assert parameter.grad is not None
            allowed = spec.clip_relative * _lengths(parameter).clamp_min(SMALLEST_WEIGHTS)
            parameter.grad.mul_((allowed / _lengths(parameter.grad).clamp_min(1e-12)).clamp_max(1.0))
    if spec.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(learnt, spec.clip_norm)


def _lengths(tensor: Tensor) -> Tensor:
    """The length of ``tensor`` over all axes but the first, with axes of 1; of a vector, that of each number."""
    if tensor.ndim < 2:
        return tensor.abs()
    lengths: Tensor = torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), keepdim=True)
    return lengths
