"""SDT, standard direct training: every layer runs the same fixed number of time steps T, at which it is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from deploytool.recipe import TrainSection


def draw(spec: TrainSection, stages: Sequence[int], _generator: torch.Generator) -> list[tuple[int, ...]]:
    """One configuration: ``time_steps`` for each layer, of whatever ``stages``."""
    return [(spec.time_steps,) * len(stages)]
