"""Neurons that leak, layers with several synapses: the loop equals the specification, which equals the closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.families import leaky_programs
from helpers.layers import changed, make_layer
from helpers.programs import SMALL, assert_same, fast, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import UnsupportedError
from deploytool.convert.nir.read import read_nir
from deploytool.ir.events import EVENT, EventStream
from deploytool.ir.graph import Graph, chain
from deploytool.ir.neurons import Neurons
from deploytool.ir.nodes import Add, Concat, Conv, Input, Node, Output, Spike
from deploytool.ir.program import Layer, Program, Route, Synapses
from deploytool.ir.shapes import out_shape
from deploytool.ir.spec.verify import level_of, verify
from deploytool.ir.target import Watch
from deploytool.map.group import group
from deploytool.run.engine.clock_driven import run_clocked
from deploytool.run.engine.discretisation import How, TimeSteps
from deploytool.run.engine.event_driven import run_sample
from deploytool.run.plan.layers import LayerPlan, make_plan, state_type
from deploytool.run.reference.exponential import remains
from deploytool.run.reference.specification import run_reference


@given(st.data())
@settings(max_examples=30)
def test_looking_the_exponential_up_does_not_show(data: st.DataObject) -> None:
    program = data.draw(leaky_programs())
    stream = data.draw(streams(program.input_shape))
    plan = make_plan(program, state_type(program), vectors=True)
    shortened = replace(plan, layers=tuple(map(with_a_short_table, plan.layers)))
    looked_up_less = run_sample(shortened, stream, list(program.layers), keep_spikes=True)
    assert_same(looked_up_less, fast(program, stream))


def with_a_short_table(layer: LayerPlan) -> LayerPlan:
    """``layer`` with a table of the exponential that ends at 16 us."""
    if layer.leaky is None:
        return layer
    dynamics = layer.leaky.dynamics._replace(factors=layer.leaky.dynamics.factors[:16])
    return replace(layer, leaky=replace(layer.leaky, dynamics=dynamics))


@given(st.data())
@settings(max_examples=40)
def test_a_leak_is_the_exact_solution(data: st.DataObject) -> None:
    """Spikes and their times equal those of V computed in float64 from the closed form, event by event."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spike = Spike(
        threshold=1.0,
        floor=data.draw(st.sampled_from([None, -0.5])),
        reset=data.draw(st.sampled_from(["subtract", "zero"])),
        tau_ms=data.draw(st.floats(0.05, 50)),
        v_leak=data.draw(st.sampled_from([0.0, 0.4, -0.4])),
    )
    weights = rng.normal(0.15, 0.3, (1, 8, 1, 1)).astype(np.float32)
    graph = chain([("in", Input((8, 1, 1))), ("w", Conv(weights)), ("s", spike), ("out", Output())])
    events = np.zeros(300, EVENT)
    events["t"], events["c"] = np.cumsum(rng.integers(0, 400, 300)), rng.integers(0, 8, 300)
    found = run_reference(group(graph), EventStream(events, (8, 1, 1), int(events["t"][-1]) + 1)).spikes["w"]
    v, last, wanted, margin = 0.0, 0, [], math.inf
    for t, c in zip(events["t"].tolist(), events["c"].tolist(), strict=True):
        v = spike.v_leak + (v - spike.v_leak) * math.exp(-(t - last) / 1000 / spike.tau_ms) + float(weights[0, c, 0, 0])
        v, last = v if spike.floor is None else max(v, spike.floor), t
        margin = min(margin, abs(v - 1))
        if v >= 1:
            wanted.append(t)
            v = v - 1 if spike.reset == "subtract" else 0.0
    assert margin < 1e-4 or found["t"].tolist() == wanted


TRACES = {
    "exact": ("exact", "nengo", "spinnaker2", "lava_cpu_float", "lava_cpu_fixed", "lava_loihi_fixed", "spyx"),
    "impulse": ("sinabs", "rockpool"),
    "euler": ("norse", "snntorch"),
}
ONE_STEP_LATER = ("lava_cpu_float", "lava_cpu_fixed", "lava_loihi_fixed", "spyx")


