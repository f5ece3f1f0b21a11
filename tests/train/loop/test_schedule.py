"""The learning rate over the steps of the optimizer."""

from __future__ import annotations

import math

import pytest
from helpers.tiny import spec
from hypothesis import assume, given
from hypothesis import strategies as st

from deploytool.base.errors import RecipeError
from deploytool.train.loop.schedule import Schedule


def rates(batches: int = 1, **keys) -> list[float]:
    schedule = Schedule(spec(**{"learning_rate": 1.0, **keys}), batches)
    return [schedule.rate(step) for step in range(1, schedule.steps + 1)]


def test_learning_rates():
    assert rates(epochs=2, schedule="constant") == [1, 1]
    cosine = rates(epochs=4)
    assert cosine == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    warm = rates(epochs=6, warmup_epochs=2)
    assert warm == pytest.approx([1 / 3, 2 / 3, *cosine])
    steps = {"epochs": 6, "schedule": "steps", "milestones": [2, 5], "milestone_factor": 0.5}
    assert rates(**steps) == [1, 1, 0.5, 0.5, 0.5, 0.25]
    assert rates(3, **steps) == [1] * 6 + [0.5] * 9 + [0.25] * 3


@given(epochs=st.integers(1, 5), batches=st.integers(1, 60), warm=st.integers(0, 40))
def test_the_schedule_knows_steps_and_no_epochs(epochs, batches, warm):
    """The same number of steps has the same rates, however many epochs they are."""
    assume(warm < epochs * batches)
    found = rates(batches, epochs=epochs, warmup_steps=warm)
    assert found == rates(1, epochs=epochs * batches, warmup_steps=warm)
    assert found[:warm] == pytest.approx([step / (warm + 1) for step in range(1, warm + 1)])
    left = epochs * batches - warm
    assert found[warm:] == pytest.approx([math.cos(math.pi * i / left / 2) ** 2 for i in range(left)])


def test_a_part_of_an_epoch_warms_up():
    assert rates(57, epochs=5, warmup_epochs=0.5) == rates(57, epochs=5, warmup_steps=28)
    assert rates(1, epochs=2, warmup_epochs=1.9) == [0.5, 1]  # one step is left
    with pytest.raises(RecipeError, match=r"^train.warmup_steps: found 10 of 10 steps; need fewer"):
        rates(5, epochs=2, warmup_steps=10)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"schedule": "steps"}, "milestones: 0 milestones with schedule steps; need both"),
        ({"milestones": [2]}, "milestones: 1 milestones with schedule cosine; need both"),
        ({"schedule": "steps", "milestones": [3, 2]}, "of 4 epochs; need epochs in ascending order"),
        ({"schedule": "steps", "milestones": [4]}, "of 4 epochs; need epochs in ascending order, before the last"),
        ({"warmup_epochs": 1, "warmup_steps": 5}, "warmup_steps: found both warmup_epochs and warmup_steps; need only"),
        ({"warmup_epochs": 4}, "warmup_epochs: found 4 of 4 epochs; need fewer"),
        (
            {"warmup_epochs": 2, "method": "tit", "tit": [[2, 2], [4, 2]]},
            "warmup_epochs: found 2 of 2 epochs",
        ),
    ],
)
def test_schedules_that_make_no_sense_are_refused(keys, says):
    with pytest.raises(ValueError, match=says):
        spec(**keys)
