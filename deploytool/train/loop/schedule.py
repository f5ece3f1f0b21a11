"""The learning rate over the epochs."""

from __future__ import annotations

import math

from deploytool.recipe import TrainSection


def learning_rate(spec: TrainSection, epoch: int) -> float:
    """The learning rate of ``epoch`` = 1..epochs.

    During w warm-up epochs it rises as lr epoch / (w + 1) (Goyal et al., 2017, arXiv 1706.02677). After that it is
    constant; or lr (1 + cos(pi (epoch - 1 - w) / (epochs - w))) / 2 (Loshchilov and Hutter, 2017, arXiv 1608.03983); or
    multiplied by ``milestone_factor`` after every one of ``milestones``.
    """
    warmup = spec.warmup_epochs
    if epoch <= warmup:
        return spec.learning_rate * epoch / (warmup + 1)
    match spec.schedule:
        case "constant":
            return spec.learning_rate
        case "steps":
            return spec.learning_rate * spec.milestone_factor ** sum(epoch > milestone for milestone in spec.milestones)
        case "cosine":
            return spec.learning_rate * (1 + math.cos(math.pi * (epoch - 1 - warmup) / (spec.epochs - warmup))) / 2
