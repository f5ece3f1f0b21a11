"""The output-stationary loop: its spikes are those of the general loop, in their order, for any settled layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from helpers.programs import pairs, vector_layer_on
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploytool.base.native import lanes_of
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.program import Program, Route
from deploytool.run.kernels.output_stationary import BLOCK, EVENTS, PLACES
from deploytool.run.plan import tiles
from deploytool.run.plan.layers import LayerPlan, make_plan, state_type
from deploytool.run.plan.tiles import VECTORS, TileLayout
from deploytool.run.reference.specification import run_reference
from deploytool.run.targets.table import make_target

REGISTERS = VECTORS * lanes_of(np.int16)


@pytest.fixture(autouse=True, scope="module")
def from_one_feature_on() -> Iterator[None]:
    """The loop runs layers of few features too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "BLOCKS", 0)
        yield


def one_layer(features: int, shape: tuple[int, int, int] = (2, 6, 7), seed: int = 1, **options: object) -> Program:
    """A settled layer with a kernel of 3 x 3."""
    channels, height, width = shape
    weights = np.random.default_rng(seed).integers(-20, 30, (features, channels, 3, 3)).astype(np.int8)
    layer = make_layer(weights, 60, shape, (features, height, width), padding=(1, 1), **{"floor": -70, **options})
    return Program("simulator", "int8/int16", shape, (Route("one"),), {"one": layer}, ("one",), "")


def layers_of(program: Program) -> tuple[LayerPlan, LayerPlan]:
    """The first layer for the output-stationary loop, and for the general one."""
    found, wanted = (make_plan(program, state_type(program), vectors).layers[0] for vectors in (True, False))
    return found, wanted


def assert_equal(program: Program, sites: np.ndarray, ends: list[int]) -> int:
    """The number of spikes, after they were compared."""
    layer, general = layers_of(program)
    assert isinstance(layer.layout, TileLayout)
    found = layer.integrate_samples(layer.rest(), sites, np.array(ends))
    wanted = general.integrate_samples(general.rest(), sites, np.array(ends))
    assert np.array_equal(found.neurons, wanted.neurons)
    assert np.array_equal(found.caused, wanted.caused)
    assert np.array_equal(found.ends, wanted.ends)
    return len(found.neurons)


def random_sites(program: Program, count: int, seed: int = 1) -> np.ndarray:
    (layer, *_), rng = make_plan(program, state_type(program)).layers, np.random.default_rng(seed)
    return rng.integers(0, len(layer.coordinates), count).astype(np.int32)


@pytest.mark.parametrize("features", [*range(1, 131), 2 * REGISTERS - 1, 2 * REGISTERS, 2 * REGISTERS + 1])
def test_every_number_of_features(features: int) -> None:
    program = one_layer(features)
    assert assert_equal(program, random_sites(program, 400), [150, 150, 400])


@pytest.mark.parametrize("options", [{"reset": "zero"}, {"floor": None}, {"v_init": 59}, {"floor": 0}])
def test_resets_floors_and_starts(options: dict[str, object]) -> None:
    program = one_layer(REGISTERS + 3, **options)
    assert assert_equal(program, random_sites(program, 600), [600])


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, EVENTS, EVENTS + 1, 2 * EVENTS + BLOCK])
def test_every_block_of_events(count: int) -> None:
    """All at one place, so that lists are as long as they can be."""
    program = one_layer(5, (1, 3, 3))
    sites = np.full(count, 4, np.int32)
    assert (assert_equal(program, sites, [count // 3, count]) > 0) is (count > 10)


@given(st.data())
@settings(max_examples=100)
def test_strides_paddings_and_lost_events(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = data.draw(st.integers(1, 3)), data.draw(st.integers(3, 9)), data.draw(st.integers(3, 9))
    drawn = data.draw(vector_layer_on(shape, True, rng))
    assume(drawn.out_shape[1:] != (1, 1))
    layer = changed(drawn, threshold=data.draw(st.sampled_from([128, 300, 32_700])), v_init=0)
    routes = (Route("one", data.draw(pairs(1, 2)), data.draw(st.integers(0, 1))),)
    program = Program("simulator", "int8/int16", shape, routes, {"one": layer}, ("one",), "")
    count = data.draw(st.integers(1, 300))
    sites = random_sites(program, count, data.draw(st.integers(0, 2**32 - 1)))
    assert_equal(program, sites, [data.draw(st.integers(0, count)), count])


def test_networks_equal_the_specification() -> None:
    """Two such layers after one another, with pooling between them."""
    first, second = one_layer(REGISTERS + 1, (2, 8, 8)), one_layer(9, (REGISTERS + 1, 4, 4), 2)
    layers = {
        "one": replace(first.layers["one"], routes=(Route("two", (2, 2)),)),
        "two": second.layers["one"],
    }
    program = replace(first, layers=layers, outputs=("two",))
    events = np.zeros(300, EVENT)
    rng = np.random.default_rng(5)
    events["t"] = np.sort(rng.integers(0, 20_000, 300))
    events["c"], (events["y"], events["x"]) = rng.integers(0, 2, 300), rng.integers(0, 8, (2, 300))
    streams = [EventStream(events[:count], (2, 8, 8), 20_000) for count in (300, 0, 77)]
    found = make_target("simulator").run(program, streams)
    wanted = [run_reference(program, stream) for stream in streams]
    assert all(isinstance(layer.layout, TileLayout) for layer in make_plan(program, np.dtype(np.int16), True).layers)
    for name in layers:
        assert np.array_equal(found.counts[name], np.stack([sample.counts[name] for sample in wanted]))
        assert found.counts[name].any()
    assert found.decisions_us.tolist() == [sample.decision_us for sample in wanted]


def test_parts_of_a_sample_continue_from_one_another() -> None:
    program = one_layer(REGISTERS + 3)
    sites = random_sites(program, 700)
    layer, general = layers_of(program)
    state, wanted = layer.rest(), general.integrate(general.rest(), sites)
    parts = [layer.integrate(state, part) for part in np.split(sites, [1, 130, 500])]
    assert np.array_equal(np.concatenate([part.neurons for part in parts]), wanted.neurons)
    assert len(wanted.neurons)


UNSUITED = {
    "one place": ((3, 3), (1, 1, 1)),
    "too many places": ((1, 1), (1, 1, PLACES)),
}


@pytest.mark.parametrize("name", UNSUITED)
def test_other_layers_take_other_loops(name: str) -> None:
    kernel, out = UNSUITED[name]
    shape = (1, out[1] + kernel[0] - 1, out[2] + kernel[1] - 1)
    layer = make_layer(np.ones((1, 1, *kernel), np.int8), 5, shape, out)
    program = Program("simulator", "int8/int16", shape, (Route("one"),), {"one": layer}, ("one",), "")
    assert not isinstance(layers_of(program)[0].layout, TileLayout)


def test_layers_of_few_features_take_another_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BLOCKS", 2)
    assert not isinstance(layers_of(one_layer(2 * REGISTERS - 1))[0].layout, TileLayout)
    assert isinstance(layers_of(one_layer(2 * REGISTERS))[0].layout, TileLayout)
