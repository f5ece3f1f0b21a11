"""The vector loops equal the specification, and where that would be slow the general loop, event for event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from helpers.layers import make_layer
from helpers.programs import assert_same, fast, programs, vector_programs
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.native import ALIGNMENT
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.nodes import Conv
from deploytool.ir.program import Program, Route
from deploytool.ir.shapes import out_shape
from deploytool.run.engine.event_driven import compile_loops
from deploytool.run.kernels.batches import integrate_samples
from deploytool.run.kernels.event_stationary import UNROLLED, write_event_loop
from deploytool.run.kernels.in_registers import REGISTERS, write_register_loop
from deploytool.run.kernels.spikes import WORDS
from deploytool.run.plan import tiles
from deploytool.run.plan.layers import Plan, make_plan, state_type
from deploytool.run.plan.windows import FIRST_ROOM
from deploytool.run.reference.specification import run_reference

GUARD = 4096
"""Bytes before and after an array that a loop must leave alone."""


@pytest.fixture(autouse=True, scope="module")
def without_tiles() -> Iterator[None]:
    """The output-stationary loop, which has tests of its own, takes no layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "BLOCKS", 1 << 16)
        yield


def plan_of(program: Program, vectors: bool = True) -> Plan:
    return make_plan(program, state_type(program), vectors)


@given(vector_programs())
@settings(max_examples=50)
def test_the_vector_loops_take_these_programs(program: Program) -> None:
    assert all(layer.layout is not None for layer in plan_of(program).layers)


def one_layer(
    shape: tuple[int, int, int],
    features: int,
    kernel: int,
    threshold: float,
    stride: int = 1,
    padding: int = 0,
    dtype: type = np.int8,
    **more: object,
) -> Program:
    weights = np.random.default_rng(1).integers(-60, 70, (features, shape[0], kernel, kernel)).astype(dtype)
    out = out_shape(Conv(weights, None, (stride, stride), (padding, padding)), shape)
    layer = make_layer(
        weights, threshold, shape, out, (), stride=(stride, stride), padding=(padding, padding), floor=-200, **more
    )
    arithmetic = "int8/int16" if dtype is np.int8 else "float32"
    return Program("simulator", arithmetic, shape, (Route("one"),), {"one": layer}, ("one",), "")


def many_events(shape: tuple[int, int, int], count: int) -> EventStream:
    rng = np.random.default_rng(2)
    events = np.zeros(count, EVENT)
    events["t"] = np.arange(count)
    for axis, size in zip("cyx", shape, strict=True):
        events[axis] = rng.integers(0, size, count)
    return EventStream(events, shape, count)


