"""The losses, as their papers define them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deploytool.recipe import TrainSection
from deploytool.train.loop.losses import deep_loss, logits_of, loss_of, prefixes_of, sdt_loss, tet_loss, tet_regulariser

OUTPUTS = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(2, 5), st.integers(0, 99))


def spec(**keys) -> TrainSection:
    return TrainSection(**{"time_steps": 6, "epochs": 1, "batch": 1, "learning_rate": 0.1, **keys})


@given(OUTPUTS)
@settings(deadline=None)
def test_tet_is_never_below_sdt(shape):
    *size, seed = shape
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(size, generator=generator)
    labels = torch.randint(0, size[2], (size[1],), generator=generator)
    assert tet_loss(outputs, labels) >= sdt_loss(outputs, labels) - 1e-5
    constant = outputs[:1].expand(4, -1, -1)
    torch.testing.assert_close(tet_loss(constant, labels), sdt_loss(constant, labels))


def test_label_smoothing_spreads_its_share_of_every_target_evenly():
    outputs = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 4, 2])
    smooth, plain = spec(label_smoothing=0.2, loss="tet", logits="mean"), outputs * 0.3
    target = 0.8 * F.one_hot(labels, 5) + 0.2 / 5
    wanted = torch.stack([F.cross_entropy(step, target) for step in plain]).mean()
    assert float(loss_of(outputs, labels, smooth)) == pytest.approx(float(wanted), rel=1e-6)
    mean = F.cross_entropy(plain.mean(0), target)
    assert float(loss_of(outputs, labels, smooth.model_copy(update={"loss": "ce"}))) == pytest.approx(float(mean))
    weights = torch.tensor([0.25, 0.5, 0.75, 2.0])
    deep = (weights * torch.stack([F.cross_entropy(step, target) for step in plain])).sum()
    found = loss_of(outputs, labels, smooth.model_copy(update={"loss": "deep"}))
    assert float(found) == pytest.approx(float(deep), rel=1e-6)


def test_deep_supervision_counts_later_steps_for_more_and_the_last_once_again():
    outputs = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 4, 2])
    each = [float(F.cross_entropy(output, labels)) for output in outputs]
    wanted = each[0] / 4 + each[1] / 2 + each[2] * 3 / 4 + each[3] + each[3]
    assert float(deep_loss(outputs, labels)) == pytest.approx(wanted, rel=1e-6)
    assert float(loss_of(outputs, labels, spec(loss="deep", logit_scale=0.25))) == pytest.approx(wanted, rel=1e-6)


def test_gradients_in_closed_form():
    """SDT: (softmax(mean O) - y) / (T B) at every step; TET: (softmax(O(t)) - y) / (T B)."""
    outputs = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 3, 1])
    wanted = F.one_hot(labels, 4)
    (sdt,) = torch.autograd.grad(sdt_loss(outputs, labels), outputs)
    (tet,) = torch.autograd.grad(tet_loss(outputs, labels), outputs)
    torch.testing.assert_close(sdt, ((outputs.mean(0).softmax(-1) - wanted) / 15).expand(5, -1, -1))
    torch.testing.assert_close(tet, (outputs.softmax(-1) - wanted) / 15)


def test_the_recipe_chooses_the_loss():
    outputs, labels = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]]), torch.tensor([0])
    assert loss_of(outputs, labels, spec(logit_scale=3)) == sdt_loss(6 * outputs, labels)  # 3 T, T = 2
    mixed = loss_of(outputs, labels, spec(loss="tet", tet_lambda=0.25, tet_phi=1.0, logit_scale=3))
    assert mixed == pytest.approx(float(0.75 * tet_loss(6 * outputs, labels) + 0.25 * tet_regulariser(outputs, 1.0)))
    assert tet_regulariser(outputs, 1.0) == pytest.approx((1 + 1 + 1 + 0) / 4)


def by_hand(outputs: torch.Tensor, label: int, scale: float, mean: bool) -> tuple[float, float, float]:
    """("ce", "tet", "tet-prefix") of ``outputs`` (T, K) of one sample, in Python's floats."""
    steps = [[float(value) for value in row] for row in outputs]
    size, classes = len(steps), range(len(steps[0]))

    def entropy(logits: list[float]) -> float:
        return math.log(sum(math.exp(each) for each in logits)) - logits[label]

    factor = scale if mean else scale * size
    every = [[factor * value for value in row] for row in steps]
    answer = [sum(row[k] for row in every) / size for k in classes]
    so_far = [
        [scale * sum(row[k] for row in steps[:t]) / (t if mean else 1) for k in classes] for t in range(1, size + 1)
    ]
    return entropy(answer), sum(map(entropy, every)) / size, sum(map(entropy, so_far)) / size


@given(OUTPUTS, st.sampled_from([0.3, 1.0]), st.sampled_from(["sum", "mean"]))
@settings(deadline=None)
def test_every_loss_is_its_equation(shape, scale, logits):
    steps, batch, classes, seed = shape
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randint(0, 3, (steps, batch, classes), generator=generator).float()
    labels = torch.randint(0, classes, (batch,), generator=generator)
    wanted = [by_hand(outputs[:, i], int(labels[i]), scale, logits == "mean") for i in range(batch)]
    for loss, values in zip(("ce", "tet", "tet-prefix"), zip(*wanted, strict=True), strict=True):
        asked = spec(loss=loss, logits=logits, logit_scale=scale)
        assert float(loss_of(outputs, labels, asked)) == pytest.approx(sum(values) / batch, rel=1e-5, abs=1e-6), loss
        if loss != "ce":
            mixed = spec(loss=loss, logits=logits, logit_scale=scale, tet_lambda=0.25, tet_phi=0.5)
            more = 0.75 * sum(values) / batch + 0.25 * float(((outputs - 0.5) ** 2).mean())
            assert float(loss_of(outputs, labels, mixed)) == pytest.approx(more, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("logits", ["sum", "mean"])
def test_the_last_prefix_is_the_answer(logits):
    outputs = torch.randint(0, 3, (7, 3, 4), generator=torch.Generator().manual_seed(0)).float()
    asked = spec(logits=logits)
    torch.testing.assert_close(prefixes_of(outputs, asked)[-1], logits_of(outputs, asked).mean(0))


def test_what_the_softmax_temperature_follows():
    """Twice the steps: the same events give the same logits as a sum, a repeated picture the same ones as a mean."""
    spikes = torch.randint(0, 3, (4, 2, 5), generator=torch.Generator().manual_seed(0)).float()
    finer = torch.stack([spikes, torch.zeros_like(spikes)], 1).flatten(0, 1)
    repeated = spikes.repeat_interleave(2, 0)
    labels = torch.tensor([1, 3])
    total, mean = spec(logits="sum", logit_scale=1), spec(logits="mean", logit_scale=1)
    assert float(loss_of(finer, labels, total)) == pytest.approx(float(loss_of(spikes, labels, total)))
    assert float(loss_of(repeated, labels, mean)) == pytest.approx(float(loss_of(spikes, labels, mean)))
    torch.testing.assert_close(logits_of(finer, mean).mean(0), logits_of(spikes, mean).mean(0) / 2)
    torch.testing.assert_close(logits_of(repeated, total).mean(0), 2 * logits_of(spikes, total).mean(0))
