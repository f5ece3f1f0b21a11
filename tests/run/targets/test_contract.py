"""The contract on the specification itself, the emulator and the simulator; the board's is in test_board.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from contract import BalancerContract, ClockedContract

from deploytool.ir.events import EventStream
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import ALL_LAYERS, Target, Watch
from deploytool.run.record.checks import watched_layers
from deploytool.run.record.samples import as_recording
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target


class Reference:
    """The executable specification as a Target."""

    name = "reference"

    def run(self, program: Program, streams: Iterable[EventStream], watch: Watch = ALL_LAYERS) -> Recording:
        watched = watched_layers(program, watch.layers)
        samples = []
        for index, stream in enumerate(streams):
            sample = run_reference(program, stream)
            kept = {name: sample.spikes[name] for name in (INPUT, *watched)} if index < watch.rasters else {}
            samples.append(replace(sample, spikes=kept))
        return as_recording(program, "simulator", watched, samples)


TARGETS = [
    Reference(),
    make_target("emulator"),
    make_target("emulator", Options(threads=2)),
    make_target("simulator"),
]


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param


class TestContract(ClockedContract, BalancerContract):
    pass
