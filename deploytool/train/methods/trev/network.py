"""T-RevSNN, temporal reversibility (Hu, Yao, Qiu, Chou, Cai, Qiao, Tian, Xu and Li, ICML 2024, arXiv 2405.16466).

Most neurons are turned off: they keep no state between time steps, and S = 1 if V >= theta for the V of that step
alone. At the end of every stage l = 1..L neurons are turned on: their potential c_l sends q(c) = 1 if
c >= theta, is leaky and never reset, so that a time step can be undone:

    c_l[t] = F_l( D_l q(c_(l-1)[t]) + U_l q(c_(l+1)[t-1]) ) + alpha_l c_l[t-1]           c_0[t]: the input of step t

D_l is the first layer with weights of stage l, F_l what follows it, U_l a 1x1 convolution of the next stage's spikes
of the step before, upsampled to the nearest places (multi-level fusion). A step is undone from the deepest stage on:

    c_l[t-1] = ( c_l[t] - F_l(...) ) / alpha_l

One autograd function runs all steps and keeps only the last c of every stage; the backward pass recomputes the others.
Potentials are summed in float64, all else is float32. An error of c grows as alpha^-T in the backward pass, and an
error that flips a spike changes every gradient before it. `require_exact` limits that error. alpha is learnt, one for
every feature, and never closer to 0 than 0.001. Spikes pass gradients where |c - theta| <= theta (a box). What follows
the last stage is the classifier: its output at each step is the answer of that step.

Grouped input: the sample as a whole is encoded once, by a convolution of kernel 3 to T times its features, and group t
of these is the input of step t. ``own`` weights for every step make T sub-networks, each of which runs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.errors import RecipeError
from deploytool.recipe import (
    ConstraintsSection,
    NetworkSection,
    PoolLayer,
    SpikeLayer,
    TrainSection,
)
from deploytool.train.methods.trev.restrictions import no_t_revsnn
from deploytool.train.network.spiking import Activity, Block, SpikingNetwork, Weights

SMALLEST_ALPHA: Final = 1e-3
LARGEST_ERROR: Final = 1e-8
"""Largest relative error of a recomputed potential: alpha^-T times the rounding of float64."""


@dataclass(frozen=True)
class Stage:
    """``down`` (D_l), ``rest`` (F_l) and the turn-on neurons ``on``, spike layer of that name.

    ``before`` are the layers that the spikes pass before ``down``: pooling and flattening.
    """

    on: str
    before: tuple[Block, ...]
    down: Block
    rest: tuple[Block, ...]

    @property
    def last(self) -> Block:
        """The layer whose output the potential of this stage integrates."""
        return self.rest[-1] if self.rest else self.down


class TrevNetwork(SpikingNetwork):
    """The T-RevSNN that ``spec.trev`` makes of ``network``. Raises RecipeError when that is not possible."""

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        super().__init__(network, constraints, spec)
        if problems := list(no_t_revsnn(network, constraints, spec)):
            raise RecipeError.together(problems)
        self.stages, self.head = _stages(self.blocks, spec.trev.on)

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Layer weights, U_l as "fuse.NAME" (C_l, C_(l+1), 1, 1), alpha_l as "alpha.NAME" (C_l,) and "stem"."""
        trev, steps = self.spec.trev, self.spec.time_steps
        weights: dict[str, list[Tensor]] = {}
        for _ in range(steps if trev.own else 1):
            for name, array in super().initial_weights(generator).items():
                weights.setdefault(name, []).append(array)
        found = {name: torch.stack(arrays) if trev.own else arrays[0] for name, arrays in weights.items()}
        for stage, deeper in zip(self.stages, self.stages[1:], strict=False):
            features = stage.down.out_shape[0], deeper.last.out_shape[0]
            bound = self.spec.gain * features[1] ** -0.5
            fuse = torch.empty(*features, 1, 1).uniform_(-bound, bound, generator=generator)
            if trev.fusion:
                found[f"fuse.{stage.on}"] = fuse
        for stage in self.stages:
            found[f"alpha.{stage.on}"] = torch.full((stage.last.out_shape[0],), trev.alpha)
        if trev.grouped:
            channels = self.blocks[0].in_shape[0]
            bound = self.spec.gain * (9 * channels) ** -0.5
            shape = steps * channels, channels, 3, 3
            found["stem"] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        return found

    def run(
        self, weights: Weights, frames: Tensor, _steps: Sequence[int] | None = None, measure: bool = False
    ) -> Activity:
        """As `SpikingNetwork.run` at equal time steps; the Activity has spikes of the last stage's neurons only.

        There is nothing to ``measure``. An input that is not 0 counts as one synaptic update for each weight it meets.
        """
        del measure
        weights = {name: clamped(w) if name.startswith("alpha.") else w for name, w in weights.items()}
        if self.spec.trev.grouped:
            frames = self._groups(frames, weights["stem"])
        if self.spec.trev.own and len(frames) != self.spec.time_steps:
            raise RecipeError(
                "train.time_steps", f"{len(frames)} steps", f"{self.spec.time_steps}, one per sub-network"
            )
        names = [name for name in weights if name != "stem"]
        values = [weights[name] for name in names]
        if self.spec.trev.reversible:
            if torch.is_grad_enabled():
                require_exact(weights, len(frames))
            answers, synops, spikes = _Reversible.apply(self, frames, names, *values)  # type: ignore[no-untyped-call]
        else:
            answers, synops, spikes, _ = _integrated(self, frames, dict(zip(names, values, strict=True)))
        return Activity({self.stages[-1].last.name: spikes[None]}, answers, synops, {})

    def fused(self, number: int) -> bool:
        """Whether stage ``number`` takes spikes of the next one."""
        return self.spec.trev.fusion and number + 1 < len(self.stages)

    def sent(self, potential: Tensor, like: Tensor) -> Tensor:
        """The spikes q(c) of ``potential``, in the type of ``like``."""
        return self.fired(potential).to(like.dtype)

    def fired(self, potential: Tensor) -> Tensor:
        """q(c)."""
        return _Heaviside.apply(potential, self.constraints.threshold)  # type: ignore[no-untyped-call, no-any-return]

    def current(
        self, number: int, t: int, below: Tensor, above: Tensor | None, weights: Weights, synops: Tensor | None = None
    ) -> Tensor:
        """F_l(D_l ``below`` + U_l ``above``) of stage ``number`` in step ``t``; both are spikes (B, C, H, W).

        Synaptic updates are added to ``synops`` (B,).
        """
        stage = self.stages[number]
        current = self._through((*stage.before, stage.down), below[None], weights, t, synops)
        if above is not None:
            fuse = weights[f"fuse.{stage.on}"]
            current = current + F.interpolate(F.conv2d(above, fuse), size=current.shape[-2:], mode="nearest")[None]
            if synops is not None:
                synops += (above != 0).flatten(1).sum(1) * len(fuse)
        return self._through(stage.rest, current, weights, t, synops)[0]

    def answer(self, potential: Tensor, t: int, weights: Weights, synops: Tensor | None = None) -> Tensor:
        """The output (B, K) of the classifier for the last stage's ``potential`` in step ``t``."""
        spikes = self.sent(potential, weights[self.stages[0].down.name])
        return self._through(self.head, spikes[None], weights, t, synops)[0].flatten(1)

    def _through(
        self, blocks: Sequence[Block], maps: Tensor, weights: Weights, t: int, synops: Tensor | None
    ) -> Tensor:
        """``maps`` (1, B, C, H, W) after ``blocks``; spike layers in them are turned off."""
        for block in blocks:
            if block.weight_shape:
                given = maps.reshape(1, maps.shape[1], *block.in_shape)
                if synops is not None:
                    synops += ((given[0] != 0) * self.fan_out[block.name]).flatten(1).sum(1)
                maps = block.current(given, weights[block.name][t] if self.spec.trev.own else weights[block.name])
            elif isinstance(block.layer, SpikeLayer):
                maps = self.fired(maps)
            elif isinstance(block.layer, PoolLayer):
                maps = block.pooled(maps) / (block.layer.kernel**2 if block.layer.type == "avgpool" else 1)
            else:
                maps = maps.reshape(1, maps.shape[1], *block.out_shape)
        return maps

    def _groups(self, frames: Tensor, stem: Tensor) -> Tensor:
        """(T, B, C, H, W): the encoded sample, its features in T groups."""
        steps, size = frames.shape[:2]
        encoded = F.conv2d(frames.mean(0), stem, padding=1)
        return encoded.reshape(size, steps, *frames.shape[2:]).transpose(0, 1)


