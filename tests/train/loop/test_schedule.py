"""The learning rate over the epochs."""

from __future__ import annotations

import pytest
from helpers.tiny import spec

from deploytool.train.loop.schedule import learning_rate


def test_learning_rates():
    assert [learning_rate(spec(learning_rate=1.0, epochs=2, schedule="constant"), e) for e in (1, 2)] == [1, 1]
    cosine = [learning_rate(spec(learning_rate=1.0, epochs=4), e) for e in (1, 2, 3, 4)]
    assert cosine[0] == 1
    assert cosine[2] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)
    warm = [learning_rate(spec(learning_rate=1.0, epochs=6, warmup_epochs=2), e) for e in range(1, 7)]
    assert warm == pytest.approx([1 / 3, 2 / 3, *cosine])
    steps = spec(learning_rate=1.0, epochs=6, schedule="steps", milestones=[2, 5], milestone_factor=0.5)
    assert [learning_rate(steps, e) for e in range(1, 7)] == [1, 1, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"schedule": "steps"}, "milestones: 0 milestones with schedule steps; need both"),
        ({"milestones": [2]}, "milestones: 1 milestones with schedule cosine; need both"),
        ({"schedule": "steps", "milestones": [3, 2]}, "of 4 epochs; need epochs in ascending order"),
        ({"schedule": "steps", "milestones": [4]}, "of 4 epochs; need epochs in ascending order, before the last"),
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
