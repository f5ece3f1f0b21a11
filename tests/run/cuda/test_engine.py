"""The engine for CUDA, in numba's simulator of a GPU and, where one is, on it. conftest.py says how."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from contract import Contract
from helpers.families import leaky_programs, split_programs
from helpers.layers import make_layer
from helpers.programs import programs, streams
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from numba import config, cuda
from numba.cuda.simulator.kernelapi import FakeCUDAShared

from deploytool.base.arrays import Pair
from deploytool.base.errors import UnsupportedError
from deploytool.base.progress import no_progress
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.neurons import Neurons
from deploytool.ir.nodes import Conv
from deploytool.ir.program import Layer, Program, Route, Synapses
from deploytool.ir.shapes import out_shape
from deploytool.ir.target import Target, Watch
from deploytool.run.cuda import kernels, memory
from deploytool.run.cuda.engine import Run, run_streams
from deploytool.run.cuda.lanes import make_lanes, refuse
from deploytool.run.cuda.sizes import SIZES, Sizes
from deploytool.run.plan.layers import Plan, make_plan, state_type
from deploytool.run.record.samples import Room, Sample, Samples
from deploytool.run.reference.exponential import remains
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.options import Options
from deploytool.run.targets.table import make_target


@pytest.fixture(autouse=True, scope="module", params=["simulated", "GPU"])
def child(request: pytest.FixtureRequest) -> Iterator[Mapping[str, tuple[str, str]] | None]:
    """What came out of each test in a child process that simulates a GPU; None where the tests run in this process.

    There is no other way into the simulator; there, threads are threads of Python.
    """
    if request.param == "simulated" and not config.ENABLE_CUDASIM:
        yield request.getfixturevalue("child_outcomes")
    elif request.param == "GPU" and (config.ENABLE_CUDASIM or not memory.available()):
        pytest.skip("no GPU")
    elif config.ENABLE_CUDASIM:
        with patient_threads():
            yield None
    else:
        yield None


@contextlib.contextmanager
def patient_threads() -> Iterator[None]:
    """Threads take turns often. Two that ask for a block's memory at once might each get their own from the
    simulator: they ask in turn."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    allocate, one_by_one = FakeCUDAShared.array, threading.Lock()

    def array(shared: FakeCUDAShared, shape: int | tuple[int, ...], dtype: object) -> np.ndarray:
        with one_by_one:
            return allocate(shared, shape, dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCUDAShared, "array", array)
        yield
    sys.setswitchinterval(interval)


QUICK = settings(phases=[Phase.generate], max_examples=20)
"""Shrinking takes minutes here."""


def on_gpu(program: Program, samples: list[EventStream], sizes: Sizes = SIZES) -> Samples:
    names = list(program.parts)
    with memory.gpu():
        run = Run(plan_of(program), names, sizes)
        return run.batch(samples, Room(program, names).take(0, len(samples)), keep_spikes=True)


def assert_same(found: Sample, wanted: Sample) -> None:
    for name, spikes in wanted.spikes.items():
        assert found.spikes[name].tolist() == spikes.tolist(), name
    for name, counts in wanted.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    assert found.synops == wanted.synops
    assert found.extremes == wanted.extremes
    assert (found.decision_us, found.load) == (wanted.decision_us, wanted.load)


def plan_of(program: Program) -> Plan:
    return make_plan(program, state_type(program))


def assert_specified(program: Program, samples: list[EventStream], sizes: Sizes = SIZES) -> None:
    found = on_gpu(program, samples, sizes)
    for index, stream in enumerate(samples):
        assert_same(found[index], run_reference(program, stream))


def some_streams(data: st.DataObject, program: Program) -> list[EventStream]:
    return data.draw(st.lists(streams(program.input_shape, 15), min_size=1, max_size=3))


@given(st.data())
@settings(QUICK, max_examples=40)
def test_it_equals_the_specification(data: st.DataObject) -> None:
    program = data.draw(programs())
    assert_specified(program, some_streams(data, program))


@given(st.data())
@settings(QUICK, max_examples=25)
def test_leaks_and_several_synapses_equal_the_specification(data: st.DataObject) -> None:
    program = data.draw(leaky_programs())
    try:
        refuse(plan_of(program))
    except UnsupportedError:
        reject()
    assert_specified(program, some_streams(data, program))


@given(st.data())
@settings(QUICK, max_examples=20)
def test_layers_in_parts_equal_the_specification(data: st.DataObject) -> None:
    _, cut = data.draw(split_programs())
    assert_specified(cut, some_streams(data, cut))


@given(st.data())
@settings(QUICK, max_examples=15)
def test_neither_chunks_nor_blocks_show(data: st.DataObject) -> None:
    program = data.draw(programs())
    most = {"first": 4, "events": 90, "marks": 9, "shared": 40, "block": 8, "threads": 5}
    sizes = replace(SIZES, **{name: data.draw(st.integers(1, size)) for name, size in most.items()})
    assert_specified(program, some_streams(data, program), sizes)