def _stages(blocks: tuple[Block, ...], on: tuple[str, ...]) -> tuple[tuple[Stage, ...], tuple[Block, ...]]:
    """(stages, what follows the last of them): the blocks, cut after every turn-on spike layer in ``on``."""
    stages: list[Stage] = []
    waiting: list[Block] = []
    for block in blocks:
        if block.name not in on:
            waiting.append(block)
            continue
        first = next(i for i, each in enumerate(waiting) if each.weight_shape)
        stages.append(Stage(block.name, tuple(waiting[:first]), waiting[first], tuple(waiting[first + 1 :])))
        waiting = []
    return tuple(stages), tuple(waiting)


def clamped(alpha: Tensor) -> Tensor:
    """``alpha``, with an absolute value of at least `SMALLEST_ALPHA` and the same sign; 0 counts as positive."""
    sign = torch.where(alpha < 0, -1.0, 1.0).to(alpha.dtype)
    return sign * alpha.abs().clamp(min=SMALLEST_ALPHA)


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


class _Heaviside(torch.autograd.Function):
    """1 where x >= theta, else 0; its gradient passes where |x - theta| <= theta."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.theta = theta
        return (x >= theta).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ((x - ctx.theta).abs() <= ctx.theta) / (2 * ctx.theta), None


def _rest(net: TrevNetwork, frames: Tensor) -> list[Tensor]:
    """Potentials (B, C, H, W) of every stage before the first step: 0."""
    return [torch.zeros(frames.shape[1], *stage.last.out_shape, dtype=torch.float64) for stage in net.stages]


def _integrated(net: TrevNetwork, frames: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """(answers (T, B, K), synaptic updates (B,), spikes (B, C, H, W) of the last stage over all steps, last potentials
    of every stage)."""
    potentials, answers = _rest(net, frames), []
    synops = torch.zeros(frames.shape[1], dtype=torch.float64)
    spikes = torch.zeros_like(potentials[-1], dtype=frames.dtype)
    for t, frame in enumerate(frames):
        after: list[Tensor] = []
        for number, stage in enumerate(net.stages):
            below = net.sent(after[-1], frame) if after else frame
            above = net.sent(potentials[number + 1], frame) if net.fused(number) else None
            current = net.current(number, t, below, above, weights, synops)
            after.append(current + weights[f"alpha.{stage.on}"].double().view(-1, 1, 1) * potentials[number])
        potentials = after
        spikes += net.sent(potentials[-1].detach(), spikes)
        answers.append(net.answer(potentials[-1], t, weights, synops))
    return torch.stack(answers), synops, spikes, potentials


class _Reversible(torch.autograd.Function):
    """The first three values of `_integrated`. Only the last potentials are kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, net: TrevNetwork, frames: Tensor, names: list[str], *values: Tensor) -> Any:
        answers, synops, spikes, potentials = _integrated(net, frames, dict(zip(names, values, strict=True)))
        ctx.net, ctx.names = net, names
        ctx.save_for_backward(frames, *values, *potentials)
        ctx.mark_non_differentiable(synops, spikes)
        return answers, synops, spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        frames, *saved = ctx.saved_tensors
        weights = dict(zip(ctx.names, saved, strict=False))
        past = _Past(ctx.net, frames, weights, saved[len(weights) :], ctx.needs_input_grad[1])
        for t in reversed(range(len(frames))):
            past.undo(t, gradients[0][t])
        return None, past.to_frames, None, *past.to_weights.values()


