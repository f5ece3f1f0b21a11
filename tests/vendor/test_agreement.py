"""The same verdict, and the same fields, from our rules and from the vendor's own validator (samna 0.7.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.layers import changed, make_layer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor.networks import CHIP, MENUS, Menu, programs

from deploytool.base.digest import digest
from deploytool.base.errors import DeployError, FitError, InputError
from deploytool.chip.chips import CHIPS
from deploytool.chip.memory import cores_for
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Conv, Flatten, Input, Linear, Output, Spike, SumPool
from deploytool.ir.program import Layer, Program, Route
from deploytool.ir.spec.verify import check_rules
from deploytool.map.compile import compile_graph
from deploytool.map.emit import configuration, described
from deploytool.recipe import DvsSection, ReadoutSection

BEFORE_POOLING = DvsSection(crop="sensor")
"""How samna 0.7.1 counts the pixels of a crop."""
LISTED = {
    "pooling": "a pooling of 8, which the Speck2e documents leave out",
    "pooling-remainder": "a pooling rest that reaches neurons",
}
ADDITION = "an addition: several cores that send the same features to one, which sinabs >= 3.1 runs on silicon"
EACH = 60
thorough = settings(
    max_examples=EACH, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
BY_BOTH = "    refused by both, by our rule "


def sensor(program: Program) -> DvsSection:
    return BEFORE_POOLING if program.input_shape[0] <= CHIP.dvs_features else DvsSection()


def emitted(program: Program) -> dict[str, Any]:
    """The configuration of ``program``, whatever is wrong with it; of an input beyond the sensor too."""
    features, *sides = program.input_shape
    inside = (features, min(sides[0], 128), min(sides[1], 128))
    found = described(replace(program, input_shape=inside), CHIP, sensor(program))
    if features <= CHIP.dvs_features:
        found["dvs_layer"]["cut"] = {"x": sides[1] - 1, "y": sides[0] - 1}
    return found


def adds(program: Program) -> bool:
    """Whether several sources send the same features to one layer."""
    shifts = [[route.feature_shift for _, route in program.feeders(name)] for name in program.layers]
    return any(len(set(each)) < len(each) for each in shifts)


def broken(program: Program) -> Iterator[str]:
    """What we find wrong with ``program`` on its cores."""
    yield from (violation.rule for violation in check_rules(program, CHIP))
    for name, layer in program.layers.items():
        if program.core_of[name] not in cores_for(layer.memory(), CHIP):
            yield "memory"


def meant(found: dict[str, Any]) -> dict[str, Any]:
    """Of a configuration what samna 0.7.1 has too."""
    layers = [layer and {key: value for key, value in layer.items() if key != "name"} for layer in found["cnn_layers"]]
    return {"cnn_layers": layers, "dvs_layer": found["dvs_layer"]}


def held(program: Program, read: dict[str, Any]) -> dict[str, Layer]:
    """The layers that samna holds, written as ours: axes turned back, cores as names, an unused leak as no bias."""
    name_on = {core: name for name, core in program.core_of.items()}
    found = {}
    for name in program.layers:
        values = read["cnn_layers"][program.core_of[name]]
        dimensions = values["dimensions"]
        stride, padding = dimensions["stride"], dimensions["padding"]
        found[name] = make_layer(
            weights=np.array(values["weights"], np.int8).transpose(0, 1, 3, 2),
            threshold=values["threshold_high"],
            in_shape=shape_of(dimensions["input_shape"]),
            out_shape=shape_of(dimensions["output_shape"]),
            routes=tuple(
                Route(name_on[way["layer"]], (way["pooling"],) * 2, way["feature_shift"])
                for way in values["destinations"]
                if way["enable"]
            ),
            bias=np.array(values["biases"], np.int16) if values["leak_enable"] else None,
            floor=values["threshold_low"],
            reset="zero" if values["return_to_zero"] else "subtract",
            stride=(stride["y"], stride["x"]),
            padding=(padding["y"], padding["x"]),
        )
        assert not np.array(values["neurons_initial_value"]).any()
        assert np.shape(values["neurons_initial_value"]) == tuple(found[name].out_shape[axis] for axis in (0, 2, 1))
    return found


def shape_of(values: dict[str, Any]) -> tuple[int, int, int]:
    return values["feature_count"], values["size"]["y"], values["size"]["x"]


@pytest.mark.parametrize("menu", MENUS.values(), ids=list(MENUS))
@thorough
@given(data=st.data())
def test_the_vendor_says_what_we_say(menu: Menu, data: st.DataObject, validator: Any, table: Counter[str]) -> None:
    program = data.draw(programs(menu))
    found, rules = emitted(program), set(broken(program))
    said = validator(found)
    table["networks tried"] += 1
    assert said["read"] == meant(found)
    assert digest(held(program, said["read"])) == digest(dict(program.layers))
    if said["ok"] and rules and rules <= set(LISTED):
        for rule in rules:
            table[f"listed: we refuse {LISTED[rule]}"] += 1
        return
    if adds(program) and not rules:
        assert "Overlap between" in said["says"]
        table[f"listed: the vendor refuses {ADDITION}"] += 1
        return
    assert said["ok"] == (not rules), (rules, said["says"])
    table["agreed that it fits" if said["ok"] else "agreed that it does not fit"] += 1
    for rule in rules:
        table[BY_BOTH + rule] += 1


@pytest.mark.usefixtures("validator")
def test_enough_networks_were_tried(table: Counter[str]) -> None:
    assert table["networks tried"] >= 500
    assert min(table["agreed that it fits"], table["agreed that it does not fit"]) >= 100
    assert table[f"listed: the vendor refuses {ADDITION}"] >= 5


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Chains as people write them, with oblong maps under a Linear, and grouped convolutions."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = (draw(st.sampled_from([1, 2, 3])), draw(st.integers(4, 34)), draw(st.integers(4, 34)))
    nodes: list[tuple[str, Any]] = [("in", Input(shape))]
    for i in range(draw(st.integers(0, 2))):
        groups = draw(st.sampled_from([1, shape[0]]))
        features = groups * draw(st.integers(1, 8))
        kernel = (min(draw(st.integers(1, 4)), *(side + 2 for side in shape[1:])),) * 2
        weight = rng.normal(0, 0.2, (features, shape[0] // groups, *kernel)).clip(-0.9, 0.9)
        conv = Conv(weight, None, (1, 1), (1, 1), groups=groups)
        nodes += [(f"conv{i}", conv), (f"spike{i}", Spike(floor=-1.0))]
        shape = (features, shape[1] + 3 - kernel[0], shape[2] + 3 - kernel[1])
        if min(shape[1:]) > 1 and draw(st.booleans()):
            nodes.append((f"pool{i}", SumPool((2, 2), (2, 2))))
            shape = (features, shape[1] // 2, shape[2] // 2)
    size = int(np.prod(shape))
    nodes += [("flat", Flatten()), ("fc", Linear(rng.normal(0, 0.2, (10, size)))), ("last", Spike()), ("out", Output())]
    return chain(nodes)


@settings(thorough, max_examples=150)
@given(graph=graphs())
def test_what_we_compile_the_vendor_takes(graph: Graph, validator: Any, table: Counter[str]) -> None:
    try:
        program = compile_graph(graph, CHIP).program
    except FitError:
        table["graphs compiled: refused by us"] += 1
        return
    found = configuration(program, CHIP, sensor(program))
    said = validator(found)
    assert said["ok"], said["says"]
    assert said["read"] == meant(found)
    table["graphs compiled: taken by the vendor"] += 1


def test_the_vendor_takes_a_split_layer(validator: Any, table: Counter[str]) -> None:
    rng = np.random.default_rng(0)
    wide, linear = (rng.normal(0, 0.05, shape).astype(np.float32) for shape in ((96, 2, 3, 3), (10, 96 * 64)))
    graph = chain(
        [
            ("in", Input((2, 64, 64))),
            ("conv", Conv(wide, None, (2, 2), (1, 1))),
            ("s1", Spike()),
            ("pool", SumPool((4, 4), (4, 4))),
            ("flat", Flatten()),
            ("fc", Linear(linear)),
            ("s2", Spike()),
            ("out", Output()),
        ]
    )
    program = compile_graph(graph, CHIP).program
    assert len(program.layers) > 2
    said = validator(configuration(program, CHIP))
    assert said["ok"], said["says"]
    table["asserted: the vendor takes a split layer"] += 1


def layer(**changes: Any) -> Layer:
    weights = np.ones((2, 2, 1, 1), np.int8)
    return changed(make_layer(weights, 72, (2, 8, 8), (2, 8, 8), floor=-72), **changes)


def one(**changes: Any) -> Program:
    return Program("speck2e", "int8/int16", (2, 8, 8), (Route("a"),), {"a": layer(**changes)}, ("a",), "", {"a": 2})


def two(pool: int, size: int, left: int, **geometry: Any) -> Program:
    """A map of ``size`` pooled by ``pool`` to ``left``, in front of a layer of ``geometry``."""
    a = layer(in_shape=(2, size, size), out_shape=(2, size, size), routes=(Route("b", (pool, pool)),))
    b = layer(in_shape=(2, left, left), out_shape=(2, left, left), **geometry)
    return Program(
        "speck2e", "int8/int16", (2, size, size), (Route("a"),), {"a": a, "b": b}, ("b",), "", {"a": 2, "b": 3}
    )


def sized(into: tuple[int, int, int], kernel: int = 1, stride: int = 1, padding: int = 0, out: int = 2) -> Layer:
    sides = [(side + 2 * padding - kernel) // stride + 1 for side in into[1:]]
    return make_layer(
        np.ones((out, into[0], kernel, kernel), np.int8),
        72,
        into,
        (out, sides[0], sides[1]),
        (),
        floor=-72,
        stride=(stride, stride),
        padding=(padding, padding),
    )


def alone(only: Layer, core: int = 2, pool: int = 1) -> Program:
    """``only`` behind an input that is pooled by ``pool``."""
    features, height, width = only.single.in_shape
    routes = (Route("a", (pool, pool)),)
    return Program(
        "speck2e", "int8/int16", (features, height * pool, width * pool), routes, {"a": only}, ("a",), "", {"a": core}
    )


def joined(shift: int) -> Program:
    """Two layers of two features, the second at ``shift``, in front of one of four."""
    ways = (Route("c"), Route("c", feature_shift=shift))
    layers = {**{name: layer(routes=(way,)) for name, way in zip("ab", ways, strict=True)}, "c": sized((4, 8, 8))}
    return replace(one(), input_routes=(Route("a"), Route("b")), layers=layers, core_of={"a": 0, "b": 1, "c": 2})


def beside_input(features: int) -> Program:
    layers = {
        "a": replace(sized((features, 8, 8)), routes=(Route("b", feature_shift=features),)),
        "b": sized((features + 2, 8, 8)),
    }
    routes = (Route("a"), Route("b"))
    return Program("speck2e", "int8/int16", (features, 8, 8), routes, layers, ("b",), "", {"a": 0, "b": 2})


LIMITS = {
    "kernel": (alone(sized((1, 17, 17), 16)), alone(sized((1, 17, 17), 17))),
    "stride": (alone(sized((2, 9, 9), 1, 8)), alone(sized((2, 9, 9), 1, 3))),
    "padding": (alone(sized((2, 4, 4), 3, 1, 7)), alone(sized((2, 4, 4), 3, 1, 8))),
    "input-map": (alone(sized((2, 128, 128), 2, 2)), alone(sized((2, 129, 129), 2, 4))),
    "sensor": (alone(sized((2, 32, 32)), pool=4), alone(sized((2, 33, 33)), pool=4)),
    "output-map": (alone(sized((2, 64, 64))), alone(sized((2, 65, 65)))),
    "features": (alone(sized((1, 1, 1), out=1024)), alone(sized((1, 1, 1), out=1025))),
    "memory": (alone(sized((64, 4, 4), 2, out=64), core=7), alone(sized((65, 4, 4), 2, out=64), core=7)),
    "pooling": (two(4, 16, 4), two(3, 9, 3)),
    "input-routes": (alone(sized((2, 4, 4)), pool=4), alone(sized((2, 3, 3)), pool=3)),
    "fan-in": (joined(2), joined(3)),
    "outside-input": (beside_input(2), beside_input(3)),
}


@pytest.mark.parametrize("rule", list(LIMITS))
def test_both_take_the_limit_and_refuse_what_is_beyond_it(rule: str, validator: Any, table: Counter[str]) -> None:
    at, beyond = LIMITS[rule]
    assert not set(broken(at))
    assert validator(emitted(at))["ok"]
    assert rule in broken(beyond)
    assert not validator(emitted(beyond))["ok"]
    table["asserted: limits that both take, and refuse one step beyond"] += 1


REFUSED_BY_US = {
    "a pooling of 8": (two(8, 16, 2), "pooling"),
    "a pooling rest that reaches neurons": (
        two(2, 9, 4, weights=np.ones((2, 2, 3, 3), np.int8), padding=(1, 1)),
        "pooling-remainder",
    ),
    "a floor of 0, a bug of the silicon": (one(floor=0), "integers"),
    "a threshold that V + w could pass": (one(threshold=32641), "integers"),
}


@pytest.mark.parametrize("what", list(REFUSED_BY_US))
def test_what_we_refuse_and_the_vendor_takes(what: str, validator: Any, table: Counter[str]) -> None:
    program, rule = REFUSED_BY_US[what]
    assert {violation.rule for violation in check_rules(program, CHIP)} == {rule}
    assert validator(emitted(program))["ok"]
    table[f"asserted: we refuse, the vendor takes {what}"] += 1


def test_cycles_are_taken_by_the_vendor_and_cannot_be_written_here(validator: Any, table: Counter[str]) -> None:
    for ends in ((0, 1), (1, 0), (0, 0)):
        found = emitted(two(1, 8, 8))
        used = [found["cnn_layers"][2], found["cnn_layers"][3]]
        source, target = (used[i] for i in ends)
        for destination in used[0]["destinations"]:
            destination["enable"] = False
        found["dvs_layer"]["destinations"][0]["enable"] = False
        core = 2 + ends[1]
        source["destinations"][0] |= {"enable": True, "layer": core, "pooling": 1}
        if ends == (0, 1):
            target["destinations"][0] |= {"enable": True, "layer": 2, "pooling": 1}
        assert validator(found)["ok"]
    with pytest.raises(InputError, match="a later layer"):
        one(routes=(Route("a"),))
    table["asserted: we refuse, the vendor takes cycles and self-loops"] += 1


def test_a_residual_addition_is_taken_here_and_refused_by_this_validator(validator: Any, table: Counter[str]) -> None:
    a = layer(routes=(Route("c"),))
    program = Program(
        "speck2e",
        "int8/int16",
        (2, 8, 8),
        (Route("a"), Route("b")),
        {"a": a, "b": a, "c": layer()},
        ("c",),
        "",
        {"a": 0, "b": 1, "c": 2},
    )
    assert check_rules(program, CHIP) == ()
    assert "Overlap between" in validator(emitted(program))["says"]
    table[f"asserted: the vendor refuses {ADDITION}"] += 1


def test_a_crop_counts_pixels_before_pooling_in_this_validator_and_after_it_in_the_documents(
    validator: Any, table: Counter[str]
) -> None:
    program = replace(
        one(in_shape=(2, 4, 8), out_shape=(2, 4, 8)), input_shape=(2, 16, 16), input_routes=(Route("a", (4, 2)),)
    )
    assert check_rules(program, CHIP) == ()
    before, after = (configuration(program, CHIP, DvsSection(crop=unit)) for unit in ("sensor", "pooled"))
    assert (before["dvs_layer"]["cut"], after["dvs_layer"]["cut"]) == ({"x": 15, "y": 15}, {"x": 7, "y": 3})
    assert validator(before)["ok"]
    assert "different than DVS output size" in validator(after)["says"]
    assert all("crop after pooling" in " ".join(found["unknown"]) for found in (before, after))
    table["asserted: the vendor refuses, we write a crop that counts pixels after pooling"] += 1


def test_the_options_of_the_sensor_arrive(validator: Any) -> None:
    dvs = DvsSection(origin=(50, 40), mirror=("x", "diagonal"), polarity="on", live=True)
    found = configuration(one(), CHIP, dvs)
    said = validator(found)
    assert said["ok"]
    assert said["read"] == meant(found)
    assert said["read"]["dvs_layer"]["cut"] == {"x": 47, "y": 57}


def test_an_oblong_diagonal_mirror_is_taken_unturned_by_the_vendor(validator: Any, table: Counter[str]) -> None:
    oblong = replace(one(in_shape=(2, 8, 4), out_shape=(2, 8, 4)), input_shape=(2, 8, 4))
    with pytest.raises(InputError, match="a diagonal mirror"):
        configuration(oblong, CHIP, DvsSection(mirror=("diagonal",)))
    found = configuration(oblong, CHIP)
    found["dvs_layer"]["mirror_diagonal"] = True
    assert validator(found)["ok"]
    table["asserted: we refuse, the vendor takes a diagonal mirror of an oblong map"] += 1


def test_a_layer_widened_for_the_readout_fits(validator: Any) -> None:
    program = one(in_shape=(2, 1, 1), out_shape=(2, 1, 1))
    program = replace(program, input_shape=(2, 1, 1))
    found = configuration(program, CHIP, readout=ReadoutSection())
    assert validator(found) == {"refused": "a destination that is no core"}
    found["cnn_layers"][2]["destinations"][0] |= {"enable": False, "layer": 0}
    assert validator(found)["ok"]


def test_every_chip_emits_the_same(validator: Any) -> None:
    for chip in CHIPS.values():
        assert validator(configuration(replace(one(), chip=chip.name), chip))["ok"]


def test_what_would_crash_samna_is_held_back_and_a_dead_child_replaced(validator: Any) -> None:
    for key, value in (("weights", []), ("destinations", [{"enable": True, "layer": 9, "pooling": 1}])):
        found = configuration(one(), CHIP)
        found["cnn_layers"][2][key] = value
        assert "refused" in validator(found)
    found = configuration(one(), CHIP)
    found["dvs_layer"]["pooling"]["x"] = 0
    assert validator(found) == {"refused": "a pooling of 0"}
    validator.child.kill()
    assert "died" in validator(configuration(one(), CHIP))
    assert validator(configuration(one(), CHIP))["ok"]


def test_a_number_outside_its_field_is_refused(validator: Any) -> None:
    found = configuration(one(), CHIP)
    found["cnn_layers"][2]["biases"] = [40000, 0]
    assert "Int16" in validator(found)["refused"]


def test_errors_are_ours() -> None:
    with pytest.raises(DeployError, match="mapped for speck2e"):
        configuration(one(), CHIPS["speck2f"])
