"""LIF and CubaLIF: what a spike does to them, against the equations and against other simulators."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploytool.base.errors import DeployError, InputError, UnsupportedError, UsageError
from deploytool.chip.chips import CHIPS
from deploytool.convert.nir import read_nir, write_nir
from deploytool.convert.nir.fields import Assumptions, Fields
from deploytool.convert.nir.neurons import current_based, leaky, needs_time_step
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Input, Linear, Output, Spike
from deploytool.map.compile import check
from deploytool.map.group import group

times_ms = st.floats(0.2, 50)
EDGES = [("input", "n"), ("n", "output")]


def lif(**changes: Any) -> dict[str, Any]:
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, **changes}
    return {"type": "LIF", **{name: np.atleast_1d(value) for name, value in values.items()}}


def cuba(**changes: Any) -> dict[str, Any]:
    values = {"tau_syn": 0.004, "tau_mem": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "w_in": 1.0, **changes}
    return {"type": "CubaLIF", **{name: np.atleast_1d(value) for name, value in values.items()}}


def read(fields: dict[str, Any], dt_ms: float, reset: str = "subtract") -> Spike:
    reader = leaky if fields["type"] == "LIF" else current_based
    return reader(Fields("a node", fields), Assumptions(reset, None, dt_ms))


def membrane(spike: Spike, weight: float, after_ms: float) -> float:
    """V at ``after_ms`` after an event of ``weight``, by the equations in Spike's docstring, from rest."""
    tau, leak = spike.tau_ms, spike.v_leak
    assert isinstance(tau, float)
    assert isinstance(leak, float)
    decay = math.exp(-after_ms / tau)
    if spike.tau_syn_ms is None:
        return leak + (weight - leak) * decay
    syn = spike.tau_syn_ms
    assert isinstance(syn, float)
    apart = after_ms / syn - after_ms / tau
    driven = after_ms / tau * decay * (-math.expm1(-apart) / apart if apart else 1.0)
    return leak * (1 - decay) + weight * driven


@settings(max_examples=30)
@given(tau=times_ms, r=st.floats(0.1, 30), leak=st.floats(-1, 1), dt=st.floats(0.05, 1), later=st.floats(0, 30))
def test_an_event_has_the_effect_of_a_current_that_is_held(
    tau: float, r: float, leak: float, dt: float, later: float
) -> None:
    """NIR's equation, solved for a current of 0.7 during dt, after which time goes on."""
    spike = read(lif(tau=tau / 1000, r=r, v_leak=leak), dt)
    held = leak * (1 - math.exp(-dt / tau)) + r * 0.7 * (1 - math.exp(-dt / tau))
    exact = leak + (held - leak) * math.exp(-later / tau)
    leaked = membrane(spike, 0.0, dt)
    after = membrane(spike, 0.7 + leaked, later)
    assert after / spike.threshold == pytest.approx(exact, rel=1e-9, abs=1e-9)


@settings(max_examples=30)
@given(tau=times_ms, syn=times_ms, r=st.floats(0.1, 9), w_in=st.floats(0.1, 9), later=st.floats(0, 30))
def test_an_event_moves_the_current_of_a_synapse(tau: float, syn: float, r: float, w_in: float, later: float) -> None:
    """tau_mem dv/dt = -v + r I from v = 0 and I = w_in 0.7 (1 - exp(-dt / tau_syn)), by many small steps."""
    dt = 0.1
    spike = read(cuba(tau_mem=tau / 1000, tau_syn=syn / 1000, r=r, w_in=w_in), dt)
    step = later / 2000
    v, current = 0.0, w_in * 0.7 * (1 - math.exp(-dt / syn))
    for _ in range(2000):
        middle = current * math.exp(-step / 2 / syn)
        v = v * math.exp(-step / tau) + r * middle * (1 - math.exp(-step / tau))
        current *= math.exp(-step / syn)
    assert membrane(spike, 0.7, later) / spike.threshold == pytest.approx(v, rel=1e-3, abs=1e-6)


