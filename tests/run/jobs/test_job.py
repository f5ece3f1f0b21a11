"""A job: what it refuses, and what a recording is stored by."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.base.memory import VARIABLE
from deploytool.ir.target import Watch
from deploytool.run.jobs.job import Job
from deploytool.run.jobs.perturbation import Perturbation
from deploytool.run.kernels.general import QUEUE_MAX, grown
from deploytool.run.record.checks import KEPT_BYTES, KEPT_MAX, check_kept


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


EXPLODING = """
import resource, sys
from pathlib import Path
import numpy as np
from deploytool.base.errors import DeployError
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import chain
from deploytool.ir.nodes import Conv, Input, Output, Spike
from deploytool.map.group import group
from deploytool.run.jobs.job import Job
from deploytool.run.targets.options import Options

def conv(features):
    return Conv(np.full((8, features, 3, 3), 0.5, np.float32), None, (1, 1), (1, 1))

spike = Spike(0.01, -1.0, "subtract", at_most_one=False)
nodes = [("input", Input((2, 8, 8))), ("a", conv(2)), ("sa", spike), ("b", conv(8)), ("sb", spike), ("out", Output())]
program = group(chain(nodes))

def stream(number):
    events = np.zeros(number, EVENT)
    events["t"], events["x"], events["y"] = np.arange(number), np.arange(number) % 8, np.arange(number) % 7
    return EventStream(events, (2, 8, 8), 10**6)

job, options = Job("simulator"), Options(threads=1)
print(int(job.run(program, [stream(1)], 0, options).counts["b"].sum()))
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (400 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    job.run(program, [stream(10**5)], 0, options)
except DeployError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_tiny_thresholds_end_in_a_sentence_where_memory_is_limited() -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ran = subprocess.run(
        [sys.executable, "-c", EXPLODING], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    spikes, sentence = ran.stdout.splitlines()
    assert int(spikes) > 10**6
    assert sentence.startswith(
        "--on simulator: the spikes of some of the samples do not fit into memory; need at most "
    )
    assert "thresholds are too small for the weights" in sentence


def test_a_queue_of_spikes_has_a_limit() -> None:
    with pytest.raises(MemoryError):
        grown(np.empty(1, np.int32), QUEUE_MAX + 1)


def test_single_spikes_are_kept_within_the_bound_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "64GB")
    check_kept("here", KEPT_MAX)
    with pytest.raises(UnsupportedError, match=r"or --outputs-only in a sweep\. If"):
        check_kept("here", KEPT_MAX + 1)
    monkeypatch.setenv(VARIABLE, "64MB")
    check_kept("here", 10**6 * 64 // KEPT_BYTES)
    with pytest.raises(UnsupportedError, match=r"or allow more memory with --max-memory\. If"):
        check_kept("here", 10**6 * 64 // KEPT_BYTES + 1)
