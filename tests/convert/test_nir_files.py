"""Graphs through files: what is written is read back, by us and by the nir package."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.nir import hdf5, read_nir, write_nir
from deploytool.ir.decoder import Decoder
from deploytool.ir.graph import Graph, chain
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Flatten, Input, Linear, Node, Output, Spike, SumPool
from deploytool.ir.shapes import out_shape

DECODER = Decoder(("vy", "vx"), np.array([[0.1, -1 / 3], [0.0, 1e-9]]), np.array([2.0, np.pi]), "px/s", "rate", 250)
few = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def weights(draw: st.DrawFn, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = rng.normal(size=shape) * draw(st.sampled_from([0, 1]))
    return values.astype(draw(st.sampled_from([np.float32, np.float64])))


@st.composite
def spikes(draw: st.DrawFn, shape: tuple[int, int, int]) -> Spike:
    threshold = draw(st.floats(1e-3, 1e3) | st.just(1))
    if draw(st.booleans()):
        threshold = np.full(shape, threshold, draw(st.sampled_from([np.float32, np.float64])))
        threshold.flat[0] += draw(st.sampled_from([0, 1]))

    def per_neuron(low: float, high: float) -> float | np.ndarray:
        values = draw(st.floats(low, high) | st.tuples(st.floats(low, high), st.floats(low, high)))
        return values if isinstance(values, float) else np.resize(values, shape)

    reset = draw(st.sampled_from(["subtract", "zero"]))
    leaky = draw(st.booleans())
    return Spike(
        threshold,
        draw(st.none() | st.floats(-1e3, 0)),
        reset,
        per_neuron(0.1, 100) if leaky else None,
        draw(st.booleans()),
        per_neuron(0.1, 100) if leaky and draw(st.booleans()) else None,
        per_neuron(-2, 2) if leaky else 0.0,
        per_neuron(-2, 0) if reset == "zero" else 0.0,
    )


@st.composite
def layers(draw: st.DrawFn, shape: tuple[int, int, int]) -> Node:
    """A node that takes maps of ``shape``, only with square, ungrouped kernels: of others nir has wrong shapes."""
    c, h, w = shape
    kinds = ["flatten", "spike"] + ["conv", "sum", "avg"] * (min(h, w) > 1) + ["linear"] * (h == w == 1)
    match draw(st.sampled_from(kinds)):
        case "conv":
            k, p, s = draw(st.integers(1, min(h, w))), draw(st.integers(0, 2)), draw(st.integers(1, 2))
            out = draw(st.integers(1, 3))
            bias = draw(st.none() | st.just(weights(draw, out)))
            return Conv(weights(draw, out, c, k, k), bias, (s, s), (p, p))
        case "sum":
            return SumPool((2, 2), (draw(st.integers(1, 2)), 2))
        case "avg":
            return AvgPool((1, 2), (2, 2))
        case "linear":
            out = draw(st.integers(1, 5))
            return Linear(weights(draw, out, c), draw(st.none() | st.just(weights(draw, out))))
        case "spike":
            return draw(spikes(shape))
    return Flatten()


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Chains with, here and there, two branches of spikes that are added or joined."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)))
    if 1 in shape[1:]:
        shape = (shape[0], 1, 1)
    nodes: dict[str, Node] = {"in": Input(shape)}
    edges: list[tuple[str, str]] = []
    last = "in"
    for index in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 4)) == 0:
            names = [f"left{index}", f"right{index}"]
            node = draw(st.sampled_from([Add(), Concat()]))
            nodes |= {name: draw(spikes(shape)) for name in names} | {f"sum{index}": node}
            edges += [(last, name) for name in names]
            edges += [(name, f"sum{index}") for name in draw(st.permutations(names))]
            last, shape = f"sum{index}", out_shape(node, shape, shape)
        else:
            node = draw(layers(shape))
            nodes[f"n{index}"] = node
            edges.append((last, f"n{index}"))
            last, shape = f"n{index}", out_shape(node, shape)
    nodes["out"] = Output()
    dt_ms, weight_bits = draw(st.none() | st.floats(0.1, 10)), draw(st.none() | st.integers(2, 8))
    decoder = draw(st.sampled_from((None, DECODER)))
    return Graph(nodes, (*edges, (last, "out")), dt_ms, weight_bits=weight_bits, decoder=decoder)


def sayable(graph: Graph) -> bool:
    """Whether NIR can say ``graph``: it has no way from a vector back to a map."""
    vectors = {name for name, shape in graph.shapes.items() if shape[1:] == (1, 1)}
    return not any(vectors.intersection(graph.sources(name)) for name in graph.of_type(Conv, SumPool, AvgPool))


@few
@given(graph=graphs().filter(sayable))
def test_reading_gives_the_graph_that_was_written(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    write_nir(graph, path)
    assert read_nir(path).digest == graph.digest
    assert read_nir(path, "zero", -5.0).digest == graph.digest


@few
@given(graph=graphs().filter(sayable))
def test_nir_reads_it_with_the_same_shapes_and_writes_it_back(graph: Graph, tmp_path: Path) -> None:
    write_nir(graph, tmp_path / "net.nir")
    network = nir.read(tmp_path / "net.nir")
    for name, node in network.nodes.items():
        if name in graph.nodes:
            sizes = tuple(int(size) for size in node.output_type["output"])
            assert (*sizes, 1, 1)[:3] == graph.shapes[name]
    nir.write(tmp_path / "again.nir", network)
    assert read_nir(tmp_path / "again.nir").digest == graph.digest


@few
@given(graph=graphs().filter(sayable))
def test_equal_graphs_give_equal_bytes(graph: Graph, tmp_path: Path) -> None:
    write_nir(graph, tmp_path / "a.nir")
    concats = graph.of_type(Concat)
    free, ordered = [e for e in graph.edges if e[1] not in concats], [e for e in graph.edges if e[1] in concats]
    turned = replace(
        graph,
        nodes=dict(reversed(graph.nodes.items())),
        edges=(*ordered, *reversed(free)),
        name="another name",
    )
    write_nir(turned, tmp_path / "b.nir")
    assert turned.digest == graph.digest
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_another_process_writes_equal_bytes(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, numpy as np\n"
        "from deploytool.convert.nir import write_nir\n"
        "from deploytool.ir.graph import chain\nfrom deploytool.ir.nodes import *\n"
        "nodes = [('in', Input((2, 5, 5))), ('conv', Conv(np.ones((3, 2, 3, 3), np.float32))),"
        " ('spike', Spike(0.1)), ('out', Output())]\n"
        "write_nir(chain(nodes), pathlib.Path(sys.argv[1]))\n"
    )
    files = [tmp_path / "a.nir", tmp_path / "b.nir"]
    for file, perturb in zip(files, ("0", "165"), strict=True):
        env = {**os.environ, "MALLOC_PERTURB_": perturb, "PYTHONHASHSEED": perturb}
        subprocess.run([sys.executable, "-c", script, str(file)], check=True, env=env)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_kernels_that_are_not_square_and_groups(tmp_path: Path) -> None:
    graph = chain(
        [
            ("in", Input((4, 7, 9))),
            ("conv", Conv(np.ones((6, 2, 3, 1), np.float32), None, (2, 1), (1, 0), (2, 2), 2)),
            ("spike", Spike()),
            ("out", Output()),
        ]
    )
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert nir.read(tmp_path / "net.nir", type_check=False).nodes["conv"].groups == 2


def test_a_concat_is_a_sum_for_others_and_one_for_us(tmp_path: Path) -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 3, 3)),
        "a": Spike(),
        "b": Spike(),
        "sum": Add(),
        "cat": Concat(),
        "cat.1": Spike(),
        "conv": Conv(np.ones((1, 6, 1, 1), np.float32)),
        "s": Spike(),
        "out": Output(),
    }
    edges = [
        ("in", "a"),
        ("in", "b"),
        ("in", "sum"),
        ("a", "sum"),
        ("sum", "cat"),
        ("b", "cat.1"),
        ("cat.1", "cat"),
        ("a", "cat"),
        ("cat", "conv"),
        ("conv", "s"),
        ("s", "out"),
    ]
    graph = Graph(nodes, tuple(edges))
    path = tmp_path / "net.nir"
    write_nir(graph, path)
    again = read_nir(path)
    assert again.digest == graph.digest
    assert again.sources("cat") == ("sum", "cat.1", "a")
    turned = Graph(nodes, (*edges[:4], *reversed(edges[4:8]), *edges[8:]))
    assert turned.digest != graph.digest
    network = nir.read(path)
    total = sum(network.nodes[name].weight[:, :, 0, 0] @ [1.0, 10.0] for name in ("cat.0", "cat.1_", "cat.2"))
    assert total.tolist() == [1, 10, 1, 10, 1, 10]
    network.nodes["cat.0"].weight = 2 * network.nodes["cat.0"].weight
    nir.write(path, network)
    assert not read_nir(path).of_type(Concat)


def test_an_identity_shortcut_of_a_sum_is_kept(tmp_path: Path) -> None:
    nodes: dict[str, Node] = {name: Spike() for name in ("a", "b", "c", "d")}
    nodes |= {"in": Input((2, 3, 3)), "add1": Add(), "add2": Add(), "out": Output()}
    edges = [("in", "a"), ("in", "b"), ("a", "add1"), ("b", "add1"), ("add1", "c"), ("add1", "add2"), ("c", "add2")]
    graph = Graph(nodes, (*edges, ("add2", "d"), ("d", "out")))
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert len(nir.read(tmp_path / "net.nir").nodes) == len(graph.nodes) - 2


def test_a_map_of_single_pixels_goes_into_linear_without_a_flatten_of_ours(tmp_path: Path) -> None:
    graph = chain(
        [
            ("in", Input((2, 3, 3))),
            ("conv", Conv(np.ones((4, 2, 3, 3), np.float32))),
            ("spike", Spike()),
            ("fc", Linear(np.ones((5, 4), np.float32))),
            ("out", Output()),
        ]
    )
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert "spike.flatten" in nir.read(tmp_path / "net.nir").nodes


def test_what_nir_cannot_say_is_refused_all_at_once(tmp_path: Path) -> None:
    nodes: dict[str, Node] = {
        "in": Input((1, 2, 2)),
        "a/b": Spike(),
        "leaky": Spike(tau_ms=3.0),
        "both": Add(),
        "flat": Flatten(),
        "conv": Conv(np.ones((1, 4, 1, 1))),
        "out": Output(),
    }
    edges = [("in", "a/b"), ("in", "leaky"), ("a/b", "both"), ("leaky", "both"), ("both", "flat"), ("flat", "conv")]
    with pytest.raises(UnsupportedError) as error:
        write_nir(Graph(nodes, (*edges, ("conv", "out"))), tmp_path / "net.nir")
    assert [problem.split("'")[1] for problem in error.value.problems] == ["a/b", "conv"]
    assert not list(tmp_path.iterdir())


def test_a_source_that_counts_twice_is_refused(tmp_path: Path) -> None:
    nodes: dict[str, Node] = {"in": Input((1, 2, 2)), "a": Spike(), "b": Spike(), "add1": Add(), "add2": Add()}
    edges = [("in", "a"), ("in", "b"), ("a", "add1"), ("b", "add1"), ("add1", "add2"), ("a", "add2"), ("add2", "out")]
    with pytest.raises(UnsupportedError, match="'a' twice"):
        write_nir(Graph({**nodes, "out": Output()}, tuple(edges)), tmp_path / "net.nir")


def test_a_changed_threshold_or_time_constant_contradicts_what_is_stated(tmp_path: Path) -> None:
    import h5py

    spike = Spike(0.1, tau_ms=20.0)
    for field, value in (("v_threshold", 0.2), ("tau", 0.03)):
        path = tmp_path / f"{field}.nir"
        write_nir(chain([("in", Input((1, 2, 2))), ("spike", spike), ("out", Output())]), path)
        with h5py.File(path, "r+") as file:
            file[f"node/nodes/spike/{field}"][...] = value
        with pytest.raises(InputError, match=r"'spike'.*stated"):
            read_nir(path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    write_nir(chain([("in", Input((1, 2, 2))), ("s", Spike()), ("out", Output())]), tmp_path / "n.nir")
    with h5py.File(tmp_path / "n.nir", "r+") as file:
        file["node/nodes"].move(b"s", b"s\xff")
    with pytest.raises(InputError, match="not in UTF-8"):
        read_nir(tmp_path / "n.nir")


def test_a_full_disk_is_an_ordinary_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_nir(chain([("in", Input((1, 2, 2))), ("s", Spike()), ("out", Output())]), tmp_path / "nowhere" / "n.nir")


@pytest.mark.parametrize("part", [1, 300, 2**20])
@pytest.mark.parametrize("dtype", [">f4", "<f8", "<i2"])
def test_a_large_array_is_the_same_in_parts(
    dtype: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(17 * 5 * 3).reshape(17, 5, 3).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values, chunks=(4, 2, 3), compression="gzip")
    monkeypatch.setattr(hdf5, "PART", part)
    found = hdf5.load(tmp_path / "x.h5")["a"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_cnn_sinabs(shared_data: Path, tmp_path: Path) -> None:
    graph = read_nir(shared_data / "chip" / "cnn_sinabs.nir", reset="subtract", floor=-1.0)
    assert graph.shapes["input"] == (2, 34, 34)
    assert [graph.shapes[name] for name in ("0", "2", "5", "8", "9", "output")] == [
        (16, 16, 16),
        (16, 16, 16),
        (8, 8, 8),
        (128, 1, 1),
        (256, 1, 1),
        (10, 1, 1),
    ]
    assert {(s.threshold, s.floor, s.reset) for s in graph.nodes.values() if isinstance(s, Spike)} == {
        (1.0, -1.0, "subtract")
    }
    assert all(node.bias is None for node in graph.nodes.values() if isinstance(node, Conv | Linear))
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert replace(graph.nodes["0"], bias=None).stride == (2, 2)


def test_every_third_party_file_is_read_or_refused_by_node(shared_data: Path, tmp_path: Path) -> None:
    refused = {}
    for file in sorted((shared_data / "nir").glob("*.nir")):
        try:
            graph = read_nir(file, reset="subtract", dt_ms=0.1, delay_us=100)
        except (InputError, UnsupportedError) as error:
            refused[file.stem] = str(error)
        else:
            write_nir(graph, tmp_path / "net.nir")
            assert read_nir(tmp_path / "net.nir").digest == graph.digest
    assert refused.keys() == {"spyx_shd"}
    assert "node 'LI': LI is not supported" in refused["spyx_shd"]
    assert "node 'LIF': tau is -" in refused["spyx_shd"]