@cuda.jit
def all_remains(passed_us: object, tau_us: object, found: object) -> None:
    for i in range(cuda.grid(1), len(found), cuda.gridsize(1)):
        found[i] = kernels.remains(passed_us[i], tau_us[i])


def test_a_leak_has_the_bits_of_the_specification() -> None:
    rng = np.random.default_rng(0)
    passed_us, tau_us = rng.integers(0, 10 ** rng.integers(0, 9, 300)), 10 ** rng.uniform(-1, 7, 300)
    found = memory.upload(np.zeros(300))
    with memory.gpu():
        SIZES.grid.launch(all_remains, 300, memory.upload(passed_us), memory.upload(tau_us), found)
    wanted = [remains(int(passed), float(tau)) for passed, tau in zip(passed_us, tau_us, strict=True)]
    assert found.copy_to_host().tolist() == wanted


@given(st.data())
@settings(QUICK, max_examples=6)
def test_samples_are_run_as_many_together_as_fit(data: st.DataObject) -> None:
    program = data.draw(programs())
    samples, sizes = some_streams(data, program), replace(SIZES, samples=data.draw(st.integers(1, 3)))
    room = Room(program, list(program.parts), len(samples))
    found = run_streams(plan_of(program), samples, room, no_progress, sizes)
    assert [len(batch) for batch in found[:-1]] == [sizes.samples] * (len(found) - 1)
    assert [name for batch in found for name in batch.names] == [stream.name for stream in samples]
    for sample, stream in zip((sample for batch in found for sample in batch), samples, strict=True):
        assert sample.synops == run_reference(program, stream).synops


@given(st.data())
@settings(QUICK, max_examples=6)
def test_a_recording_is_that_of_the_cpu(data: st.DataObject) -> None:
    program = data.draw(programs())
    samples = [replace(each, duration_us=each.duration_us + 3) for each in some_streams(data, program)]
    if asked := data.draw(st.booleans()):
        samples = [replace(each, targets=np.zeros((3, 1), np.float32)) for each in samples]
    watch = Watch(rasters=data.draw(st.integers(0, 3)), extremes=data.draw(st.booleans()))
    ticks: list[tuple[int, int]] = []
    cpu, cuda = (
        make_target("simulator", Options(tick=tick, device=device)).run(program, samples, watch)
        for device, tick in (("cpu", no_progress), ("cuda", lambda done, total, _: ticks.append((done, total))))
    )
    assert ticks[-1] == (len(samples), len(samples))
    assert cuda.samples == cpu.samples
    assert np.array_equal(cuda.labels, cpu.labels)
    assert np.array_equal(cuda.synops, cpu.synops)
    assert {name: maps.tolist() for name, maps in cuda.counts.items()} == {
        name: maps.tolist() for name, maps in cpu.counts.items()
    }
    assert {name: spikes.tolist() for name, spikes in cuda.spikes.items()} == {
        name: spikes.tolist() for name, spikes in cpu.spikes.items()
    }
    assert (cuda.windows is not None) == (cpu.windows is not None) == asked
    if cuda.windows is not None and cpu.windows is not None:
        assert cuda.windows.counts.tolist() == cpu.windows.counts.tolist()
    assert {name: known.reached for name, known in cuda.activity.items()} == {
        name: known.reached for name, known in cpu.activity.items()
    }


def test_integers_saturate_and_the_extremes_say_so() -> None:
    layer = make_layer(np.array([[[[127]]], [[[-128]]]], np.int8), 1, (1, 1, 1), (2, 1, 1), ())
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(300, EVENT)
    events["t"] = np.arange(300)
    assert on_gpu(program, [EventStream(events, (1, 1, 1), 300)])[0].extremes == {"fc": (-32768, 32767)}


@pytest.mark.parametrize("at_most_one", [True, False])
def test_a_window_of_several_words_fires_in_order(at_most_one: bool) -> None:
    weights = np.random.default_rng(0).integers(30, 127, (9, 1, 3, 3)).astype(np.int8)
    layer = make_layer(weights, 25, (1, 4, 4), (9, 4, 4), (), padding=(1, 1), at_most_one=at_most_one)
    program = Program("simulator", "int8/int16", (1, 4, 4), (Route("conv"),), {"conv": layer}, ("conv",), "")
    events = np.zeros(5, EVENT)
    events["t"], events["y"], events["x"] = np.arange(5), [0, 1, 1, 3, 2], [0, 1, 2, 3, 2]
    assert_specified(program, [EventStream(events, (1, 4, 4), 10)])


