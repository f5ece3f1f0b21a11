"""All time steps of a T-RevSNN, forward, and backward from its last potentials alone.

A step is undone from the deepest stage on:

    c_l[t-1] = ( c_l[t] - F_l(...) ) / alpha_l

One autograd function runs all steps and keeps only the last c of every stage; the backward pass recomputes the others.
Potentials are summed in float64, all else is float32. An error of c grows as alpha^-T in the backward pass, and an
error that flips a spike changes every gradient before it. `require_exact` limits that error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from deploytool.base.errors import RecipeError
from deploytool.train.methods.trev.stages import Stage
from deploytool.train.methods.trev.step import Statistics, Step
from deploytool.train.network.spiking import Weights, learnt

LARGEST_ERROR: Final = 1e-8
"""Largest relative error of a recomputed potential: alpha^-T times the rounding of float64."""


def require_exact(weights: Mapping[str, Tensor], steps: int) -> None:
    """Raises RecipeError when potentials cannot be recomputed over ``steps``: alpha^-T eps > `LARGEST_ERROR`."""
    smallest = min(float(w.detach().abs().min()) for name, w in weights.items() if name.startswith("alpha."))
    error = torch.finfo(torch.float64).eps * smallest ** -(steps - 1)
    if error > LARGEST_ERROR:
        raise RecipeError(
            "train.trev.alpha",
            f"{smallest:.3g} over {steps} time steps, which gives a backward error of {error:.1g}",
            f"alpha^-(T-1) times the rounding error below {LARGEST_ERROR:g}",
            "Use fewer time steps, a larger alpha, or reversible = false.",
        )


class Staged(Protocol):
    """A network of stages, as its time steps use it; `network.TrevNetwork` says what each part is."""

    stages: tuple[Stage, ...]
    fan_out: dict[str, Tensor]

    def of_step(self, weights: Weights, t: int) -> dict[str, Tensor]: ...

    def below(self, frame: Tensor, step: Step, encoded: bool) -> Tensor: ...

    def deeper(self, number: int) -> Sequence[Stage]: ...

    def sent(self, potential: Tensor, like: Tensor) -> Tensor: ...

    def current(self, number: int, step: Step, below: Tensor, above: Sequence[Tensor]) -> Tensor: ...

    def answer(self, potential: Tensor, step: Step, like: Tensor) -> Tensor: ...


@dataclass(eq=False)
class Course:
    """A run of ``net`` over ``steps`` time steps, ``measured`` if batch norms use statistics of the batch.

    It gathers ``synops`` (B,) and ``statistics``, a dictionary for each step; ``encoded`` if the stem has run already.
    """

    net: Staged
    steps: int
    measured: bool
    synops: Tensor
    statistics: list[Statistics] = field(default_factory=list)
    encoded: bool = False

    def step(self, t: int, weights: Weights) -> Step:
        """Step ``t`` with its part of ``weights``, which adds to what is gathered."""
        if len(self.statistics) <= t:
            self.statistics.append({})
        own = self.net.of_step(weights, t)
        return Step(t, own, self.measured, self.net.fan_out, self.synops, self.statistics[t])


def integrated(course: Course, given: Tensor, weights: Weights) -> tuple[Tensor, Tensor, list[Tensor]]:
    """(answers (T, B, K), spikes (B, C, H, W) of the last stage over all steps, last potentials of every stage).

    ``given`` is the input of every step, (T, B, C, H, W), or (1, B, C, H, W) if they all take the same.
    """
    net = course.net
    size = given.shape[1]
    potentials = [torch.zeros(size, *stage.last.out_shape, dtype=torch.float64) for stage in net.stages]
    spikes = torch.zeros_like(potentials[-1], dtype=given.dtype)
    answers = []
    for t in range(course.steps):
        step = course.step(t, weights)
        after: list[Tensor] = []
        for number, stage in enumerate(net.stages):
            frame = given[t % len(given)]
            below = net.sent(after[-1], given) if after else net.below(frame, step, course.encoded)
            above = [net.sent(deeper, given) for deeper in potentials[number + 1 :][: len(net.deeper(number))] if t]
            current = net.current(number, step, below, above)
            after.append(current + _factor(step.weights[f"alpha.{stage.on}"]) * potentials[number])
        potentials = after
        spikes += net.sent(potentials[-1].detach(), spikes)
        answers.append(net.answer(potentials[-1], step, given))
    return torch.stack(answers), spikes, potentials


def undone(course: Course, given: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """The first two values of `integrated`. Only the last potentials are kept for the backward pass."""
    answers, spikes = _Undone.apply(course, given, list(weights), *weights.values())  # type: ignore[no-untyped-call]
    return answers, spikes


def _factor(alpha: Tensor) -> Tensor:
    return alpha.double().view(-1, 1, 1)


class _Undone(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, course: Course, given: Tensor, names: list[str], *values: Tensor) -> Any:
        answers, spikes, potentials = integrated(course, given, dict(zip(names, values, strict=True)))
        ctx.course, ctx.names = course, names
        ctx.save_for_backward(given, *values, *potentials)
        ctx.mark_non_differentiable(spikes)
        return answers, spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        given, *saved = ctx.saved_tensors
        weights = dict(zip(ctx.names, saved, strict=False))
        past = Past(ctx.course, given, weights, saved[len(weights) :], ctx.needs_input_grad[1])
        for t in reversed(range(ctx.course.steps)):
            past.undo(t, gradients[0][t])
        return None, past.to_given, None, *past.to_weights.values()


class Past:
    """The backward pass through the steps: ``potentials`` of every stage after a step, gradients ``to_potentials`` from
    later steps, and those that are summed over steps, ``to_weights``, with views ``to_step`` of the part of a step."""

    def __init__(
        self, course: Course, given: Tensor, weights: Weights, potentials: Sequence[Tensor], encoded: bool
    ) -> None:
        self.course, self.net, self.given, self.weights = course, course.net, given, weights
        self.potentials = list(potentials)
        self.to_potentials = [torch.zeros_like(potential) for potential in potentials]
        self.to_weights = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.to_step: dict[str, Tensor] = {}
        self.to_given = torch.zeros_like(given) if encoded else None

    def undo(self, t: int, to_answer: Tensor) -> None:
        """Undoes step ``t``, whose answer gets the gradient ``to_answer``."""
        own = {name: weight.detach().requires_grad_() for name, weight in self.net.of_step(self.weights, t).items()}
        step = Step(t, own, self.course.measured)
        self.to_step = self.net.of_step(self.to_weights, t)
        with torch.enable_grad():
            top = self.potentials[-1].detach().requires_grad_()
            answer = self.net.answer(top, step, self.given)
        (to_top,) = self._learn(step, answer, [top], to_answer)
        self.to_potentials[-1] = self.to_potentials[-1] + to_top
        to_before = [torch.zeros_like(potential) for potential in self.potentials]
        before = list(self.potentials)
        for number in reversed(range(len(self.net.stages))):
            before[number] = self._undo_stage(number, step, before, to_before)
        self.potentials, self.to_potentials = before, to_before

    def _undo_stage(self, number: int, step: Step, before: list[Tensor], to_before: list[Tensor]) -> Tensor:
        """The potential of stage ``number`` before ``step``, from the potentials of deeper stages ``before`` it."""
        net, name = self.net, f"alpha.{self.net.stages[number].on}"
        place = step.t % len(self.given)
        fused = range(number + 1, number + 1 + len(net.deeper(number))) if step.t else ()
        with torch.enable_grad():
            source = (self.potentials[number - 1] if number else self.given[place]).detach().requires_grad_()
            deeper = [before[other].detach().requires_grad_() for other in fused]
            above = [net.sent(potential, self.given) for potential in deeper]
            below = net.sent(source, self.given) if number else net.below(source, step, self.course.encoded)
            current = net.current(number, step, below, above)
        to_now = self.to_potentials[number]
        to_source, *to_deeper = self._learn(step, current, [source, *deeper], to_now.to(current.dtype))
        if number:
            self.to_potentials[number - 1] = self.to_potentials[number - 1] + to_source
        elif self.to_given is not None:
            self.to_given[place] += to_source
        for other, gradient in zip(fused, to_deeper, strict=True):
            to_before[other] = to_before[other] + gradient
        alpha = _factor(step.weights[name].detach())
        undone: Tensor = (self.potentials[number] - current.detach()) / alpha
        self.to_step[name].add_((to_now * undone).sum((0, 2, 3)))
        to_before[number] = to_before[number] + alpha * to_now
        return undone

    def _learn(self, step: Step, result: Tensor, sources: list[Tensor], gradient: Tensor) -> list[Tensor]:
        """The gradients of ``sources`` for the gradient of ``result``; gradients of weights are summed."""
        names = [name for name in step.weights if learnt(name) and not name.startswith("alpha.")]
        wanted = [*sources, *(step.weights[name] for name in names)]
        found = torch.autograd.grad(result, wanted, gradient, allow_unused=True)
        for name, to_weight in zip(names, found[len(sources) :], strict=True):
            if to_weight is not None:
                self.to_step[name].add_(to_weight)
        return list(found[: len(sources)])
