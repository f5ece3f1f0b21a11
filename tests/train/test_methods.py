"""The temporal transformation module, the draws, and the losses, as their papers define them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deploytool.base.errors import RecipeError
from deploytool.recipe import NetworkSection, TrainSection
from deploytool.train.loop.losses import loss_of, sdt_loss, tet_loss, tet_regulariser
from deploytool.train.methods import mtt as temporal
from deploytool.train.methods import sdt
from deploytool.train.methods.mtt import boundaries, resample

STEPS = st.integers(1, 40)


def spec(**keys) -> TrainSection:
    return TrainSection(**{"time_steps": 6, "epochs": 1, "batch": 1, "learning_rate": 0.1, **keys})


def test_five_to_three_and_back():
    x = torch.tensor([[1.0], [2], [4], [8], [16]])
    assert resample(x, 3).flatten().tolist() == [1 + 2, 4, 8 + 16]
    assert resample(x[:3], 5).flatten().tolist() == [1, 1, 2, 4, 4]


@given(STEPS, STEPS)
def test_boundaries_are_nearest_with_ties_down(t_in, t_out):
    few, many = sorted((t_in, t_out))
    ends = boundaries(t_in, t_out)
    assert ends[0] == 0
    assert ends[-1] == many
    assert len(ends) == few + 1
    for k, end in enumerate(ends):
        assert -few <= 2 * (k * many - end * few) <= few  # |k M / m - b| <= 1/2
        assert 2 * (k * many - end * few) != -few  # and not a tie that went up


@given(STEPS, STEPS)
@settings(deadline=None)
def test_down_keeps_every_spike_and_up_repeats_it(t_in, t_out):
    x = torch.randint(0, 5, (t_in, 2, 3)).float()
    y = resample(x, t_out)
    assert len(y) == t_out
    if t_out <= t_in:
        assert torch.equal(y.sum(0), x.sum(0))
    else:
        assert torch.equal(resample(y, t_in), x * torch.tensor(boundaries(t_in, t_out)).diff().view(-1, 1, 1))


@given(STEPS, STEPS)
@settings(deadline=None)
def test_spread_keeps_every_count(t_in, t_out):
    x = torch.randint(0, 5, (t_in, 2, 3)).float()
    y = resample(x, t_out, "spread")
    assert len(y) == t_out
    torch.testing.assert_close(y.sum(0), x.sum(0))
    if t_out >= t_in:
        torch.testing.assert_close(resample(y, t_in), x)
    else:
        assert torch.equal(y, resample(x, t_out))


def test_same_number_of_steps_is_the_identity():
    x = torch.rand(7, 2)
    assert resample(x, 7) is x


def test_draws():
    generator = torch.Generator().manual_seed(0)
    assert sdt.draw(spec(), (0, 1, 2, 3), generator) == [(6, 6, 6, 6)]
    nmt = temporal.draw_nmt(spec(method="nmt", draws=200, t_min=2), (0, 1, 2), generator)
    assert len(nmt) == 200
    assert all(len(set(steps)) == 1 for steps in nmt)
    assert {steps[0] for steps in nmt} == {2, 3, 4, 5, 6}
    mtt = temporal.draw_mtt(spec(method="mtt", draws=200, t_max=3), (0, 0, 1, 1, 2), generator)
    assert all(a == b and c == d for a, b, c, d, _ in mtt)
    assert {(steps[0], steps[2], steps[4]) for steps in mtt} == {
        (a, b, c) for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3)
    }


def network(*marked: bool) -> NetworkSection:
    conv = {"type": "conv", "out": 2, "kernel": 1}
    layers = [layer for stage in marked for layer in ({**conv, "stage": stage}, {"type": "spike"})]
    return NetworkSection.model_validate({"input": (2, 4, 4), "layers": layers})


def test_stages_are_layers_or_begin_at_marks():
    plain = network(*[False] * 5)
    assert temporal.stages_of(plain, spec(method="mtt")) == (0, 1, 2, 3, 4)
    assert temporal.stages_of(plain, spec(method="mtt", stage_layers=2)) == (0, 0, 1, 1, 2)
    marks = spec(method="mtt", stages="marks")
    assert temporal.stages_of(network(True, False, True, True, False), marks) == (0, 0, 1, 2, 2)
    assert temporal.stages_of(network(False, False, True, False, True), marks) == (0, 0, 0, 0, 1)
    with pytest.raises(
        RecipeError, match=r"train\.stages: found 'marks', and no layer with stage = true; need a layer"
    ):
        temporal.stages_of(plain, marks)


def test_a_fixed_first_stage_has_the_most_steps():
    fixed = spec(method="mtt", draws=50, first_stage="fixed", t_max=5)
    drawn = temporal.draw_mtt(fixed, (0, 0, 1, 2), torch.Generator().manual_seed(0))
    assert all(steps[:2] == (5, 5) for steps in drawn)
    assert {steps[2:] for steps in drawn} > {(1, 5), (2, 1)}


def test_one_stage_of_mtt_is_nmt():
    drawn = [
        getattr(temporal, f"draw_{method}")(spec(method=method), (0, 0, 0, 0), torch.Generator().manual_seed(3))
        for method in ("mtt", "nmt")
    ]
    assert drawn[0] == drawn[1]


OUTPUTS = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(2, 5), st.integers(0, 99))


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
