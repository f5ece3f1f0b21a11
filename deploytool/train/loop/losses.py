"""Losses on the outputs O (T, B, K) of a classifier over time, for labels y (B,), and on restored pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deploytool.recipe import TrainSection


def sdt_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """CE(mean_t O(t), y): cross-entropy of the outputs averaged over time.

    In every cross-entropy here, ``smoothing`` is the share of the target that is spread evenly over all classes
    (Szegedy et al., CVPR 2016, arXiv 1512.00567).
    """
    return F.cross_entropy(logits.mean(0), labels, label_smoothing=smoothing)


def tet_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """mean_t CE(O(t), y), never below ``sdt_loss``, and equal to it where O does not change over time.

    TET, temporal efficient training (Deng, Li, Zhang and Gu, ICLR 2022, arXiv 2202.11946): every step should give the
    right answer.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), label_smoothing=smoothing)


def deep_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """sum_t (t / T) CE(O(t), y) + CE(O(T), y): later steps count for more, and the last one most.

    The deep supervision of T-RevSNN (Hu et al., ICML 2024, arXiv 2405.16466), whose sub-network t gives O(t).
    """
    every = labels.repeat(len(logits))
    each = F.cross_entropy(logits.flatten(0, 1), every, reduction="none", label_smoothing=smoothing)
    of_steps = each.view(len(logits), -1).mean(1)
    share = torch.arange(1, len(logits) + 1, dtype=logits.dtype, device=logits.device) / len(logits)
    return (share * of_steps).sum() + of_steps[-1]


def tet_regulariser(outputs: Tensor, phi: float) -> Tensor:
    """mean over t, samples and classes of (O(t) - phi)^2: pulls every output towards ``phi`` at every step."""
    return (outputs - phi).square().mean()


def picture_loss(potentials: Tensor, pictures: Tensor) -> Tensor:
    """mean over samples and pixels of (sigmoid(O) - x)^2, for potentials O (B, K) and ``pictures`` x (B, K), 0..1.

    This is the loss "mse", for a network that reproduces its input picture.
    """
    return F.mse_loss(potentials.sigmoid(), pictures)


def logits_of(outputs: Tensor, spec: TrainSection) -> Tensor:
    """The logits O(t) (T, B, K) of ``outputs`` o(t), spikes or currents, whose mean over time is the answer's.

    O(t) = ``logit_scale`` T o(t) with the logits "sum", so that mean_t O(t) is ``logit_scale`` times the spike count;
    O(t) = ``logit_scale`` o(t) with "mean", as in the papers, where ``logit_scale`` is 1.
    """
    return outputs * (spec.logit_scale * (len(outputs) if spec.logits == "sum" else 1))


def prefixes_of(outputs: Tensor, spec: TrainSection) -> Tensor:
    """The logits P(t) (T, B, K) of an answer that is given after step t of ``outputs`` o(t).

    P(t) = ``logit_scale`` sum_{i <= t} o(i) with the logits "sum", and their mean over i <= t with "mean"; P(T) is
    mean_t O(t) of `logits_of`. The loss "tet-prefix" is TET of these, for outputs that spike: in a single step
    few times, most often not at all, which tells no class. All T prefixes count equally, so a spike in step t counts in
    T - t + 1 of them.
    """
    sums = outputs.cumsum(0) * spec.logit_scale
    if spec.logits == "sum":
        return sums
    steps = torch.arange(1, len(outputs) + 1, dtype=outputs.dtype, device=outputs.device)
    return sums / steps.view(-1, 1, 1)


def loss_of(outputs: Tensor, labels: Tensor, spec: TrainSection) -> Tensor:
    """The loss of ``outputs`` (T, B, K), the output spikes, or the currents of a last layer that never fires.

    "ce" is ``sdt_loss``, and "deep" is ``deep_loss``, of `logits_of`. "tet" is (1 - lambda) ``tet_loss`` of them
    + lambda ``tet_regulariser`` of the outputs themselves; "tet-prefix" is the same with `prefixes_of`.
    """
    smoothing = spec.label_smoothing
    if spec.loss == "ce":
        return sdt_loss(logits_of(outputs, spec), labels, smoothing)
    if spec.loss == "deep":
        return deep_loss(logits_of(outputs, spec), labels, smoothing)
    logits = prefixes_of(outputs, spec) if spec.loss == "tet-prefix" else logits_of(outputs, spec)
    each = tet_loss(logits, labels, smoothing)
    return (1 - spec.tet_lambda) * each + spec.tet_lambda * tet_regulariser(outputs, spec.tet_phi)
