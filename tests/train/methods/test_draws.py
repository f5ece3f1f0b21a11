"""The time steps that methods draw."""

from __future__ import annotations

import torch

from deploytool.recipe import TrainSection
from deploytool.train.loop.descent import fixed_steps
from deploytool.train.methods import mtt


def spec(**keys) -> TrainSection:
    return TrainSection(**{"time_steps": 6, "epochs": 1, "batch": 1, "learning_rate": 0.1, **keys})


def test_draws():
    generator = torch.Generator().manual_seed(0)
    assert fixed_steps(spec(), (0, 1, 2, 3), generator) == [(6, 6, 6, 6)]
    alike = mtt.draw_nmt(spec(method="nmt", draws=200, t_min=2), (0, 1, 2), generator)
    assert len(alike) == 200
    assert all(len(set(steps)) == 1 for steps in alike)
    assert {steps[0] for steps in alike} == {2, 3, 4, 5, 6}
    mixed = mtt.draw_mtt(spec(method="mtt", draws=200, t_max=3), (0, 0, 1, 1, 2), generator)
    assert all(a == b and c == d for a, b, c, d, _ in mixed)
    assert {(steps[0], steps[2], steps[4]) for steps in mixed} == {
        (a, b, c) for a in (1, 2, 3) for b in (1, 2, 3) for c in (1, 2, 3)
    }


def test_a_fixed_first_stage_has_the_most_steps():
    fixed = spec(method="mtt", draws=50, first_stage="fixed", t_max=5)
    drawn = mtt.draw_mtt(fixed, (0, 0, 1, 2), torch.Generator().manual_seed(0))
    assert all(steps[:2] == (5, 5) for steps in drawn)
    assert {steps[2:] for steps in drawn} > {(1, 5), (2, 1)}


def test_one_stage_of_mtt_is_nmt():
    drawn = [
        getattr(mtt, f"draw_{method}")(spec(method=method), (0, 0, 0, 0), torch.Generator().manual_seed(3))
        for method in ("mtt", "nmt")
    ]
    assert drawn[0] == drawn[1]
