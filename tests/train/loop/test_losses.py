"""The losses, as their papers define them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deploytool.recipe import TrainSection
from deploytool.train.loop.losses import loss_of, sdt_loss, tet_loss, tet_regulariser

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