@pytest.mark.parametrize(("how", "simulator"), [(how, name) for how, names in TRACES.items() for name in names])
def test_the_traces_of_the_nir_paper(shared_data: Path, how: How, simulator: str) -> None:
    """lif_norse.nir on its input: 1,000 steps of 0.1 ms; event by event the answer is the exact one."""
    program = group(read_nir(shared_data / "nir" / "lif_norse.nir", reset="subtract", dt_ms=0.1))
    inputs, *_, spikes = np.loadtxt(shared_data / "nir" / "lif_traces" / f"lif_{simulator}.csv", delimiter=",").T
    wanted = (np.flatnonzero(spikes) - (simulator in ONE_STEP_LATER)).tolist()
    assert wanted == ([450, 500, 710, 760] if how == "impulse" else [460, 510, 710, 760])
    events = np.zeros(int(np.count_nonzero(inputs)), EVENT)
    events["t"] = 100 * np.flatnonzero(inputs)
    stream = EventStream(events, (1, 1, 1), 100 * len(inputs))
    clocked = run_clocked(program, [stream], TimeSteps(len(inputs), how=how), Watch(rasters=1))
    assert (clocked.spikes["0"]["t"] // 100).tolist() == wanted
    if how == "exact":
        assert (run_reference(program, stream).spikes["0"]["t"] // 100).tolist() == wanted
        assert (fast(program, stream).spikes["0"]["t"] // 100).tolist() == wanted


def test_a_neuron_that_leaks_differs_from_one_that_does_not() -> None:
    nodes = [("in", Input((1, 1, 1))), ("s", Spike(threshold=1.5, tau_ms=1.0)), ("out", Output())]
    events = np.zeros(4, EVENT)
    events["t"] = [0, 100, 2000, 9000]
    stream = EventStream(events, (1, 1, 1), 10_000)
    assert fast(group(chain(nodes)), stream).spikes["s"]["t"].tolist() == [100]
    nodes[1] = ("s", Spike(threshold=1.5))
    assert fast(group(chain(nodes)), stream).spikes["s"]["t"].tolist() == [100, 2000]


@given(st.data())
@settings(max_examples=25)
def test_a_sum_of_currents_is_a_convolution_of_both_inputs(data: st.DataObject) -> None:
    """conv(a) + conv(b) gives the spikes of one conv of a beside b, and a shortcut those of weights of 1 and 0.

    Weights are such that float32 adds them without rounding."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    features, kernel, shortcut = data.draw(SMALL), data.draw(st.sampled_from([1, 3])), data.draw(st.booleans())

    def weights(out: int, into: int, size: int) -> np.ndarray:
        return (rng.integers(-64, 128, (out, into, size, size)) / 64).astype(np.float32)

    own = weights(features, features, kernel)
    other = np.eye(features, dtype=np.float32)[:, :, None, None] if shortcut else weights(features, features, kernel)
    kernel = 1 if shortcut else kernel
    own = own[:, :, :kernel, :kernel]
    padding = (kernel // 2, kernel // 2)
    nodes: dict[str, Node] = {
        "in": Input((2, 5, 5)),
        "a": Conv(weights(features, 2, 3), padding=(1, 1)),
        "sa": Spike(),
        "b": Conv(weights(features, 2, 3), padding=(1, 1)),
        "sb": Spike(),
        "s": Spike(0.75, -1.0, at_most_one=False),
        "out": Output(),
    }
    edges = (("in", "a"), ("a", "sa"), ("in", "b"), ("b", "sb"), ("s", "out"))
    added = Graph(
        nodes | {"c": Conv(own, padding=padding), "d": Conv(other, padding=padding), "add": Add()},
        (*edges, ("sa", "c"), ("sb", "d"), ("c", "add"), ("d", "add"), ("add", "s")),
    )
    if shortcut:
        added = Graph(
            nodes | {"c": Conv(own, padding=padding), "add": Add()},
            (*edges, ("sa", "c"), ("c", "add"), ("sb", "add"), ("add", "s")),
        )
    beside = Graph(
        nodes | {"join": Concat(), "c": Conv(np.concatenate([own, other], axis=1), padding=padding)},
        (*edges, ("sa", "join"), ("sb", "join"), ("join", "c"), ("c", "s")),
    )
    stream = data.draw(streams((2, 5, 5)))
    found, wanted = fast(group(added), stream), fast(group(beside), stream)
    assert found.spikes["c"].tolist() == wanted.spikes["c"].tolist()
    one, two = (run_clocked(group(graph), [stream], TimeSteps(6)) for graph in (added, beside))
    assert np.array_equal(one.counts["c"], two.counts["c"])


ONE = Synapses(np.ones((1, 1, 1, 1), np.float32), (1, 1, 1), (1, 1, 1))
REFUSED = [
    ({"tau_ms": 0.0}, "tau_ms is 0.0"),
    ({"tau_ms": np.arange(1.0, 4).reshape(3, 1, 1)}, r"tau_ms of shape \(3, 1, 1\)"),
    ({"tau_ms": 1.0, "tau_syn_ms": -1.0}, "tau_syn_ms is -1.0"),
    ({"v_reset": 1.0 - 1e-12}, "a v_reset that is not below the threshold"),
    ({"synapses": (ONE, ONE)}, "routes to synapses 0, but it has 2 synapses"),
    ({"synapses": (ONE, replace(ONE, weights=np.ones((1, 1, 1, 1), np.int8)))}, "synapses 1: weights of int8"),
    ({"synapses": (ONE, replace(ONE, in_shape=(1, 2, 2)))}, "synapses 1: an output map"),
]


@pytest.mark.parametrize(("change", "found"), REFUSED)
def test_what_cannot_be_run_is_refused(change: dict[str, object], found: str) -> None:
    layer = changed(Layer((ONE,), Neurons(1.0)), **change)
    program = Program("simulator", "float32", (1, 1, 1), (Route("it"),), {"it": layer}, ("it",), "")
    with pytest.raises(UnsupportedError, match=found):
        verify(program, level_of(program))


def test_integers_do_not_leak() -> None:
    layer = make_layer(np.ones((1, 1, 1, 1), np.int8), 1, (1, 1, 1), (1, 1, 1), (), tau_ms=1.0)
    program = Program("simulator", "int8/int16", (1, 1, 1), (Route("it"),), {"it": layer}, ("it",), "")
    with pytest.raises(UnsupportedError, match=r"it: a leak .*; need integrate-and-fire neurons in int8/int16"):
        verify(program, level_of(program))


def test_shapes_of_synapses_come_from_one_rule() -> None:
    conv = Conv(np.ones((4, 2, 1, 1), np.float32), stride=(2, 2))
    nodes: dict[str, Node] = {
        "in": Input((2, 6, 6)),
        "a": Conv(np.ones((4, 2, 3, 3), np.float32), stride=(2, 2), padding=(1, 1)),
        "b": conv,
        "add": Add(),
        "s": Spike(3.0),
        "out": Output(),
    }
    edges = (("in", "a"), ("in", "b"), ("b", "add"), ("a", "add"), ("add", "s"), ("s", "out"))
    program = group(Graph(nodes, edges))
    (layer,) = program.layers.values()
    assert list(program.layers) == ["b"]
    assert layer.sources == ("b", "a", "add", "s")
    assert layer.synapses[1].out_shape == layer.out_shape == out_shape(conv, (2, 6, 6))
    assert [(route.to, route.synapses) for route in program.input_routes] == [("b", 0), ("b", 1)]


@given(st.integers(0, 10**12), st.floats(1e-3, 1e9))
def test_what_remains_is_the_exponential(passed_us: int, tau_us: float) -> None:
    wanted = math.exp(-passed_us / tau_us)
    assert remains(passed_us, tau_us) == pytest.approx(wanted, rel=2**-51, abs=1e-299)
