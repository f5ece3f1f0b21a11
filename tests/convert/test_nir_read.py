"""Files of other writers: what is read, and what is refused by name."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.convert.nir import read_nir, write_nir
from deploytool.ir.graph import Graph
from deploytool.ir.neurons import Reset
from deploytool.ir.nodes import Add, Conv, Linear, Spike

WEIGHT = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
CONV = {
    "type": "Conv2d",
    "weight": WEIGHT,
    "bias": np.zeros(1, np.float32),
    "stride": 1,
    "padding": 0,
    "dilation": np.array([1, 1]),
    "groups": 1,
    "input_shape": np.array([6, 6]),
}
FC = {"type": "Linear", "weight": np.ones((3, 16), np.float32)}
INPUT = {"type": "Input", "shape": np.array([2, 6, 6])}
FLATTEN = {"type": "Flatten", "start_dim": 1, "end_dim": -1, "input_type": np.array([1, 4, 4])}


def neurons(*shape: int, **fields: Any) -> dict[str, Any]:
    ones = np.ones(shape, np.float32)
    return {"type": "IF", "r": ones, "v_threshold": ones, **fields}


def write(path: Path, nodes: dict[str, dict[str, Any]], edges: list[tuple[str, str]] | None = None) -> Path:
    """A file made field by field; without ``edges`` the nodes form a chain."""
    names = list(nodes)
    members = {"type": "NIRGraph", "nodes": nodes, "edges": edges or list(itertools.pairwise(names))}
    with h5py.File(path, "w") as file:
        put(file.create_group("node"), members)
    return path


def put(group: h5py.Group, members: dict[str, Any]) -> None:
    for name, value in members.items():
        if isinstance(value, dict):
            put(group.create_group(name), value)
        elif name == "edges":
            group.create_dataset(name, data=np.array(value, dtype=object), dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)


def standard(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = {
        "input": INPUT,
        "conv": CONV,
        "if1": neurons(1, 4, 4),
        "flat": FLATTEN,
        "fc": FC,
        "if2": neurons(3),
        "output": {"type": "Output", "shape": np.array([3])},
    }
    return {**nodes, **changes}


def read(path: Path, nodes: dict[str, dict[str, Any]], edges: list[tuple[str, str]] | None = None) -> Graph:
    return read_nir(write(path / "net.nir", nodes, edges), "subtract")


def test_a_file_of_other_hands(tmp_path: Path) -> None:
    graph = read(tmp_path, standard())
    assert graph.shapes["if2"] == (3, 1, 1)
    assert graph.nodes["conv"].bias is None
    assert graph.nodes["if1"].threshold == 1.0
    assert graph.nodes["if1"].floor is None


def test_a_file_of_the_nir_package_itself(tmp_path: Path) -> None:
    ones = np.ones(3, np.float32)
    network = nir.NIRGraph.from_list(nir.Affine(np.ones((3, 2)), ones), nir.IF(ones, ones))
    nir.write(tmp_path / "net.nir", network)
    graph = read_nir(tmp_path / "net.nir", "zero", -2.0)
    assert graph.nodes["affine"].bias.tolist() == [1, 1, 1]
    assert (graph.nodes["if"].reset, graph.nodes["if"].floor) == ("zero", -2.0)


def test_the_reset_rule_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "net.nir", standard())
    with pytest.raises(UsageError, match=r"if1, if2 reset; need --reset subtract\|zero"):
        read_nir(path)
    with pytest.raises(UsageError, match="--floor"):
        read_nir(path, "subtract", 0.5)


@pytest.mark.parametrize("left_out", [{"input"}, {"output"}, {"input", "output"}])
def test_files_of_older_versions_without_ends(left_out: set[str], tmp_path: Path) -> None:
    nodes = {name: fields for name, fields in standard().items() if name not in left_out}
    assert read(tmp_path, nodes).digest == read(tmp_path, standard()).digest


def test_an_input_without_a_shape_and_a_convolution_without_one(tmp_path: Path) -> None:
    shapeless = {name: value for name, value in CONV.items() if name != "input_shape"}
    assert read(tmp_path, standard(conv=shapeless)).shapes["conv"] == (1, 4, 4)
    assert read(tmp_path, standard(input={"type": "Input"})).shapes["input"] == (2, 6, 6)
    with pytest.raises(InputError, match="no input shape, and none can be inferred from node 'conv'"):
        read(tmp_path, standard(input={"type": "Input"}, conv=shapeless))


def test_no_end_is_added_to_a_file_that_has_some(tmp_path: Path) -> None:
    nodes = standard() | {"stray": neurons(3)}
    edges = list(itertools.pairwise(standard()))
    with pytest.raises(InputError, match="'stray'"):
        read(tmp_path, nodes, edges)


def test_a_subgraph_is_flattened_with_dotted_names(tmp_path: Path) -> None:
    deepest = {
        "type": "NIRGraph",
        "nodes": {"input": {"type": "Input"}, "if": neurons(1, 4, 4), "output": {"type": "Output"}},
        "edges": [("input", "if"), ("if", "output")],
    }
    inner = {
        "type": "NIRGraph",
        "nodes": {"i": {"type": "Input"}, "conv": CONV, "block": deepest, "o": {"type": "Output"}},
        "edges": [("i", "conv"), ("conv", "block"), ("block", "o")],
    }
    graph = read(tmp_path, {"input": INPUT, "stage": inner, "flat": FLATTEN, "output": {"type": "Output"}})
    assert graph.order == ("input", "stage.conv", "stage.block.if", "flat", "output")


def test_several_inputs_are_summed(tmp_path: Path) -> None:
    nodes = {"in": INPUT, "a": neurons(2, 6, 6), "b": neurons(2, 6, 6), "conv": CONV, "out": {"type": "Output"}}
    graph = read(tmp_path, nodes, [("in", "a"), ("in", "b"), ("a", "conv"), ("b", "conv"), ("conv", "out")])
    assert isinstance(graph.nodes["conv.add"], Add)
    assert graph.sources("conv.add") == ("a", "b")


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(2, (2, 2)), (np.array([1, 2]), (1, 2)), ("valid", (0, 0)), ("same", (1, 1)), (np.array([3]), (3, 3))],
)
def test_padding_in_all_its_forms(padding: Any, expected: tuple[int, int], tmp_path: Path) -> None:
    nodes = {"input": INPUT, "conv": {**CONV, "padding": padding}, "output": {"type": "Output"}}
    assert read(tmp_path, nodes).nodes["conv"].padding == expected


@pytest.mark.parametrize(("padding", "expected"), [(2, 2), ("same", 2), ("valid", 0)])
def test_a_convolution_of_rows(padding: Any, expected: int, tmp_path: Path) -> None:
    weight = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    conv = {
        "type": "Conv1d",
        "weight": weight,
        "bias": np.zeros(2),
        "stride": 1,
        "padding": padding,
        "dilation": 2,
        "groups": 1,
        "input_shape": 9,
    }
    length = 9 + 2 * expected - 4
    nodes = {
        "input": {"type": "Input", "shape": np.array([2, 9])},
        "conv": conv,
        "if": neurons(2, length),
        "flat": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([2, length])},
        "fc": {"type": "Linear", "weight": np.ones((3, 2 * length), np.float32)},
        "if2": neurons(3),
        "output": {"type": "Output"},
    }
    graph = read(tmp_path, nodes)
    node = graph.nodes["conv"]
    assert isinstance(node, Conv)
    assert np.array_equal(node.weight, weight[:, :, None])
    assert (node.padding, node.dilation, graph.shapes["if"]) == ((0, expected), (1, 2), (2, 1, length))
    with pytest.raises(InputError, match="'conv': weight has 4 axes; need 3"):
        read(tmp_path, {**nodes, "conv": {**conv, "weight": weight[:, :, None]}})
    with pytest.raises(InputError, match=r"'conv'.*2x1x8"):
        read(tmp_path, {**nodes, "conv": {**conv, "input_shape": 8}})
    written = tmp_path / "written.nir"
    write_nir(graph, written)
    assert read_nir(written).digest == graph.digest


def test_parameters_of_neurons(tmp_path: Path) -> None:
    def spike(reset: Reset = "zero", dt_ms: float | None = None, **fields: Any) -> Spike:
        nodes = {"input": {"type": "Input", "shape": np.array([3])}, "if": neurons(3, **fields)}
        path = write(tmp_path / "net.nir", nodes | {"output": {"type": "Output"}})
        return read_nir(path, reset, -1.0, dt_ms).nodes["if"]

    one = {"r": np.float32(1), "v_threshold": np.float32(0.5)}
    assert spike(**one).threshold == 0.5
    assert spike(v_threshold=np.array([0.5, 0.5, 0.5])).threshold == 0.5
    assert spike(v_threshold=np.array([1.0, 2.0, 3.0])).threshold.tolist() == [[[1]], [[2]], [[3]]]
    assert spike(v_reset=np.zeros(3)).reset == "zero"
    assert spike(v_reset=np.full(3, 0.5)).v_reset == 0.5
    assert spike(r=np.full(3, np.float32(1e4)), dt_ms=0.1).threshold == 1.0
    half = spike(r=np.full(3, 2.0), dt_ms=1000.0)
    assert (half.threshold, half.floor) == (0.5, -0.5)
    with pytest.raises(UsageError, match="how long a spike drives the neurons if; need --dt-ms"):
        spike(r=np.full(3, 2.0))
    with pytest.raises(UnsupportedError, match="r differs"):
        spike(r=np.array([1.0, 2.0, 1.0]), dt_ms=1.0)
    with pytest.raises(UnsupportedError, match="a nonzero v_reset with reset by subtraction"):
        spike("subtract", v_reset=np.full(3, 0.5))
    with pytest.raises(InputError, match="v_reset below v_threshold"):
        spike(v_reset=np.ones(3))
    with pytest.raises(InputError, match="parameters of different shapes"):
        spike(r=np.ones(2))
    with pytest.raises(InputError, match="above 0"):
        spike(v_threshold=np.zeros(3))


def test_unknown_fields_of_newer_versions(tmp_path: Path) -> None:
    new = {"v_reset": np.zeros((1, 4, 4)), "v_initial": np.zeros((1, 4, 4)), "metadata": {"author": "someone"}}
    assert read(tmp_path, standard(if1=neurons(1, 4, 4, **new))).digest == read(tmp_path, standard()).digest
    signalling = np.full((1, 4, 4), 0x7FF0000000000001).view(np.float64)
    for initial in (np.ones((1, 4, 4)), signalling):
        with pytest.raises(UnsupportedError, match=r"'if1': IF has an unknown field 'v_initial'"):
            read(tmp_path, standard(if1=neurons(1, 4, 4, v_initial=initial)))


def test_everything_unsupported_is_named_at_once(tmp_path: Path) -> None:
    pool = {"type": "AvgPool2d", "kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": 1}
    delay = {"type": "Delay", "delay": np.array(1e-7)}
    nodes = {"input": INPUT, "delay": delay, "pool": pool, "li": {"type": "LI"}}
    with pytest.raises(UnsupportedError) as error:
        read(tmp_path, nodes | {"output": {"type": "Output"}})
    assert [problem.split("'")[1] for problem in error.value.problems] == ["delay", "li", "pool"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"if1": neurons(1, 5, 5)}, r"node 'if1': states the shape 1x5x5 but gets or gives 1x4x4"),
        ({"output": {"type": "Output", "shape": np.array([4])}}, "'output'.*4x1x1"),
        ({"conv": {**CONV, "input_shape": np.array([7, 7])}}, "'conv'.*2x7x7"),
        ({"conv": {**CONV, "weight": WEIGHT * np.nan}}, "'conv': weight has 18 values that are not finite"),
        ({"conv": {k: v for k, v in CONV.items() if k != "stride"}}, "'conv': Conv2d has no field 'stride'"),
        ({"conv": {**CONV, "weight": WEIGHT[0]}}, "'conv': weight has 3 axes; need 4"),
        ({"conv": {**CONV, "stride": 0}}, "'conv': stride is 0; need whole numbers of at least 1"),
        ({"conv": {**CONV, "padding": "round"}}, "'conv': padding is 'round'"),
        ({"conv": {**CONV, "weight": np.empty((0, 2, 3, 3))}}, "'conv': weight is empty"),
        ({"fc": {"type": "Linear", "weight": np.ones((3, 17))}}, "'fc': Linear takes 17 values but gets 16x1x1"),
        ({"input": {"type": "Input", "shape": np.array([2, 2, 6, 6])}}, "'input': shape: a shape"),
        ({"if1": neurons(1, 4, 4, metadata={"deploytool": "{"})}, "'if1': metadata 'deploytool' is not a JSON"),
        ({"if1": neurons(1, 4, 4, metadata={"deploytool": '{"mood": 1}'})}, "states mood = 1; .*Update deploytool"),
        ({"if1": neurons(1, 4, 4, metadata={"deploytool": '{"floor": "low"}'})}, "states floor = 'low'"),
    ],
)
def test_ill_formed_files_name_the_node(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path, standard(**changes))


def test_a_flatten_of_part_of_the_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="'flat': Flatten from axis 2 to axis -1"):
        read(tmp_path, standard(flat={**FLATTEN, "start_dim": 2}))


def test_padding_same_of_an_even_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="'conv': padding 'same' with a kernel of 2x2"):
        read(tmp_path, standard(conv={**CONV, "weight": WEIGHT[:, :, :2, :2], "padding": "same"}))


def test_scales_go_into_the_weights_beside_them(tmp_path: Path) -> None:
    def scaled(scale: np.ndarray, after: str, **changes: dict[str, Any]) -> Graph:
        nodes = standard(**changes)
        names = list(nodes)
        names.insert(names.index(after) + 1, "scale")
        nodes = {name: nodes.get(name, {"type": "Scale", "scale": scale}) for name in names}
        return read(tmp_path, nodes)

    conv, fc = scaled(np.full((1, 4, 4), 2.0), "conv").nodes["conv"], scaled(np.arange(16.0), "flat").nodes["fc"]
    assert isinstance(conv, Conv)
    assert isinstance(fc, Linear)
    np.testing.assert_array_equal(conv.weight, 2 * WEIGHT)
    np.testing.assert_array_equal(fc.weight, np.tile(np.arange(16.0), (3, 1)))
    integers = {**FC, "weight": np.arange(48, dtype=np.int8).reshape(3, 16)}
    fc = scaled(np.full(16, 0.5), "flat", fc=integers).nodes["fc"]
    assert isinstance(fc, Linear)
    np.testing.assert_array_equal(fc.weight, np.arange(48).reshape(3, 16) / 2)
    assert scaled(np.ones((1, 4, 4)), "if1").digest == read(tmp_path, standard()).digest
    with pytest.raises(UnsupportedError, match="'scale': a Scale that cannot"):
        scaled(np.arange(16.0).reshape(1, 4, 4), "conv")


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nir", standard()).read_bytes()
    contents = {"text": b"a poem", "empty": b"", "half": whole[: len(whole) // 2], "tail": whole[:-1]}
    for name, content in contents.items():
        path = tmp_path / f"{name}.nir"
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            read_nir(path, "subtract")
        assert len(error.value.problems) == 1
        assert str(path) in str(error.value)
    with pytest.raises(InputError, match="no such file"):
        read_nir(tmp_path / "nothing.nir")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["numbers"] = [1, 2, 3]
    with pytest.raises(InputError, match="without a NIR graph"):
        read_nir(tmp_path / "other.nir")


def test_a_file_cut_anywhere_is_told_in_one_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nir", standard()).read_bytes()
    path = tmp_path / "cut.nir"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as error:
            read_nir(path, "subtract")
        assert len(error.value.problems) == 1


HOSTILE = [np.empty(0), "x", -1, 0, 10**12, np.nan, np.ones((2, 2, 2)), np.array([1 + 2j]), {"a": 1}, b"\xff\xfe"]


@pytest.mark.parametrize("name", [*standard(), "scale"])
def test_a_hostile_value_in_any_field_is_an_error_of_ours_or_harmless(name: str, tmp_path: Path) -> None:
    nodes = standard()
    nodes = {"input": nodes.pop("input"), "scale": {"type": "Scale", "scale": np.ones((2, 6, 6))}, **nodes}
    for field in {**nodes[name], "metadata": None, "name": None}:
        for value in HOSTILE:
            with contextlib.suppress(InputError, UnsupportedError):
                read(tmp_path, nodes | {name: {**nodes[name], field: value}})


def test_hostile_edges(tmp_path: Path) -> None:
    for edges in ([("conv", "nothing")], [("conv", "conv")], [("input", "conv")] * 2, [("input",)], [("a", "b", "c")]):
        with pytest.raises((InputError, UnsupportedError)):
            read(tmp_path, standard(), edges)


def test_reading_loads_neither_torch_nor_nir(tmp_path: Path) -> None:
    path = write(tmp_path / "net.nir", standard())
    script = (
        "import sys, pathlib\nfrom deploytool.convert.nir import read_nir\n"
        f"read_nir(pathlib.Path({str(path)!r}), 'subtract')\n"
        "assert not {'torch', 'nir', 'numba', 'onnx', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_batch_axis_of_one_is_ignored_with_a_note(tmp_path: Path) -> None:
    batched = {"type": "Input", "shape": np.array([1, 2, 6, 6])}
    path = write(tmp_path / "net.nir", standard(input=batched, if1=neurons(1, 1, 4, 4)))
    told: list[str] = []
    graph = read_nir(path, reset="subtract", tell=told.append)
    assert graph.digest == read(tmp_path, standard()).digest
    assert told == ["net.nir: ignored the batch axis of size 1 in the shape of input"]


def test_a_batch_of_one_vector_is_left_out_where_the_weights_say_so(tmp_path: Path) -> None:
    nodes = {"fc": {"type": "Linear", "weight": np.ones((3, 5), np.float32)}, "if": neurons(1, 3)}
    path = write(
        tmp_path / "net.nir",
        {"input": {"type": "Input", "shape": np.array([1, 5])}, **nodes, "out": {"type": "Output"}},
    )
    told: list[str] = []
    graph = read_nir(path, reset="subtract", tell=told.append)
    assert graph.shapes["if"] == (3, 1, 1)
    assert len(told) == 1


def test_a_row_is_no_batch(tmp_path: Path) -> None:
    """(1, L) before a convolution of rows is one feature."""
    conv = {"type": "Conv1d", "weight": np.ones((2, 1, 3)), "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    conv |= {"bias": np.zeros(2)}
    nodes = {
        "input": {"type": "Input", "shape": np.array([1, 5])},
        "conv": conv,
        "if": neurons(2, 3),
        "out": {"type": "Output"},
    }
    told: list[str] = []
    assert read_nir(write(tmp_path / "net.nir", nodes), reset="subtract", tell=told.append).shapes["if"] == (2, 1, 3)
    assert not told


def test_a_bias_of_booleans_is_none_where_all_are_false(tmp_path: Path) -> None:
    graph = read(tmp_path, standard(conv={**CONV, "bias": np.zeros(1, bool)}))
    conv = graph.nodes["conv"]
    assert isinstance(conv, Conv)
    assert conv.bias is None
    with pytest.raises(InputError, match="'conv': bias is true"):
        read(tmp_path, standard(conv={**CONV, "bias": np.ones(1, bool)}))
