"""MTT, mixed time-step training, and NMT, its case of one stage (Du, Wu, Deng and Gu, ICLR 2025, arXiv 2503.17394).

The network is divided into stages. For every mini-batch, ``draws`` configurations are drawn. In each of them every
stage gets its own number of time steps, i.i.d. uniform in [t_min, t_max]. The losses of all configurations on the
same mini-batch are back-propagated and their gradients added, then the weights take one step. Between stages the
temporal transformation module (network/stages.py) turns t_in steps into t_out. NMT draws one number for all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from deploytool.recipe import TrainSection
from deploytool.train.loop.descent import Descent
from deploytool.train.methods.method import descending


def draw_nmt(spec: TrainSection, stages: Sequence[int], generator: torch.Generator) -> list[tuple[int, ...]]:
    """``draws`` configurations with one number of time steps for all layers, whatever their ``stages``."""
    return [(t,) * len(stages) for (t,) in _uniform(spec, 1, generator)]


def draw_mtt(spec: TrainSection, stages: Sequence[int], generator: torch.Generator) -> list[tuple[int, ...]]:
    """``draws`` configurations of time steps per layer, one number for each of the ``stages`` of the layers."""
    drawn = _uniform(spec, max(stages) + 1, generator)
    if spec.first_stage == "fixed":
        drawn = [[spec.longest, *rest] for _, *rest in drawn]
    return [tuple(steps[stage] for stage in stages) for steps in drawn]


def _uniform(spec: TrainSection, stages: int, generator: torch.Generator) -> list[list[int]]:
    drawn = torch.randint(spec.t_min, spec.longest + 1, (spec.draws, stages), generator=generator)
    return [[int(t) for t in row] for row in drawn]


NMT: Final = descending(Descent(draw=draw_nmt, remeasures_norms=True))
MTT: Final = descending(Descent(draw=draw_mtt, remeasures_norms=True))