def test_the_exact_trace_of_the_nir_paper(shared_data: Path) -> None:
    """V and spikes of lif_norse.nir, step by step, as the exact solution in ../shared has them.

    There a spike falls inside a step, at the moment of the crossing; after it V differs by less than 1 % of the
    threshold.
    """
    graph = read_nir(shared_data / "nir" / "lif_norse.nir", reset="subtract", dt_ms=0.1)
    spike, (((weight,),),) = graph.nodes["1"], (graph.nodes["0"].weight.tolist(),)
    inputs, voltages, spikes = np.loadtxt(shared_data / "nir" / "lif_traces" / "lif_exact.csv", delimiter=",").T
    v, found = 0.0, []
    for step, (events, voltage) in enumerate(zip(inputs, voltages, strict=True)):
        v = v * math.exp(-0.1 / spike.tau_ms) + weight * events
        if v >= spike.threshold:
            v -= spike.threshold
            found.append(step)
        assert v / spike.threshold * 0.1 == pytest.approx(voltage, abs=1e-3 if found else 1e-7)
    assert found == np.flatnonzero(spikes).tolist() == [460, 510, 710, 760]


def file_with(path: Path, fields: dict[str, Any], size: int = 1) -> Path:
    nodes = {"input": {"type": "Input", "shape": [size]}, "n": fields, "output": {"type": "Output"}}
    with h5py.File(path, "w") as file:
        top = file.create_group("node")
        top["type"] = "NIRGraph"
        top.create_dataset("edges", data=np.array(EDGES, dtype=object), dtype=h5py.string_dtype())
        for name, members in nodes.items():
            node = top.create_group(f"nodes/{name}")
            for key, value in members.items():
                node[key] = value
    return path


def test_the_time_step_is_asked_for_together_with_the_reset(tmp_path: Path) -> None:
    path = file_with(tmp_path / "net.nir", lif())
    with pytest.raises(UsageError, match="--dt-ms") as error:
        read_nir(path)
    assert len(error.value.problems) == 2
    assert read_nir(path, "zero", dt_ms=0.5).dt_ms == 0.5
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="--dt-ms: found"):
            read_nir(path, "zero", dt_ms=wrong)


