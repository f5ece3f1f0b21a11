"""Early exit: a sample is answered at the first time step after which the answer is confident enough.

This is SEENN-I (Li et al., NeurIPS 2023, arXiv 2304.01230): the confidence is the largest probability that the softmax
of the output so far gives to a class, and one threshold holds for all samples and steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Exit:
    """What early exit at one threshold costs and gives: the mean number of time ``steps``, and ``accuracy`` in %."""

    steps: float
    accuracy: float


def exits(prefixes: Tensor, threshold: float) -> Tensor:
    """(B,): the time step, from 1, after which each sample is answered, for logits ``prefixes`` (T, B, K) after steps.

    It is the first t with max_k softmax(P(t))_k >= ``threshold``, and T if there is none.
    """
    confident = prefixes.softmax(2).amax(2) >= threshold
    confident[-1] = True
    return confident.int().argmax(0) + 1


def early_exit(prefixes: Tensor, labels: Tensor, threshold: float) -> Exit:
    """The Exit of samples with logits ``prefixes`` (T, B, K) after each step, and ``labels`` (B,)."""
    steps = exits(prefixes, threshold)
    answers = prefixes[steps - 1, torch.arange(len(steps))].argmax(1)
    return Exit(float(steps.double().mean()), 100 * float((answers == labels).double().mean()))
