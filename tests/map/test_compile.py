"""The compiler as a whole: check, suggestions, mapping, and the chip's configuration."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.chip.chips import CHIPS
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Add, Conv, Input, Node, Output, Spike, SumPool
from deploytool.ir.spec.verify import check_rules
from deploytool.map.compile import check, compile_graph
from deploytool.map.cores import Extras
from deploytool.map.emit import configuration
from deploytool.map.group import group

CHIP = CHIPS["speck2e"]


def _weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def test_check_as_json(nmnist: Graph) -> None:
    found = check(nmnist, CHIP).as_json()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"fits", "chip", "layers", "issues", "growth", "splits", "suggestions"}
    assert found["fits"] is True
    assert found["layers"][1] == {
        "name": "conv2",
        "kernel_bits": 11,
        "neuron_bits": 14,
        "kernel_words": 8 << 8,
        "neuron_words": 16 << 10,
        "fits_cores": [0, 1, 2, 3, 4, 5, 6, 7, 8],
        "core": 1,
        "free_features": None,
    }
    refused = check(nmnist, CHIP, {"conv1": 0, "conv2": 0}).as_json()
    assert {layer["core"] for layer in refused["layers"]} == {None}
    assert set(refused["issues"][0]) == {"rule", "layer", "says", "hint"}
    strided = Conv(_weight(2, 2, 3, 3), stride=(3, 3))
    mended = check(chain([("in", Input((2, 9, 9))), ("a", strided), ("s", Spike()), ("out", Output())]), CHIP).as_json()
    assert set(mended["suggestions"][0]) == {"number", "says", "changes", "splits", "cost"}


def test_check_and_compile_agree_on_cores_and_obey_pins(nmnist: Graph) -> None:
    checked = {layer.name: layer.core for layer in check(nmnist, CHIP, {"conv1": 1, "fc1": 5}).layers}
    mapped = compile_graph(nmnist, CHIP, pins={"conv1": 1, "fc1": 5})
    assert checked == mapped.program.core_of
    assert (checked["conv1"], checked["fc1"]) == (1, 5)
    assert not check(nmnist, CHIP, {"conv1": 5}).fits


def test_check_takes_a_residual_addition() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 8, 8)),
        "a": Conv(_weight(2, 2, 1, 1)),
        "sa": Spike(),
        "b": Conv(_weight(2, 2, 1, 1)),
        "sb": Spike(),
        "add": Add(),
        "c": Conv(_weight(2, 2, 3, 3), stride=(3, 3)),
        "sc": Spike(),
        "out": Output(),
    }
    edges = (
        ("in", "a"),
        ("a", "sa"),
        ("sa", "b"),
        ("b", "sb"),
        ("sa", "add"),
        ("sb", "add"),
        ("add", "c"),
        ("c", "sc"),
        ("sc", "out"),
    )
    report = check(Graph(nodes, edges), CHIP)
    assert [(issue.rule, issue.layer) for issue in report.issues] == [("stride", "c")]
    with pytest.raises(UnsupportedError, match=r"c: a leak .*need integrate-and-fire"):
        check(Graph({**nodes, "sc": Spike(tau_ms=3.0)}, edges), CHIP)


@pytest.mark.parametrize("compiled", [check, compile_graph])
def test_neurons_of_the_simulator_alone_are_refused_with_all_reasons(compiled: Callable[..., object]) -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 8, 8)),
        "a": Conv(_weight(2, 2, 1, 1)),
        "b": Conv(_weight(2, 2, 2, 2), stride=(2, 2)),
        "a_pool": SumPool((2, 2), (2, 2)),
        "add": Add(),
        "s": Spike(reset="zero", tau_ms=2.0, v_reset=-1.0),
        "out": Output(),
    }
    edges = (("in", "a_pool"), ("a_pool", "a"), ("in", "b"), ("a", "add"), ("b", "add"), ("add", "s"), ("s", "out"))
    with pytest.raises(UnsupportedError) as caught:
        compiled(Graph(nodes, edges), CHIP)
    leak, v_reset, added = map(str, caught.value.problems)
    assert "a leak" in leak
    assert "simulator" in leak
    assert "a v_reset that is not 0" in v_reset
    assert (
        "an Add of the currents of 2 sets of weights (1x1 with stride 1x1 on 4x4, 2x2 with stride 2x2 on 8x8)" in added
    )
    assert "Give them the same stride and pooling" in added


def test_mapping_keeps_the_float_program_and_reports_every_layer(nmnist: Graph) -> None:
    mapped = compile_graph(nmnist, CHIP)
    assert mapped.program.arithmetic == "int8/int16"
    assert mapped.program.graph_digest == mapped.float_program.graph_digest == nmnist.digest
    assert [layer.layer for layer in mapped.quantisation] == list(mapped.float_program.layers)
    assert compile_graph(nmnist, CHIP).program.digest == mapped.program.digest
    four = compile_graph(nmnist, CHIP, replace(CHIP.integers, weight_bits=4)).program
    assert max(int(np.abs(layer.single.weights).max()) for layer in four.layers.values()) <= 8


def test_the_configuration_speaks_the_vendors_language(nmnist: Graph) -> None:
    program = compile_graph(nmnist, CHIP, pins={"conv1": 0, "conv2": 2, "conv3": 3, "fc1": 4}).program
    found = json.loads(json.dumps(configuration(program, CHIP)))
    cores = found["cnn_layers"]
    assert [core and core["name"] for core in cores] == ["conv1", None, "conv2", "conv3", "fc1", None, None, None, None]
    first, last = cores[0], cores[4]
    assert first["dimensions"] == {
        "input_shape": {"feature_count": 2, "size": {"x": 34, "y": 34}},
        "output_shape": {"feature_count": 8, "size": {"x": 34, "y": 34}},
        "kernel_size": 3,
        "stride": {"x": 1, "y": 1},
        "padding": {"x": 1, "y": 1},
    }
    assert first["destinations"] == [
        {"enable": True, "layer": 2, "pooling": 2, "feature_shift": 0},
        {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0},
    ]
    layer = program.layers["conv1"]
    assert first["weights"][3][1][0][2] == layer.single.weights[3, 1, 2, 0]
    assert (first["threshold_high"], first["threshold_low"]) == (layer.neurons.threshold, layer.neurons.floor)
    assert np.shape(first["neurons_initial_value"]) == (8, 34, 34)
    assert (first["leak_enable"], first["return_to_zero"], first["biases"]) == (False, False, [0] * 8)
    assert [core["monitor_enable"] for core in cores if core] == [False, False, False, True]
    assert not any(destination["enable"] for destination in last["destinations"])
    assert found["dvs_layer"]["destinations"][0] == {"enable": True, "layer": 0}
    assert found["dvs_layer"]["cut"] == {"x": 33, "y": 33}
    assert found["dvs_layer"]["merge"] is False


def test_a_configuration_needs_a_program_mapped_for_the_chip(nmnist: Graph) -> None:
    mapped = compile_graph(nmnist, CHIP)
    with pytest.raises(InputError, match="mapped for speck2e"):
        configuration(mapped.float_program, CHIP)


def test_axes_that_differ_stay_apart_in_the_configuration() -> None:
    conv = Conv(_weight(2, 1, 3, 3), np.array([0.5, 0.25]), (2, 1), (1, 0))
    graph = chain([("in", Input((1, 12, 20))), ("conv", conv), ("s", Spike(reset="zero")), ("out", Output())])
    found = configuration(compile_graph(graph, CHIP, extras=Extras(slow_clock_hz=100)).program, CHIP)
    core = next(core for core in found["cnn_layers"] if core)
    assert core["dimensions"]["stride"] == {"x": 1, "y": 2}
    assert core["dimensions"]["padding"] == {"x": 0, "y": 1}
    assert core["dimensions"]["output_shape"] == {"feature_count": 2, "size": {"x": 18, "y": 6}}
    assert np.shape(core["neurons_initial_value"]) == (2, 18, 6)
    assert core["leak_enable"]
    assert core["return_to_zero"]
    assert core["threshold_low"] == -32768
    assert found["dvs_layer"]["merge"] is True


def test_checking_is_quick_and_loads_no_framework(nmnist: Graph) -> None:
    started = time.process_time()
    check(nmnist, CHIP)
    assert time.process_time() - started < 0.2
    code = "import deploytool.map.compile, deploytool.map.emit, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numba", "nir", "h5py", "tonic", "scipy", "samna"} & set(loaded)


def test_the_rest_of_17_by_2_does_not_reach_a_stride_of_2(nmnist: Graph) -> None:
    assert check_rules(group(nmnist), CHIP) == ()
