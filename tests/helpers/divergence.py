"""Small programs whose every spike can be counted by hand, and the explanation of their difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from helpers.layers import changed, make_layer

from deploytool.ir.divergence import Explained
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.jobs.follow import follow
from deploytool.run.jobs.job import Job
from deploytool.run.reference.neuron import replay, replay_steps
from deploytool.validate.divergence.causes import Run
from deploytool.validate.divergence.explain import explain
from deploytool.validate.divergence.history import Replay

REPLAY = Replay(replay, replay_steps)
EVENTS = Job("simulator")


def one_neuron(weights: list[float], threshold: float = 10, integers: bool = True, **others: Any) -> Program:
    """One layer with one neuron, an input feature for each of ``weights``."""
    kernel = np.array(weights).reshape(1, -1, 1, 1).astype(np.int8 if integers else np.float32)
    layer = make_layer(kernel, threshold, (len(weights), 1, 1), (1, 1, 1), **others)
    arithmetic = "int8/int16" if integers else "float32"
    return Program("simulator", arithmetic, (len(weights), 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")


def two_layers(first: list[float], second: float, threshold: float = 10) -> Program:
    """A layer "a" with one neuron, and a layer "b" with one neuron that gets its spikes."""
    a = one_neuron(first, threshold).layers["fc"]
    b = make_layer(np.array([[[[second]]]], np.int8), threshold, (1, 1, 1), (1, 1, 1))
    layers = {"a": replace(a, routes=(Route("b"),)), "b": b}
    return Program("simulator", "int8/int16", (len(first), 1, 1), (Route("a"),), layers, ("b",), "")


def varied(program: Program, layer: str = "fc", **changes: Any) -> Program:
    """``program`` with ``changes`` to a layer."""
    return program.with_layers({**program.layers, layer: changed(program.layers[layer], **changes)})


def sent(*events: tuple[int, int], features: int, duration_us: int = 1000) -> EventStream:
    """A stream of ``events`` (t_us, feature)."""
    return EventStream(np.array([(t, c, 0, 0) for t, c in events], EVENT), (features, 1, 1), duration_us, 3, "made up")


def why(
    reference: Program,
    test: Program,
    stream: EventStream,
    other: EventStream | None = None,
    jobs: Any = (EVENTS, EVENTS),
) -> Explained:
    """Why two programs differ on ``stream``; the test gets ``other`` if it is given.

    Event by event, the reference is called the simulator and the test the emulator.
    """
    runs = (
        Run(name_of(jobs[0], "simulator"), follow(jobs[0], reference, stream, 0), "reference"),
        Run(name_of(jobs[1], "emulator"), follow(jobs[1], test, other or stream, 0), "test"),
    )
    return explain(runs, 0, REPLAY)


def name_of(job: Job, event_driven: str) -> str:
    return event_driven if job.time_steps is None else "quantised"
