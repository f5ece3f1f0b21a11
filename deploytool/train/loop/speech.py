"""The loss of separated voices: SI-SDR, with permutation-invariant training."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import torch
from torch import Tensor

_LEAST: Final = 1e-8


def si_sdr(estimates: Tensor, sources: Tensor) -> Tensor:
    """(...): the scale-invariant signal-to-distortion ratio of ``estimates`` (..., N) of ``sources`` (..., N), in dB.

    10 log10(|a s|^2 / |a s - e|^2) with a = <e, s> / <s, s>, for signals s and e without their means: Le Roux, Wisdom,
    Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019, arXiv 1811.02508.
    """
    estimates, sources = (waves - waves.mean(-1, keepdim=True) for waves in (estimates, sources))
    scale = (estimates * sources).sum(-1, keepdim=True) / (sources.square().sum(-1, keepdim=True) + _LEAST)
    wanted = scale * sources
    rest = (wanted - estimates).square().sum(-1)
    return 10 * torch.log10((wanted.square().sum(-1) + _LEAST) / (rest + _LEAST))


def separation_loss(estimates: Tensor, sources: Tensor) -> Tensor:
    """Minus the mean SI-SDR of ``estimates`` (B, K, N) of ``sources`` (B, K, N), each mixture in its best order.

    Permutation-invariant training over whole utterances: Kolbaek, Yu, Tan and Jensen, IEEE/ACM TASLP 25(10), 2017,
    arXiv 1703.06284.
    """
    each = si_sdr(estimates[:, :, None], sources[:, None])
    count = sources.shape[1]
    orders = [each[:, range(count), order].mean(1) for order in permutations(range(count))]
    return -torch.stack(orders).amax(0).mean()
