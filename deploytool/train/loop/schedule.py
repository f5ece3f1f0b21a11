"""The learning rate over the steps of the optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deploytool.base.errors import RecipeError
from deploytool.recipe import TrainSection


@dataclass(frozen=True)
class Schedule:
    """The learning rates of a training by ``spec`` with ``batches`` steps of the optimizer per epoch.

    Raises RecipeError for a warm-up that is as long as the training.
    """

    spec: TrainSection
    batches: int

    def __post_init__(self) -> None:
        if self.spec.warmup_steps is not None and self.warmup >= self.steps:
            found = f"found {self.warmup} of {self.steps} steps"
            raise RecipeError("train.warmup_steps", found, "fewer than the steps of the training")

    @property
    def steps(self) -> int:
        """N, the number of steps of all epochs."""
        return self.spec.epochs * self.batches

    @property
    def warmup(self) -> int:
        """w, the number of steps over which the learning rate rises."""
        if self.spec.warmup_steps is not None:
            return self.spec.warmup_steps
        return min(round(self.spec.warmup_epochs * self.batches), self.steps - 1)

    def rate(self, step: int) -> float:
        """The learning rate of ``step`` = 1..N.

        During w warm-up steps it rises as lr step / (w + 1) (Goyal et al., 2017, arXiv 1706.02677). After that it is
        constant; or lr (1 + cos(pi (step - 1 - w) / (N - w))) / 2 (Loshchilov and Hutter, 2017, arXiv 1608.03983); or
        multiplied by ``milestone_factor`` after every one of the epochs ``milestones``.
        """
        spec, warmup = self.spec, self.warmup
        if step <= warmup:
            return spec.learning_rate * step / (warmup + 1)
        match spec.schedule:
            case "constant":
                return spec.learning_rate
            case "steps":
                passed = sum(step > milestone * self.batches for milestone in spec.milestones)
                return spec.learning_rate * spec.milestone_factor**passed
            case "cosine":
                share = (step - 1 - warmup) / (self.steps - warmup)
                return spec.learning_rate * (1 + math.cos(math.pi * share)) / 2