class _Past:
    """The backward pass through the steps: ``potentials`` of every stage after a step, gradients ``to_potentials`` from
    later steps, and the gradients that are summed over steps."""

    def __init__(
        self, net: TrevNetwork, frames: Tensor, weights: Weights, potentials: list[Tensor], encoded: bool
    ) -> None:
        self.net, self.frames, self.potentials = net, frames, potentials
        self.weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        self.to_potentials = [torch.zeros_like(potential) for potential in potentials]
        self.to_weights = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.to_frames = torch.zeros_like(frames) if encoded else None

    def undo(self, t: int, to_answer: Tensor) -> None:
        """Undoes step ``t``, whose answer gets the gradient ``to_answer``."""
        stages = range(len(self.net.stages))
        with torch.enable_grad():
            top = self.potentials[-1].detach().requires_grad_()
            answer = self.net.answer(top, t, self.weights)
        (to_top,) = self._learn(answer, [top], to_answer)
        self.to_potentials[-1] = self.to_potentials[-1] + to_top
        to_before = [torch.zeros_like(potential) for potential in self.potentials]
        before = list(self.potentials)
        for number in reversed(stages):
            before[number] = self._undo_stage(number, t, before, to_before)
        self.potentials, self.to_potentials = before, to_before

    def _undo_stage(self, number: int, t: int, before: list[Tensor], to_before: list[Tensor]) -> Tensor:
        """The potential of stage ``number`` before step ``t``, from the potentials of deeper stages ``before`` it."""
        net, name = self.net, f"alpha.{self.net.stages[number].on}"
        with torch.enable_grad():
            source = (self.potentials[number - 1] if number else self.frames[t]).detach().requires_grad_()
            deeper = before[number + 1].detach().requires_grad_() if net.fused(number) else None
            above = None if deeper is None else net.sent(deeper, self.frames)
            below = net.sent(source, self.frames) if number else source
            current = net.current(number, t, below, above, self.weights)
        to_now = self.to_potentials[number]
        to_source, *to_deeper = self._learn(
            current, [source, *([] if deeper is None else [deeper])], to_now.to(current.dtype)
        )
        if number:
            self.to_potentials[number - 1] = self.to_potentials[number - 1] + to_source
        elif self.to_frames is not None:
            self.to_frames[t] = to_source
        for gradient in to_deeper:
            to_before[number + 1] = to_before[number + 1] + gradient
        alpha = self.weights[name].detach().double().view(-1, 1, 1)
        undone: Tensor = (self.potentials[number] - current.detach()) / alpha
        self.to_weights[name] += (to_now * undone).sum((0, 2, 3))
        to_before[number] = to_before[number] + alpha * to_now
        return undone

    def _learn(self, result: Tensor, sources: list[Tensor], gradient: Tensor) -> list[Tensor]:
        """The gradients of ``sources`` for the gradient of ``result``; gradients of weights are summed."""
        names = [name for name in self.weights if not name.startswith("alpha.")]
        wanted = [*sources, *(self.weights[name] for name in names)]
        found = torch.autograd.grad(result, wanted, gradient, allow_unused=True)
        for name, to_weight in zip(names, found[len(sources) :], strict=True):
            if to_weight is not None:
                self.to_weights[name] += to_weight
        return list(found[: len(sources)])
