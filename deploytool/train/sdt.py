"""SDT, standard direct training: every layer runs the same fixed number of time steps T, at which it is evaluated."""

from __future__ import annotations

import torch

from deploytool.recipe import TrainSection


def draw(spec: TrainSection, layers: int, _generator: torch.Generator) -> list[tuple[int, ...]]:
    """One configuration: ``time_steps`` for each of the ``layers``."""
    return [(spec.time_steps,) * layers]
