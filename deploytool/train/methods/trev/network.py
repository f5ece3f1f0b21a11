"""T-RevSNN, temporal reversibility (Hu, Yao, Qiu, Chou, Cai, Qiao, Tian, Xu and Li, ICML 2024, arXiv 2405.16466).

Most neurons are turned off: they keep no state between time steps, and S = 1 if V >= theta for the V of that step
alone. At the end of every stage l = 1..L neurons are turned on: their potential c_l sends q(c) = 1 if
c >= theta, is leaky and never reset, so that a time step can be undone (`undoing`):

    c_l[t] = F_l( D_l q(c_(l-1)[t]) + sum_m U_lm q(c_m[t-1]) ) + alpha_l c_l[t-1]         c_0[t]: the input of step t

D_l is the first layer with weights of stage l, with its batch norm, F_l what follows it, shortcuts of potentials
included, and U_lm a 1x1 convolution of the spikes of a deeper stage m > l in the step before, upsampled to the nearest
places (multi-level fusion): of the next stage only, or of all deeper ones. Where there are batch norms, U_lm has one
too. alpha is learnt, one for every feature, and never closer to 0 than 0.001. Spikes pass gradients where
|c - theta| <= theta (a box). What follows the last stage is the classifier: its output at each step is the answer of
that step.

The stem encodes the input. Grouped input: the sample as a whole is encoded once, to T times the features of the stem
(without a stem: of the input, by a convolution of kernel 3), and group t of these is the input of step t. ``own``
weights for every step make T sub-networks, each of which runs once; layers that are ``shared`` have the same weights in
all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.base.errors import RecipeError
from deploytool.recipe import BatchNormLayer, ConstraintsSection, ConvLayer, LinearLayer, NetworkSection, TrainSection
from deploytool.recipe.network import INPUT
from deploytool.train.methods.trev.arrays import can_standardise, clamped, norm_arrays, scaled_adds
from deploytool.train.methods.trev.restrictions import no_t_revsnn
from deploytool.train.methods.trev.stages import Stage, parts_of
from deploytool.train.methods.trev.step import Statistics, Step, fired, passed
from deploytool.train.methods.trev.undoing import Course, integrated, require_exact, undone
from deploytool.train.network.blocks import Block
from deploytool.train.network.spiking import Activity, SpikingNetwork, Weights, learnt


class TrevNetwork(SpikingNetwork):
    """The T-RevSNN that ``spec.trev`` makes of ``network``. Raises RecipeError when that is not possible."""

    def __init__(self, network: NetworkSection, constraints: ConstraintsSection, spec: TrainSection) -> None:
        super().__init__(network, constraints, spec)
        if problems := list(no_t_revsnn(network, constraints, spec)):
            raise RecipeError.together(problems)
        parts = parts_of(self.blocks, spec.trev.on, spec.trev.stem)
        self.stem = _grouped(parts.stem, self.blocks[0], spec.time_steps) if spec.trev.grouped else parts.stem
        self.stages, self.head = parts.stages, parts.head
        self.fan_out |= {block.name: block.fan_out() for block in self.stem if block.weight_shape}
        self._norms = any(isinstance(block.layer, BatchNormLayer) for block in self.blocks)
        self._scaled = {} if spec.trev.residual == "plain" else scaled_adds(self.blocks, spec.trev.own)
        self._common = {block.name for block in self.stem} | _shared(self.blocks)

    @property
    def normalised(self) -> bool:
        """Whether it has batch norms, in layers or in the fusion of stages."""
        return self._norms

    def read(self, outputs: Tensor) -> Tensor:
        """The answer (B, K): the mean of the ``outputs`` (T, B, K) of all steps, or that of the last."""
        return outputs[-1] if self.spec.trev.answer == "last" else outputs.mean(0)

    def initial_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Those of the layers, {"conv1": ..., "conv1.bias", "conv1.gain": (O,)}, "add1.scale" (C,), U_lm as
        "fuse.NAME.NAME" (C_l, C_m, 1, 1), and alpha_l as "alpha.NAME" (C_l,).

        Arrays of steps with own weights have a first axis T; those of U_lm T - 1, because nothing was fired before the
        first step.
        """
        own, steps = self.spec.trev.own, self.spec.time_steps
        found: dict[str, Tensor] = {}
        for block in (*self.stem, *self.blocks[len(self.stem) if self.spec.trev.stem else 0 :]):
            copies = steps if own and block.name not in self._common else 1
            drawn = [self._arrays_of(block, generator) for _ in range(copies)]
            found |= _stacked(drawn) if own and block.name not in self._common else drawn[0]
        for number, stage in enumerate(self.stages):
            for deeper in self.deeper(number) if steps > 1 else ():
                drawn = [self._fusion_of(stage, deeper, generator) for _ in range(steps - 1 if own else 1)]
                found |= _stacked(drawn) if own else drawn[0]
            alpha = torch.full((stage.last.out_shape[0],), self.spec.trev.alpha)
            found[f"alpha.{stage.on}"] = alpha.repeat(steps, 1) if own else alpha
        return found

    def _arrays_of(self, block: Block, generator: torch.Generator) -> dict[str, Tensor]:
        """The arrays of one step of ``block``."""
        trev, features = self.spec.trev, block.out_shape[0]
        if isinstance(block.layer, BatchNormLayer):
            return norm_arrays(block.name, features)
        if block.name in self._scaled:
            return {f"{block.name}.scale": torch.full((features,), float(trev.residual == "scaled"))}
        if not block.weight_shape:
            return {}
        found = {block.name: self._drawn(block.weight_shape, generator)}
        if trev.bias and not block.normalised:
            found[f"{block.name}.bias"] = torch.zeros(features)
        if trev.standardise and can_standardise(block):
            found[f"{block.name}.gain"] = torch.full((features,), self.spec.gain * 3**-0.5)
        return found

    def _fusion_of(self, stage: Stage, deeper: Stage, generator: torch.Generator) -> dict[str, Tensor]:
        """The arrays of one step of U, from ``deeper`` to ``stage``."""
        name, features = _fusion(stage, deeper), stage.entry_shape[0]
        found = {name: self._drawn((features, deeper.last.out_shape[0], 1, 1), generator)}
        return found | norm_arrays(name, features) if self._norms else found

    def _drawn(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        bound = self.spec.gain / math.sqrt(math.prod(shape[1:]))
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    def of_step(self, weights: Weights, t: int) -> dict[str, Tensor]:
        """The arrays of step ``t``, which are views of ``weights``."""
        if not self.spec.trev.own:
            return dict(weights)
        found = {}
        for name, array in weights.items():
            if name.partition(".")[0] in self._common:
                found[name] = array
            elif (first := int(name.startswith("fuse."))) <= t:
                found[name] = array[t - first]
        return found

    def run(
        self, weights: Weights, frames: Tensor, _steps: Sequence[int] | None = None, measure: bool = False
    ) -> Activity:
        """As `SpikingNetwork.run` at equal time steps; the Activity has spikes of the last stage's neurons only.

        An input that is not 0 counts as one synaptic update for each weight it meets.
        """
        used = {name: w for name, w in weights.items() if learnt(name) or not measure}
        weights = {name: clamped(w) if name.startswith("alpha.") else w for name, w in used.items()}
        if (self.spec.trev.own or self.spec.trev.grouped) and len(frames) != self.spec.time_steps:
            need = f"{self.spec.time_steps}, one for each sub-network or group of features"
            raise RecipeError("train.time_steps", f"found {len(frames)}", need)
        course = Course(self, len(frames), measure, torch.zeros(frames.shape[1], dtype=torch.float64))
        given = self._encoded(frames, weights, course)
        if self.spec.trev.reversible:
            if torch.is_grad_enabled():
                require_exact(weights, len(frames))
            answers, spikes = undone(course, given, weights)
        else:
            answers, spikes, _ = integrated(course, given, weights)
        driver = self._driver.get(self.stages[-1].on, self.stages[-1].last.name)
        return Activity({driver: spikes[None]}, answers, course.synops, self._statistics(course.statistics))

    def _encoded(self, frames: Tensor, weights: Weights, course: Course) -> Tensor:
        """(T, B, C, H, W), or (1, B, C, H, W) of what all steps take: the input of every step.

        A still picture, and a sample whose features are grouped, are encoded once; others in every step (`below`).
        """
        grouped, steps = self.spec.trev.grouped, len(frames)
        if not grouped and (frames.stride(0) != 0 or not self.stem):
            return frames
        course.encoded = True
        step = replace(course.step(0, weights), weights=weights)
        encoded = passed(self.stem, {INPUT: frames.mean(0) if grouped else frames[0]}, step, self.threshold)
        return encoded.view(len(encoded), steps, -1, *encoded.shape[2:]).movedim(1, 0) if grouped else encoded[None]

    @property
    def threshold(self) -> float:
        """Theta."""
        return self.constraints.threshold

    def below(self, frame: Tensor, step: Step, encoded: bool) -> Tensor:
        """What the first stage takes in a step whose input is ``frame``, unless it is ``encoded`` already."""
        return frame if encoded else passed(self.stem, {INPUT: frame}, step, self.threshold)

    def deeper(self, number: int) -> Sequence[Stage]:
        """The stages whose spikes stage ``number`` takes."""
        if not self.spec.trev.fusion:
            return ()
        return self.stages[number + 1 :] if self.spec.trev.fused == "deeper" else self.stages[number + 1 : number + 2]

    def sent(self, potential: Tensor, like: Tensor) -> Tensor:
        """The spikes q(c) of ``potential``, in the type of ``like``."""
        return fired(potential, self.threshold).to(like.dtype)

    def current(self, number: int, step: Step, below: Tensor, above: Sequence[Tensor]) -> Tensor:
        """F_l(D_l ``below`` + sum U_lm ``above``) of stage ``number``: what is below and the spikes (B, C, H, W) of the
        stages above it, in their order, or of none in the first step."""
        stage = self.stages[number]
        flows = {stage.source: below}
        entered = passed(stage.entry, flows, step, self.threshold)
        for deeper, spikes in zip(self.deeper(number), above, strict=False):
            name = _fusion(stage, deeper)
            sent = step.normalised(name, step.biased(name, F.conv2d(spikes, step.weights[name])))
            entered = entered + F.interpolate(sent, size=entered.shape[-2:], mode="nearest")
            if step.synops is not None:
                step.synops.add_((spikes != 0).flatten(1).sum(1) * sent.shape[1])
        flows[stage.entered] = entered
        return passed(stage.rest, flows, step, self.threshold) if stage.rest else entered

    def answer(self, potential: Tensor, step: Step, like: Tensor) -> Tensor:
        """The output (B, K) of the classifier for the last stage's ``potential``, in the type of ``like``."""
        flows = {self.stages[-1].on: self.sent(potential, like)}
        return passed(self.head, flows, step, self.threshold).flatten(1)

    def _statistics(self, measured: Sequence[Statistics]) -> Statistics:
        """The statistics of all steps: one for each, or their mean where the steps share their weights."""
        names = dict.fromkeys(name for one in measured for name in one)
        found = {name: torch.stack([one[name] for one in measured if name in one]) for name in names}
        own = self.spec.trev.own
        return {
            name: each if own and name.partition(".")[0] not in self._common else each.mean(0)
            for name, each in found.items()
        }


def _stacked(drawn: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The arrays of each of several steps, on a first axis."""
    return {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}


def _shared(blocks: Sequence[Block]) -> set[str]:
    """The layers with weights that all steps share, and the batch norms after them."""
    found = {b.name for b in blocks if isinstance(b.layer, ConvLayer | LinearLayer) and b.layer.shared}
    return found | {b.name for b in blocks if isinstance(b.layer, BatchNormLayer) and b.sources[0] in found}


def _fusion(stage: Stage, deeper: Stage) -> str:
    return f"fuse.{stage.on}.{deeper.on}"


def _grouped(stem: tuple[Block, ...], first: Block, steps: int) -> tuple[Block, ...]:
    """``stem`` with ``steps`` times the features in its last layer; without one, a convolution of the input."""
    if not stem:
        features, *side = first.in_shape
        layer = ConvLayer(type="conv", out=steps * features, kernel=(3, 3), padding=(1, 1))
        shape = (steps * features, side[0], side[1])
        return (Block("stem", layer, (INPUT,), first.in_shape, shape, (steps * features, features, 3, 3)),)
    *before, last = stem
    (out, *inputs), (features, high, wide) = last.weight_shape, last.out_shape
    more = replace(last, weight_shape=(steps * out, *inputs), out_shape=(steps * features, high, wide))
    return (*before, more)
