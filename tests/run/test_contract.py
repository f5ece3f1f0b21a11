"""The contract on the specification itself, the emulator and the simulator; the board's is in test_run_board.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from contract import Contract

from deploytool.ir.events import EventStream
from deploytool.ir.program import INPUT, Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import Target
from deploytool.run.record.checks import watched_layers
from deploytool.run.record.samples import as_recording
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.emulator import Emulator
from deploytool.run.targets.simulator import Simulator


class Reference:
    """The executable specification as a Target."""

    name = "reference"

    def run(
        self, program: Program, streams: Iterable[EventStream], watch: Sequence[str] | None = None, rasters: int = 0
    ) -> Recording:
        watched = watched_layers(program, watch)
        samples = []
        for index, stream in enumerate(streams):
            sample = run_reference(program, stream)
            kept = {name: sample.spikes[name] for name in (INPUT, *watched)} if index < rasters else {}
            samples.append(replace(sample, spikes=kept))
        return as_recording(program, "simulator", watched, samples)


@pytest.fixture(params=[Reference(), Emulator(), Emulator(threads=2), Simulator()], ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param


class TestContract(Contract):
    pass
