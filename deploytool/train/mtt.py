"""MTT, mixed time-step training, and NMT, its case of one stage (Du, Wu, Deng and Gu, ICLR 2025, arXiv 2503.17394).

The network is divided into stages. For every mini-batch ``draws`` configurations are drawn, in each of which every
stage gets its own number of time steps, i.i.d. uniform in [t_min, t_max]. The losses of all configurations on the
same mini-batch are back-propagated and their gradients added, then the weights take one step. Between stages the
temporal transformation module (`resample`) turns t_in steps into t_out. NMT draws one number for the whole network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deploytool.recipe import TrainSection


def draw_nmt(spec: TrainSection, layers: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """``draws`` configurations with one number of time steps for all ``layers``."""
    return [(t,) * layers for (t,) in _uniform(spec, 1, generator)]


def draw_mtt(spec: TrainSection, layers: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """``draws`` configurations of time steps per layer, where ``stage_layers`` consecutive ones share a number."""
    stages = -(-layers // spec.stage_layers)
    return [tuple(drawn[i // spec.stage_layers] for i in range(layers)) for drawn in _uniform(spec, stages, generator)]


def _uniform(spec: TrainSection, stages: int, generator: torch.Generator) -> list[list[int]]:
    drawn = torch.randint(spec.t_min, spec.longest + 1, (spec.draws, stages), generator=generator)
    return [[int(t) for t in row] for row in drawn]


def boundaries(t_in: int, t_out: int) -> list[int]:
    """b_0 = 0 and b_k = ceil(k M / m - 1/2), k = 1..m: the nearest integers to k M / m, ties down.

    m and M are the smaller and the larger of ``t_in`` and ``t_out``. Step k of the m goes with the steps
    b_(k-1) + 1 .. b_k of the M.
    """
    few, many = sorted((t_in, t_out))
    return [0] + [-((few - 2 * k * many) // (2 * few)) for k in range(1, few + 1)]


def resample(spikes: Tensor, t_out: int) -> Tensor:
    """``spikes`` (t_in, ...) in ``t_out`` steps: the temporal transformation module, which has no parameters.

    Down, y_k is the sum of the steps that go with k, so that no spike is lost; up, each of them is x_k itself, so
    that counts grow by about t_out / t_in, as in the released code.
    """
    t_in = len(spikes)
    if t_in == t_out:
        return spikes
    ends = torch.tensor(boundaries(t_in, t_out))
    owner = torch.repeat_interleave(torch.arange(len(ends) - 1), ends.diff())
    if t_in < t_out:
        return spikes.index_select(0, owner)
    return spikes.new_zeros(t_out, *spikes.shape[1:]).index_add(0, owner, spikes)
