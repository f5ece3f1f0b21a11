"""Layers computed in parts, and relays, change no spike: not one count, not its time, not the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.families import split_programs
from helpers.layers import changed, make_layer
from helpers.programs import fast, streams
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import InputError
from deploytool.chip.chips import CHIPS
from deploytool.ir.events import EVENT, EventStream, count
from deploytool.ir.program import INPUT, Layer, Program, Route
from deploytool.ir.target import Watch
from deploytool.map.split import split
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import TimeSteps
from deploytool.run.plan.layers import make_plan, updates
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target

CHIP = CHIPS["speck2e"]


def relays(program: Program, whole: Program) -> list[str]:
    return [name for name in program.layers if program.place_in(name)[0] not in whole.layers]


@given(st.data())
@settings(max_examples=200)
def test_a_split_program_gives_the_spikes_of_the_whole_one(data: st.DataObject) -> None:
    whole, cut = data.draw(split_programs())
    stream = data.draw(streams(whole.input_shape))
    wanted, found, specified = fast(whole, stream), fast(cut, stream), run_reference(cut, stream)
    for name, counts in wanted.counts.items():
        assert np.array_equal(found.counts[name], counts), name
        assert found.spikes[name].tolist() == wanted.spikes[name].tolist(), name
    for name in cut.parts:
        assert found.spikes[name].tolist() == specified.spikes[name].tolist(), name
    assert found.synops == specified.synops
    fired = {INPUT: count(stream.events, whole.input_shape), **found.counts}
    passed = sum(updates(layer, fired) for layer in make_plan(cut, np.int16).layers if layer.name in relays(cut, whole))
    assert found.synops == wanted.synops + passed
    assert all(len(layer.routes) <= CHIP.fan_out_max for layer in cut.layers.values())
    assert len(cut.input_routes) <= CHIP.fan_out_max


@given(st.data())
@settings(max_examples=30)
def test_a_clocked_run_in_parts_gives_the_same_counts(data: st.DataObject) -> None:
    whole, cut = data.draw(split_programs())
    assume(whole.arithmetic != "float32")  # sums in another order differ in the last bit
    stream = data.draw(streams(whole.input_shape))
    wanted, found = (run_clocked(program, [stream], TimeSteps(5)) for program in (whole, cut))
    for name, counts in wanted.counts.items():
        assert np.array_equal(found.counts[name], counts), name


def test_a_recording_speaks_of_logical_layers() -> None:
    weights = np.arange(1, 5, dtype=np.int8).reshape(4, 1, 1, 1)
    layer = make_layer(weights, 2, (1, 1, 1), (4, 1, 1), (), sources=("fc", "spike"))
    program = split(
        Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), ""),
        {"fc": (3, 1)},
        CHIP,
    )
    assert list(program.layers) == ["fc_part1", "fc_part2"]
    assert program.outputs == ("fc_part1", "fc_part2")
    stream = EventStream(np.array([(0, 0, 0, 0), (9, 0, 0, 0)], EVENT), (1, 1, 1), 10)
    recording = make_target("simulator").run(program, [stream], Watch(("spike",), rasters=1))
    assert recording.outputs == ("fc",)
    assert recording.output_counts.tolist() == [[1, 2, 2, 2]]
    assert recording.aliases == {"fc": "fc", "spike": "fc"}
    assert recording.spikes["fc"]["c"].tolist() == [1, 2, 3, 0, 1, 2, 3]


PART = make_layer(np.ones((2, 1, 1, 1), np.int8), 2, (1, 1, 1), (2, 1, 1), ())


@pytest.mark.parametrize(
    "layers",
    [
        {"a": replace(PART, part_of=("fc", 0)), "b": replace(PART, part_of=("fc", 1))},
        {"a": replace(PART, part_of=("fc", 1))},
        {"a": replace(PART, part_of=("fc", 0)), "between": PART, "b": replace(PART, part_of=("fc", 2))},
        {"a": replace(PART, part_of=("fc", 0)), "fc": replace(PART, part_of=("fc", 2))},
        {"a": changed(PART, part_of=("fc", 0)), "b": changed(PART, part_of=("fc", 2), out_shape=(2, 2, 1))},
    ],
)
def test_parts_that_do_not_make_up_a_layer_are_refused(layers: dict[str, Layer]) -> None:
    with pytest.raises(InputError, match="layer 'fc': parts a from feature"):
        Program("simulator", "int8/int16", (1, 1, 1), (), layers, (), "")
