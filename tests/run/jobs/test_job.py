"""A job: what it refuses, and what a recording is stored by."""

from __future__ import annotations

import pytest

from deploytool.base.errors import UsageError
from deploytool.ir.target import Watch
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"on": "quantised"}, "--on quantised: no number of time steps; need --time-steps N."),
        (
            {"on": "emulator", "time_steps": 3},
            "--time-steps: given with --on emulator, which has no time steps; need --on quantised.",
        ),
        (
            {"on": "quantised", "time_steps": 3, "watch": Watch(extremes=True)},
            "--extremes: given with --on quantised; need --on simulator or emulator.",
        ),
        (
            {"on": "speck2edevkit:0", "perturbation": Perturbation(drop=0.1)},
            "--perturb: given with --on speck2edevkit:0; need --on quantised, simulator or emulator.",
        ),
        ({"on": "emulator", "bins": "count"}, "--bins: given with --on emulator; need --on quantised."),
        ({"on": "loihi"}, "target: no target 'loihi'; need one of"),
    ],
)
def test_a_job_refuses_what_does_not_go_together(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        Job(**asked)
    assert sentence in str(caught.value)


def test_the_key_of_a_recording_stays_what_it_was() -> None:
    """Recordings in a store are found by it."""
    assert Job("emulator").asked == {"on": "emulator", "watch": None, "rasters": 0}
    assert Job("simulator", watch=Watch(("b", "a"), 4, True), perturbation=Perturbation(drop=0.5)).asked == {
        "on": "simulator",
        "watch": ["a", "b"],
        "rasters": 4,
        "extremes": True,
        "perturbation": {
            "order": 0.0,
            "drop": 0.5,
            "threshold": 0.0,
            "weights": 0.0,
            "seed": 0,
            "repeat": 0,
        },
    }
    in_steps = {"on": "quantised", "watch": None, "rasters": 0, "time_steps": 30}
    assert Job("quantised", 30).asked == in_steps
    assert Job("quantised", 30, bins="count").asked == {**in_steps, "bins": "count"}
