"""Distances between spike trains that depend on the times of the spikes, in ms."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.float64]
"""(N,): the times of spikes in ms, in order."""


def victor_purpura(one: Times, other: Times, q_per_ms: float) -> float:
    """The least cost of turning one spike train into the other: a spike removed or added costs 1, moved q per ms.

        G[i, j] = min(G[i - 1, j] + 1,  G[i, j - 1] + 1,  G[i - 1, j - 1] + q |t_i - u_j|),  G[i, 0] = i, G[0, j] = j

    It is at most the number of spikes of both, and with q = 0 the difference of their numbers. Times are in ms, in
    order. Source: J. D. Victor and K. P. Purpura, J. Neurophysiol. 76 (1996) 1310-1326.
    """
    columns = np.arange(len(other) + 1, dtype=np.float64)
    costs = columns.copy()
    for i, t in enumerate(one, start=1):
        best = np.empty_like(costs)
        best[0] = i
        best[1:] = np.minimum(costs[1:] + 1, costs[:-1] + q_per_ms * np.abs(t - other))
        # G[i, j] = min over k <= j of best[k] + (j - k): the spikes k + 1 .. j of the other train are added.
        costs = np.minimum.accumulate(best - columns) + columns
    return float(costs[-1])


def van_rossum(one: Times, other: Times, tau_ms: float) -> float:
    """The squared distance of two spike trains, each filtered by exp(-t / tau) after every spike:

        D^2 = 1 / tau  integral (f(t) - g(t))^2 dt,   f(t) = sum over t_i <= t of exp(-(t - t_i) / tau)
            = 1/2 sum_ij exp(-|t_i - t_j| / tau) + 1/2 sum_ij exp(-|u_i - u_j| / tau) - sum_ij exp(-|t_i - u_j| / tau)

    A single spike against none counts 1/2, and two spikes far apart count 1. Times are in ms.
    Source: M. C. W. van Rossum, Neural Comput. 13 (2001) 751-763.
    """
    same = _overlap(one, one, tau_ms) + _overlap(other, other, tau_ms)
    return max(0.0, same / 2 - _overlap(one, other, tau_ms))


def _overlap(one: Times, other: Times, tau_ms: float) -> float:
    return float(np.exp(-np.abs(one[:, None] - other[None, :]) / tau_ms).sum())