@pytest.mark.parametrize("tau_ms", [0.02, 0.2])
def test_neurons_leak_from_update_to_update(tau_ms: float) -> None:
    weights = np.array([[[[0.3]], [[0.2]]], [[[0.55]], [[-0.1]]]], np.float32)
    layer = make_layer(weights, 1.0, (2, 1, 1), (2, 1, 1), (), tau_ms=tau_ms, v_leak=0.1, v_reset=-0.2, reset="zero")
    program = Program("simulator", "float32", (2, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")
    events = np.zeros(60, EVENT)
    events["t"], events["c"] = np.arange(60) * 6 + 500, np.arange(60) % 3 == 1
    stream = EventStream(events, (2, 1, 1), 2000)
    assert len(run_reference(program, stream).spikes["fc"]) > 3
    assert_specified(program, [stream])


@pytest.mark.parametrize(("stride", "dilation"), [((2, 1), (2, 3)), ((1, 3), (2, 2)), ((1, 1), (3, 1))])
def test_no_two_lanes_share_a_neuron(stride: Pair, dilation: Pair) -> None:
    weights = np.ones((6, 2, 3, 2), np.int8)
    conv = Conv(weights, None, stride, (2, 2), dilation, 2)
    layer = make_layer(
        weights,
        1,
        (4, 9, 8),
        out_shape(conv, (4, 9, 8)),
        (),
        padding=(2, 2),
        dilation=dilation,
        stride=stride,
        groups=2,
    )
    program = Program("simulator", "int8/int16", (4, 9, 8), (Route("conv"),), {"conv": layer}, ("conv",), "")
    (plan,) = plan_of(program).layers
    lanes = make_lanes(plan, layer.neurons)
    owners: dict[int, set[int]] = {}
    for first, _, _, row, rows, column, columns, feature, features in lanes.records.tolist():
        taken = set()
        for y, x, o in np.ndindex(rows, columns, features):
            place = ((row + y) % lanes.rows * lanes.columns + (column + x) % lanes.columns) * lanes.features
            lane = place + (feature + o) % lanes.features
            owners.setdefault(first + y * lanes.row_stride + x * lanes.column_stride + o, set()).add(lane)
            taken.add(lane)
        assert len(taken) == rows * columns * features
    assert all(len(lane) == 1 for lane in owners.values())


def two_synapses() -> Program:
    """A layer whose shortcut's targets are two places apart, and its own one."""
    own, shortcut = np.ones((1, 1, 3, 3), np.int8), np.ones((1, 1, 2, 2), np.int8)
    maps = (1, 6, 6), (1, 4, 4)
    layer = Layer((Synapses(own, *maps), Synapses(shortcut, *maps, dilation=(2, 2))), Neurons(1))
    routes = Route("add"), Route("add", synapses=1)
    return Program("simulator", "int8/int16", (1, 6, 6), routes, {"add": layer}, ("add",), "")


def late() -> Program:
    layer = make_layer(np.ones((1, 1, 1, 1), np.int8), 1, (1, 2, 2), (1, 2, 2), (Route("back", delay_us=7),))
    back = make_layer(np.ones((1, 1, 1, 1), np.int8), 1, (1, 2, 2), (1, 2, 2), ())
    return Program("simulator", "int8/int16", (1, 2, 2), (Route("fc"),), {"fc": layer, "back": back}, ("back",), "")


def synaptic() -> Program:
    layer = make_layer(np.ones((1, 1, 1, 1), np.float32), 1, (1, 1, 1), (1, 1, 1), (), tau_ms=5.0, tau_syn_ms=2.0)
    return Program("simulator", "float32", (1, 1, 1), (Route("fc"),), {"fc": layer}, ("fc",), "")


def clocked(bias: int, decimation: int) -> Program:
    weights, bias_ = np.ones((1, 1, 1, 1), np.int8), np.array([bias], np.int16)
    layer = make_layer(weights, 4, (1, 1, 1), (1, 1, 1), bias=bias_, decimation=decimation)
    routes, layers = (Route("fc"),), {"fc": layer}
    return Program("simulator", "int8/int16", (1, 1, 1), routes, layers, ("fc",), "", slow_clock_hz=500)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (clocked(1, 1), "layer 'fc': has a bias, which the slow clock adds; need layers without a bias on a GPU"),
        (clocked(0, 4), "layer 'fc': has an output decimator of 4; need layers without a decimator on a GPU"),
        (
            two_synapses(),
            "layer 'add': synapses whose targets are 1 and 2 apart; need the same distance for all of them",
        ),
        (late(), "layer 'back': gets spikes of 'fc' with a delay; need routes without a delay on a GPU"),
        (synaptic(), "layer 'fc': may fire between two inputs; need neurons that fire only on an input on a GPU"),
    ],
)
def test_what_is_left_to_the_cpu_is_refused(program: Program, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        make_target("simulator", Options(device="cuda")).run(program, [])


class TestContract(Contract):
    @pytest.fixture
    def target(self) -> Target:
        return make_target("emulator", Options(device="cuda"))
