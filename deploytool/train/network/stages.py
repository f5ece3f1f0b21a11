"""Stages: consecutive layers that run the same number of time steps, and the conversion of spikes between them.

The temporal transformation module (`resample`) is that of MTT (Du, Wu, Deng and Gu, ICLR 2025, arXiv 2503.17394).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from deploytool.base.errors import RecipeError
from deploytool.recipe import ConvLayer, LinearLayer, NetworkSection, TrainSection
from deploytool.recipe.train import Transformation


def stages_of(network: NetworkSection, spec: TrainSection) -> tuple[int, ...]:
    """The stage, from 0, of each layer with weights of ``network``.

    Either ``stage_layers`` consecutive layers form a stage, or a stage begins at each marked layer and everything
    before the second mark is the first stage. Raises RecipeError when there are no marks.
    """
    names = [name for name, layer in network.named_layers() if isinstance(layer, ConvLayer | LinearLayer)]
    if spec.stages == "layers":
        return tuple(i // spec.stage_layers for i in range(len(names)))
    marks = network.stage_marks()
    if not marks:
        raise RecipeError(
            "train.stages",
            "found 'marks' without a layer with stage = true",
            "a layer that begins a stage",
            "Mark layers in [network], or set train.stages to 'layers'.",
        )
    begun = itertools.accumulate(name in marks for name in names)
    return tuple(max(0, count - 1) for count in begun)


def boundaries(t_in: int, t_out: int) -> list[int]:
    """b_0 = 0 and b_k = ceil(k M / m - 1/2), k = 1..m: the nearest integers to k M / m, ties down.

    m and M are the smaller and the larger of ``t_in`` and ``t_out``. Step k of the m goes with the steps
    b_(k-1) + 1 .. b_k of the M.
    """
    few, many = sorted((t_in, t_out))
    return [0] + [-((few - 2 * k * many) // (2 * few)) for k in range(1, few + 1)]


def overlaps(t_in: int, t_out: int) -> Tensor:
    """(t_in, t_out): the share of each of ``t_in`` equal steps that each of ``t_out`` equal steps of the same time has.

    m_ij = max(0, min(i + 1, (j + 1) r) - max(i, j r)), from 0, with r = t_in / t_out. Rows add up to 1.
    """
    i, j = torch.arange(t_in).view(-1, 1), torch.arange(t_out)
    shared = torch.minimum((i + 1) * t_out, (j + 1) * t_in) - torch.maximum(i * t_out, j * t_in)
    return shared.clamp(min=0) / t_out


def resample(spikes: Tensor, t_out: int, how: Transformation = "replicate") -> Tensor:
    """``spikes`` (t_in, ...) in ``t_out`` steps: the temporal transformation module, which has no parameters.

    Down, y_k is the sum of the steps that go with k, so that no spike is lost; with "trim" the first ``t_out`` steps
    are kept and the others are lost. Up, each of the n_k steps that go with k is x_k itself ("replicate", the one that
    the released code uses, and "trim"), so that counts grow by about t_out / t_in; or x_k / n_k ("spread"), so that
    counts stay the same. With "soft", y_j = sum_i m_ij x_i with the shares m of `overlaps`: counts stay the same.
    """
    t_in = len(spikes)
    if t_in == t_out:
        return spikes
    if how == "soft":
        shared: Tensor = torch.tensordot(overlaps(t_in, t_out).to(spikes).T, spikes, 1)
        return shared
    if how == "trim" and t_out < t_in:
        return spikes[:t_out]
    ends = torch.tensor(boundaries(t_in, t_out), device=spikes.device)
    owner = torch.repeat_interleave(torch.arange(len(ends) - 1, device=spikes.device), ends.diff())
    if t_in < t_out and how != "spread":
        return spikes.index_select(0, owner)
    if t_in < t_out:
        return (spikes / ends.diff().view(-1, *[1] * (spikes.ndim - 1))).index_select(0, owner)
    return spikes.new_zeros(t_out, *spikes.shape[1:]).index_add(0, owner, spikes)
