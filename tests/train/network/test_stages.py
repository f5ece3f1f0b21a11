"""The temporal transformation module, and which layers make a stage."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.recipe import NetworkSection, TrainSection
from deploytool.recipe.train import Transformation
from deploytool.train.network.stages import boundaries, overlaps, resample, stages_of

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


def test_trimming_keeps_the_first_steps_and_repeats_upwards() -> None:
    x = torch.tensor([[1.0], [2], [4], [8], [16]])
    assert resample(x, 3, "trim").flatten().tolist() == [1, 2, 4]
    assert torch.equal(resample(x[:3], 5, "trim"), resample(x[:3], 5))


def test_soft_shares_a_step_among_those_that_overlap_it() -> None:
    x = torch.tensor([[3.0], [6], [9]])
    assert resample(x, 2, "soft").flatten().tolist() == pytest.approx([3 + 3, 3 + 9])
    assert resample(x[:2], 3, "soft").flatten().tolist() == pytest.approx([2, 1 + 2, 4])


@given(STEPS, STEPS)
@settings(deadline=None)
def test_soft_keeps_every_count_and_its_shares_are_lengths(t_in: int, t_out: int) -> None:
    shares = overlaps(t_in, t_out)
    torch.testing.assert_close(shares.sum(1), torch.ones(t_in))
    torch.testing.assert_close(shares.sum(0), torch.full((t_out,), t_in / t_out))
    for i, j in ((0, 0), (t_in - 1, t_out - 1), (t_in // 2, t_out // 2)):
        least, most = max(i / t_in, j / t_out), min((i + 1) / t_in, (j + 1) / t_out)
        assert float(shares[i, j]) == pytest.approx(max(0.0, most - least) * t_in, abs=1e-6)
    x = torch.randint(0, 5, (t_in, 2, 3)).float()
    y = resample(x, t_out, "soft")
    assert y.shape == (t_out, 2, 3)
    torch.testing.assert_close(y.sum(0), x.sum(0))


@pytest.mark.parametrize("how", ["replicate", "spread", "trim", "soft"])
def test_same_number_of_steps_is_the_identity(how: Transformation) -> None:
    x = torch.rand(7, 2)
    assert resample(x, 7, how) is x


def network(*marked: bool) -> NetworkSection:
    conv = {"type": "conv", "out": 2, "kernel": 1}
    layers = [layer for stage in marked for layer in ({**conv, "stage": stage}, {"type": "spike"})]
    return NetworkSection.model_validate({"input": (2, 4, 4), "layers": layers})


def test_stages_are_layers_or_begin_at_marks():
    plain = network(*[False] * 5)
    assert stages_of(plain, spec(method="mtt")) == (0, 1, 2, 3, 4)
    assert stages_of(plain, spec(method="mtt", stage_layers=2)) == (0, 0, 1, 1, 2)
    marks = spec(method="mtt", stages="marks")
    assert stages_of(network(True, False, True, True, False), marks) == (0, 0, 1, 2, 2)
    assert stages_of(network(False, False, True, False, True), marks) == (0, 0, 0, 0, 1)
    with pytest.raises(
        RecipeError, match=r"train\.stages: found 'marks' without a layer with stage = true; need a layer"
    ):
        stages_of(plain, marks)