def test_parameters_per_neuron_and_a_missing_or_single_w_in(tmp_path: Path) -> None:
    two = {name: np.repeat(value, 2) for name, value in cuba().items() if name != "type"} | {"type": "CubaLIF"}
    two["tau_mem"] = np.array([0.01, 0.02])
    spike = read_nir(file_with(tmp_path / "a.nir", two, 2), "subtract", dt_ms=1.0).nodes["n"]
    assert spike.tau_ms.shape == (2, 1, 1)
    assert spike.tau_syn_ms == 4.0
    without = {name: value for name, value in two.items() if name != "w_in"}
    assert (
        read_nir(file_with(tmp_path / "b.nir", without, 2), "subtract", dt_ms=1.0).nodes["n"].threshold
        == spike.threshold
    )
    single = read_nir(file_with(tmp_path / "c.nir", two | {"w_in": 2.0}, 2), "subtract", dt_ms=1.0).nodes["n"]
    assert single.threshold == pytest.approx(spike.threshold / 2)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        (lif(tau=-0.01), InputError, "tau is -0.01; need time constants above 0"),
        (lif(r=-1.0), UnsupportedError, "r is -1.0"),
        (lif(r=[1.0, 2.0]), InputError, "parameters of different shapes"),
        (lif(v_reset=0.5), UnsupportedError, "a nonzero v_reset with reset by subtraction"),
        (lif(v_initial=1.0), UnsupportedError, "field 'v_initial'"),
        (cuba(tau_syn=0.0), InputError, "tau_syn is 0.0"),
        (cuba(tau_mem=math.nan), InputError, "tau_mem has 1 values that are not finite"),
        (cuba(w_in=-1.0), UnsupportedError, "need an input gain above 0"),
    ],
)
def test_what_has_no_equal_is_refused(
    fields: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        read_nir(file_with(tmp_path / "net.nir", fields), "subtract", dt_ms=0.1)


def written(spike: Spike, dt_ms: float | None, path: Path) -> Graph:
    nodes = [("in", Input((2, 1, 1))), ("fc", Linear(np.eye(2))), ("n", spike), ("out", Output())]
    write_nir(chain(nodes, dt_ms), path)
    return read_nir(path)


@pytest.mark.parametrize("dt_ms", [None, 0.1, 7.0])
@pytest.mark.parametrize("syn", [None, 3.0, np.array([3.0, 4.0]).reshape(2, 1, 1)])
def test_what_is_written_has_an_input_gain_of_one_for_nir_too(dt_ms: float | None, syn: Any, tmp_path: Path) -> None:
    spike = Spike(0.3, tau_ms=np.array([9.0, 5.0]).reshape(2, 1, 1), tau_syn_ms=syn, v_leak=0.1)
    graph = written(spike, dt_ms, tmp_path / "net.nir")
    assert isinstance(nir.read(tmp_path / "net.nir").nodes["n"], nir.LIF if syn is None else nir.CubaLIF)
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        del file["node/nodes/n/metadata"]
    if dt_ms is not None:
        silent = read_nir(tmp_path / "net.nir", "subtract").nodes["n"]
        assert silent.threshold == pytest.approx(np.float32(0.3), rel=1e-12)
        np.testing.assert_allclose(silent.tau_ms, graph.nodes["n"].tau_ms, rtol=1e-12)


def test_a_stated_time_constant_must_be_that_of_the_node(tmp_path: Path) -> None:
    spike = Spike(tau_ms=np.array([9.0, 5.0]).reshape(2, 1, 1), tau_syn_ms=2.0)
    for index, (field, value) in enumerate(itertools.product(("tau_mem", "tau_syn", "r", "w_in"), (0.03, 0.5))):
        path = tmp_path / f"{index}.nir"
        written(spike, 1.0, path)
        with h5py.File(path, "r+") as file:
            file[f"node/nodes/n/{field}"][...] = value
        with pytest.raises(InputError, match=r"'n'.*stated time constants"):
            read_nir(path)
    written(spike, 1.0, path)
    with h5py.File(path, "r+") as file:
        text = file["node/nodes/n/metadata/deploytool"].asstr()[()]
        for wrong in ("[9.0]", '[9.0, "5"]', "-9.0", "[9.0, true]"):
            file["node/nodes/n/metadata/deploytool"][...] = text.replace("[9.0, 5.0]", wrong)
            file.flush()
            with pytest.raises(InputError, match="metadata states tau_ms"):
                read_nir(path)


def test_leaks_are_for_the_simulator_and_refused_for_the_chip_by_name(shared_data: Path) -> None:
    graph = read_nir(shared_data / "nir" / "lif_norse.nir", reset="subtract", dt_ms=0.1)
    assert group(graph).layers["0"].neurons.leak.tau_ms == pytest.approx(2.5)
    with pytest.raises(UnsupportedError, match="0: a leak"):
        check(graph, CHIPS["speck2e"])
    for spike, found in (
        (Spike(v_reset=0.5), "'n': a v_reset that is not 0 with reset by subtraction"),
        (Spike(reset="zero", v_reset=1.0), "'n': a v_reset that is not below the threshold"),
    ):
        with pytest.raises(DeployError, match=found):
            group(chain([("in", Input((1, 1, 1))), ("n", spike), ("out", Output())]))


def test_a_spike_without_a_membrane_s_time_constant_has_no_leak() -> None:
    for wrong in ({"tau_syn_ms": 1.0}, {"v_leak": 0.5}, {"tau_ms": 0.0}, {"tau_ms": 1.0, "tau_syn_ms": np.zeros(1)}):
        with pytest.raises(InputError, match="Spike"):
            Spike(**wrong)


def test_a_leak_that_is_infinitely_slow_is_none() -> None:
    """snnTorch's Leaky(beta=1): tau = r = infinity, and an event moves V by its weight."""
    fields = lif(tau=np.full(3, np.inf), r=np.full(3, np.inf), v_leak=np.zeros(3), v_threshold=np.ones(3))
    spike = leaky(Fields("a node", fields), Assumptions("subtract", None, None))
    assert (spike.tau_ms, spike.threshold, spike.v_leak) == (None, 1.0, 0.0)
    assert not needs_time_step(Fields("a node", fields))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tau": [np.inf, 0.01], "r": [np.inf, 1.0]}, "tau is infinite for some neurons only"),
        ({"tau": [np.inf] * 2, "r": [1.0] * 2}, "tau is infinite but r is finite, so no input changes V"),
        ({"tau": [-np.inf] * 2, "r": [np.inf] * 2}, "tau is infinite for some neurons only|above 0"),
        ({"tau": [np.nan] * 2}, "not finite"),
    ],
)
def test_other_infinities_are_refused(changes: dict[str, Any], says: str) -> None:
    fields = lif(**{"r": [1.0] * 2, "v_leak": [0.0] * 2, "v_threshold": [1.0] * 2} | changes)
    with pytest.raises(InputError, match=says):
        leaky(Fields("a node", fields), Assumptions("subtract", None, 0.1))