WINDOWS = {
    "shifted": (one_layer((2, 12, 12), 8, 5, 150, padding=2), write_event_loop, True),
    "weights above the threshold": (one_layer((3, 9, 9), 32, 3, 40, padding=1), write_event_loop, False),
    "reset to zero": (one_layer((3, 9, 9), 32, 3, 40, padding=1, reset="zero"), write_event_loop, True),
    "several words a row": (one_layer((2, 9, 9), 64, 3, 150, padding=1), write_event_loop, True),
    "words half full": (one_layer((2, 9, 9), 48, 3, 150.5, padding=1, dtype=np.float32), write_event_loop, True),
    "rows that are repeated": (one_layer((2, 3, 3), 2080, 2, 150), write_event_loop, True),
    "weights above the threshold in float32": (
        one_layer((2, 9, 9), 48, 3, 40.5, padding=1, dtype=np.float32),
        write_event_loop,
        False,
    ),
    "stride 2": (one_layer((2, 11, 11), 16, 5, 150, stride=2, padding=1), write_event_loop, True),
    "small, in float32": (one_layer((2, 9, 9), 16, 3, 150.5, padding=1, dtype=np.float32), write_event_loop, True),
    "registers": (one_layer((4, 4, 4), 120, 4, 150), write_register_loop, True),
    "registers in float32": (one_layer((4, 4, 4), 40, 4, 150.5, dtype=np.float32), write_register_loop, True),
    "weights above the threshold at one place": (one_layer((4, 4, 4), 130, 4, 40), write_event_loop, False),
    "blocks of registers": (one_layer((4, 4, 4), 600, 4, 150), write_register_loop, True),
    "V above 32767": (one_layer((2, 4, 4), 40, 3, 32740, padding=1, v_init=32700), write_event_loop, True),
    "V above 32767 with weights above the threshold": (
        one_layer((2, 4, 4), 40, 3, 3, padding=1, v_init=32700),
        write_event_loop,
        False,
    ),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_every_kind_of_window_equals_the_general_loop(name: str) -> None:
    program, write, settled = WINDOWS[name]
    (layer,) = plan_of(program).layers
    assert layer.layout is not None
    assert (layer.layout.write, layer.layout.shape.settled) == (write, settled)
    stream = many_events(program.input_shape, 3000)
    found = fast(program, stream)
    assert len(found.spikes["one"]) > 60
    assert_same(found, fast(program, stream, vectors=False))


def test_the_windows_are_of_every_kind() -> None:
    def shape(name: str) -> object:
        (layer,) = plan_of(WINDOWS[name][0]).layers
        assert layer.layout is not None
        return layer.layout.shape

    assert shape("several words a row").groups_per_row > 1
    assert shape("rows that are repeated").rows * shape("rows that are repeated").vectors > UNROLLED
    assert shape("registers").vectors <= REGISTERS < shape("blocks of registers").vectors
    assert shape("V above 32767").capped
    assert not shape("reset to zero").capped


@given(st.data())
@settings(max_examples=100)
def test_both_forms_of_a_loop_equal_the_general_loop(data: st.DataObject) -> None:
    """The first block of a call is run by the optimistic form; here every block has a call of its own, or the noting
    form runs all."""
    program, noting = data.draw(vector_programs()), data.draw(st.booleans())
    (layer, *_), (general, *_) = plan_of(program).layers, plan_of(program, vectors=False).layers
    assert layer.layout is not None
    tables = layer.layout.windows
    if noting:
        tables = tables._replace(optimistic=tables.noting, records=False)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sites = rng.integers(0, len(layer.coordinates), data.draw(st.integers(1, 300))).astype(np.int32)
    state, wanted_state = layer.layout.rest(), general.rest()
    for begin in range(0, len(sites), WORDS >> layer.layout.shape.shift):
        part = sites[begin : begin + (WORDS >> layer.layout.shape.shift)]
        neurons, caused = np.empty(tables.margin, np.int32), np.zeros(len(part), np.int32)
        fired, _ = integrate_samples(tables, state, state, part, np.array([len(part)]), neurons, caused)
        wanted = general.integrate(wanted_state, part)
        assert np.array_equal(fired, wanted.neurons)
        assert np.array_equal(caused, wanted.caused)


@pytest.mark.parametrize("threshold", [1, 40])
def test_buffers_grow(threshold: float) -> None:
    program = one_layer((1, 10, 10), 32, 3, threshold, padding=1, reset="subtract" if threshold == 1 else "zero")
    stream = many_events((1, 10, 10), 6000)
    (layer,) = plan_of(program).layers
    assert layer.layout is not None
    assert layer.layout.shape.settled is (threshold != 1)
    found = fast(program, stream)
    assert len(found.spikes["one"]) > FIRST_ROOM * 6000 + layer.layout.windows.margin
    assert_same(found, fast(program, stream, vectors=False))


def guarded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A copy of ``values`` that begins at a whole vector, and the bytes before and after it."""
    size = values.nbytes
    raw = np.full(size + 3 * GUARD, 7, np.uint8)
    begin = GUARD + -(raw.ctypes.data + GUARD) % ALIGNMENT
    inside = raw[begin : begin + size].view(values.dtype)
    inside[:] = values
    return inside, raw[:begin], raw[begin + size :]


@given(st.data())
@settings(max_examples=100)
def test_loops_write_nothing_outside_of_their_arrays(data: st.DataObject) -> None:
    """A buffer has room for a block, or for a few spikes more; streams are as long, and a little longer."""
    program = data.draw(vector_programs())
    layer = plan_of(program).layers[0]
    layout = layer.layout
    assert layout is not None
    block = max(1, WORDS >> layout.shape.shift)
    length = data.draw(st.sampled_from([1, block - 1, block, block + 1, 3 * block + 1]).filter(bool))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sites = rng.integers(0, len(layer.coordinates), length).astype(np.int32)
    state, *beside_state = guarded(layout.start)
    caused, *beside_caused = guarded(np.zeros(length, np.int32))
    room = layout.windows.margin + data.draw(st.integers(0, 3))
    neurons, *beside_neurons = guarded(np.zeros(room, np.int32))
    ends = np.array([length])
    fired, _ = integrate_samples(layout.windows, state, layout.start, sites, ends, neurons, caused)
    for guard in (*beside_state, *beside_caused, *beside_neurons):
        assert (guard == 7).all()
    (general, *_) = plan_of(program, vectors=False).layers
    wanted = general.integrate(general.rest(), sites)
    assert np.array_equal(fired, wanted.neurons)
    assert np.array_equal(caused, wanted.caused)


UNSUITED = {
    "dilation": {"dilation": (2, 2), "out_shape": (2, 2, 2)},
    "groups": {"groups": 2, "weights": np.ones((2, 1, 3, 3), np.float32)},
    "thresholds of single neurons": {"threshold": np.linspace(1, 2, 32, dtype=np.float32).reshape(2, 4, 4)},
    "many spikes per update": {"at_most_one": False, "threshold": 0.5},
}


@pytest.mark.parametrize("name", UNSUITED)
def test_other_layers_take_the_general_loop(name: str) -> None:
    fields = {"weights": np.ones((2, 2, 3, 3), np.float32), "threshold": 1.0, "out_shape": (2, 4, 4)} | UNSUITED[name]
    layer = make_layer(in_shape=(2, 6, 6), routes=(), **fields)
    program = Program("simulator", "float32", (2, 6, 6), (Route("one"),), {"one": layer}, ("one",), "")
    assert plan_of(program).layers[0].layout is None
    stream = many_events((2, 6, 6), 40)
    assert_same(fast(program, stream), run_reference(program, stream))


@given(programs())
@settings(max_examples=30)
def test_a_plan_without_vectors_has_no_layout(program: Program) -> None:
    assert all(layer.layout is None for layer in make_plan(program, state_type(program)).layers)


def test_loops_are_compiled_once_and_it_is_said() -> None:
    plan = plan_of(one_layer((1, 3, 3), 104, 1, 150))
    said: list[str] = []
    compile_loops(plan, said.append)
    compile_loops(plan, said.append)
    assert len(said) <= 1


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_every_number_of_features(dtype: type) -> None:
    """Slots of lanes per target must fit vectors, whatever the number of features: 17 once counted wrong neurons."""
    stream = many_events((2, 6, 6), 150)
    for features in range(1, 131):
        program = one_layer((2, 6, 6), features, 3, 90, padding=1, dtype=dtype)
        assert plan_of(program).layers[0].layout is not None
        assert_same(fast(program, stream), fast(program, stream, vectors=False))
