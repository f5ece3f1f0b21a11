"""The output window by window: the same on every engine, and what a count by hand of the single spikes gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.families import FAMILIES
from helpers.programs import programs, specified, streams, warm_up
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.ir.decoder import Decoder
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program
from deploytool.ir.recording import Recording
from deploytool.ir.target import Watch
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.targets.table import make_target

warm_up()


def by_hand(recording: Recording, index: int, windows: int, outputs: int) -> list[list[int]]:
    """The kept output spikes of sample ``index`` in each of its ``windows``, one after the other."""
    counts = [[0] * outputs for _ in range(windows)]
    t_us, neurons = recording.answer(index)
    for t, neuron in zip(t_us.tolist(), neurons.tolist(), strict=True):
        counts[t * windows // int(recording.durations_us[index])][neuron] += 1
    return counts


def asked(stream: EventStream, windows: int) -> EventStream:
    return EventStream(stream.events, stream.shape, max(windows, stream.duration_us), targets=np.ones((windows, 2)))


@settings(max_examples=60, phases=[Phase.generate])
@given(st.data(), st.sampled_from(sorted(FAMILIES)), st.integers(1, 5))
def test_windows_are_those_of_the_reference_and_of_the_single_spikes(data: Any, name: str, windows: int) -> None:
    program: Program = data.draw(FAMILIES[name].programs())
    few = [asked(data.draw(streams(program.input_shape)), windows) for _ in range(2)]
    references = [specified(program, stream, in_flight=2_000).windows for stream in few]
    recording = make_target("simulator").run(program, few, Watch(rasters=2))
    recording = Recording(**{**vars_of(recording), "durations_us": np.array([each.duration_us for each in few])})
    assume(recording.output_counts.any())
    assert recording.windows is not None
    for index, reference in enumerate(references):
        found = recording.windows.counts[recording.windows.of(index)]
        assert found.tolist() == by_hand(recording, index, windows, recording.classes)
        assert reference is not None
        assert found.tolist() == reference.counts.tolist()
    unkept = make_target("simulator").run(program, few).windows
    assert unkept is not None
    assert unkept.counts.tolist() == recording.windows.counts.tolist()


def vars_of(recording: Recording) -> dict[str, Any]:
    return {name: getattr(recording, name) for name in Recording.__dataclass_fields__}


@given(st.data(), programs(), st.integers(1, 4), st.integers(1, 3))
def test_in_time_steps_a_window_is_a_number_of_steps(data: Any, program: Program, windows: int, each: int) -> None:
    stream = asked(data.draw(streams(program.input_shape)), windows)
    recording = run_clocked(program, [stream], TimeSteps(windows * each), Watch(rasters=1))
    recording = Recording(**{**vars_of(recording), "durations_us": np.array([stream.duration_us])})
    assume(recording.output_counts.any())
    assert recording.windows is not None
    assert recording.windows.counts.sum(axis=0).tolist() == recording.output_counts[0].tolist()
    # A step begins at k duration / steps, rounded down, which may be in the microsecond before its window.
    if stream.duration_us % (windows * each) == 0:
        assert recording.windows.counts.tolist() == by_hand(recording, 0, windows, recording.classes)


@pytest.mark.parametrize("steps", [TimeSteps(4), TimeSteps(6, bins="count")])
def test_windows_of_parts_of_time_steps_are_refused(steps: TimeSteps) -> None:
    program = small()
    stream = EventStream(np.zeros(0, EVENT), program.input_shape, 300, targets=np.zeros((3, 1)))
    with pytest.raises(UnsupportedError, match="a multiple of 3, the windows of a sample, of equal time"):
        run_clocked(program, [stream], steps)


def small(**changes: Any) -> Program:
    from dataclasses import replace

    from helpers.foreign import program

    return replace(program(), **changes)


def test_without_targets_the_decoder_says_how_many_windows_there_are() -> None:
    outputs = int(np.prod(small().map_of("fc")))
    decoder = Decoder(("v",), np.ones((1, outputs)), np.zeros(1), window_us=100)
    program = small(decoder=decoder)
    stream = EventStream(np.zeros(0, EVENT), program.input_shape, 300)
    recording = make_target("simulator").run(program, [stream])
    assert recording.windows is not None
    assert recording.windows.counts.shape == (3, outputs)
    assert recording.windows.decoded is not None
    assert recording.windows.decoded.tolist() == [[0.0]] * 3
    assert make_target("simulator").run(small(), [stream]).windows is None
