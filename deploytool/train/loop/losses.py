"""Losses on the outputs O (T, B, K) of a classifier over time, for labels y (B,), and on restored pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from deploytool.recipe import TrainSection


def sdt_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """CE(mean_t O(t), y): cross-entropy of the outputs averaged over time."""
    return F.cross_entropy(logits.mean(0), labels)


def tet_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """mean_t CE(O(t), y), never below ``sdt_loss``, and equal to it where O does not change over time.

    TET, temporal efficient training (Deng, Li, Zhang and Gu, ICLR 2022, arXiv 2202.11946): every step should give the
    right answer.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))


def tet_regulariser(outputs: Tensor, phi: float) -> Tensor:
    """mean over t, samples and classes of (O(t) - phi)^2: pulls every output towards ``phi`` at every step."""
    return (outputs - phi).square().mean()


def picture_loss(potentials: Tensor, pictures: Tensor) -> Tensor:
    """mean over samples and pixels of (sigmoid(O) - x)^2, for potentials O (B, K) and ``pictures`` x (B, K), 0..1.

    This is the loss "mse", for a network that reproduces its input picture.
    """
    return F.mse_loss(potentials.sigmoid(), pictures)


def loss_of(outputs: Tensor, labels: Tensor, spec: TrainSection) -> Tensor:
    """The loss of output spikes (T, B, K), whose logits are O(t) = ``logit_scale`` T spikes(t).

    "ce" is ``sdt_loss``; "tet" is (1 - lambda) ``tet_loss`` + lambda ``tet_regulariser`` of the spikes themselves.
    O is a rate per sample; its mean over time is ``logit_scale`` times the spike count. The papers use a rate per step.
    That would shrink as 1 / T here, because the number of events in a sample, and of spikes, does not grow with T.
    """
    logits = outputs * (spec.logit_scale * len(outputs))
    if spec.loss == "ce":
        return sdt_loss(logits, labels)
    regulariser = tet_regulariser(outputs, spec.tet_phi)
    return (1 - spec.tet_lambda) * tet_loss(logits, labels) + spec.tet_lambda * regulariser