@pytest.mark.parametrize(
    ("changes", "floor", "says"),
    [
        ({"r": [1e-20] * 2, "v_threshold": [1.0, 1e30]}, None, "threshold has 1 values that are not finite"),
        ({"r": [1e-20] * 2, "v_leak": [1.0, 1e30]}, None, "v_leak has 1 values that are not finite"),
        ({"r": [1e-40] * 2, "v_threshold": [1e-30] * 2}, -1.0, "the floor over the input gain has 1 values"),
    ],
)
def test_quotients_beyond_all_numbers_are_refused(
    changes: dict[str, Any], floor: float | None, says: str, tmp_path: Path
) -> None:
    fields = lif(**{"r": [1.0] * 2, "tau": [0.01] * 2, "v_leak": [0.0] * 2, "v_threshold": [1.0] * 2} | changes)
    path = file_with(tmp_path / "net.nir", fields, 2)
    with pytest.raises(InputError, match=says):
        read_nir(path, reset="subtract", floor=floor, dt_ms=0.1)


def test_a_time_constant_near_zero_forgets_within_a_step(tmp_path: Path) -> None:
    fields = lif(tau=[5e-324, 1e-3], r=[1.0] * 2, v_leak=[0.0] * 2, v_threshold=[1.0] * 2)
    path = file_with(tmp_path / "net.nir", fields, 2)
    with pytest.raises(UsageError, match="--dt-ms"):
        read_nir(path, reset="subtract")
    spike = read_nir(path, reset="subtract", dt_ms=1.0).nodes["n"]
    assert isinstance(spike, Spike)
    assert np.ravel(spike.threshold) == pytest.approx([1.0, 1 / -math.expm1(-1)])


@pytest.mark.parametrize("fields", [{"type": "IF", "r": 1.0, "v_threshold": 1.0}, lif(), cuba()])
def test_no_python_runs_for_each_neuron(fields: dict[str, Any], tmp_path: Path) -> None:
    many = {name: value if name == "type" else np.full(100_000, value) for name, value in fields.items()}
    path = file_with(tmp_path / "net.nir", many, 100_000)
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls))
    try:
        read_nir(path, reset="subtract", dt_ms=0.1)
    finally:
        sys.setprofile(None)
    assert next(calls) < 50_000
