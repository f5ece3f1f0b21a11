"""Delay nodes and recurrence in NIR files: read, written, and asked for where a file has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.convert.nir import read_nir, write_nir
from deploytool.convert.nir.hdf5 import save
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, Conv, Delay, Input, Linear, Node, Output, Spike
from deploytool.ir.program import Route
from deploytool.map.group import group


def neurons(size: int = 2) -> dict[str, Any]:
    return {"type": "IF", "r": np.ones(size), "v_threshold": np.ones(size)}


def linear(size: int = 2) -> dict[str, Any]:
    return {"type": "Linear", "weight": np.eye(size)}


def write(path: Path, edges: str, **nodes: dict[str, Any]) -> Path:
    """A file of "a>b b>c" and its nodes; i, o are its ends."""
    ends = {"i": {"type": "Input", "shape": np.array([2])}, "o": {"type": "Output", "shape": np.array([2])}}
    pairs = np.array([edge.split(">") for edge in edges.split()], dtype=object)
    save({"version": "1.0.8", "node": {"type": "NIRGraph", "nodes": ends | nodes, "edges": pairs}}, path / "net.nir")
    return path / "net.nir"


def delay(seconds: Any) -> dict[str, Any]:
    return {"type": "Delay", "delay": np.array(seconds)}


@pytest.mark.parametrize(
    ("seconds", "delay_us"),
    [(1e-3, 1000), ([0.25, 0.25], [250_000, 250_000]), (np.float32([0.0123, 1e-6]), [12_300, 1])],
)
def test_delays_are_read_in_seconds(tmp_path: Path, seconds: Any, delay_us: Any) -> None:
    graph = read_nir(write(tmp_path, "i>s s>d d>o", s=neurons(), d=delay(seconds)), "subtract")
    found = graph.nodes["d"].delay_us
    assert np.array_equal(found, np.reshape(delay_us, (2, 1, 1)) if np.ndim(delay_us) else delay_us)


def test_a_delay_of_no_time_is_none(tmp_path: Path) -> None:
    graph = read_nir(write(tmp_path, "i>s s>d d>o", s=neurons(), d=delay([0.0, 0.0])), "subtract")
    assert set(graph.nodes) == {"i", "s", "o"}


@pytest.mark.parametrize("seconds", [1.5e-6, [0.0, 1e-3], -1e-3, 4e-7])
def test_delays_between_microseconds_are_refused(tmp_path: Path, seconds: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"'d': delays of .*; need whole microseconds, at least 1"):
        read_nir(write(tmp_path, "i>s s>d d>o", s=neurons(), d=delay(seconds)), "subtract")


def test_a_delay_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="delay_us of shape"):
        read_nir(write(tmp_path, "i>s s>d d>o", s=neurons(), d=delay([1e-3] * 3)), "subtract")


@given(
    delays=st.one_of(st.integers(1, 10**7), st.lists(st.integers(1, 10**7), min_size=8, max_size=8)),
    vector=st.booleans(),
)
def test_graphs_come_back_as_they_were(delays: Any, vector: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    shape = (8, 1, 1) if vector else (2, 2, 2)
    node = Delay(delays if isinstance(delays, int) else np.reshape(delays, shape))
    weight = np.eye(shape[0], dtype=np.float32)
    back: Node = Linear(weight) if vector else Conv(weight[:, :, None, None])
    nodes: dict[str, Node] = {
        "in": Input(shape),
        "a": back,
        "add": Add(),
        "s": Spike(),
        "d": node,
        "back": back,
        "out": Output(),
        "e": Delay(3),
    }
    edges = (
        ("in", "a"),
        ("a", "add"),
        ("back", "add"),
        ("add", "s"),
        ("s", "d"),
        ("d", "back"),
        ("s", "e"),
        ("e", "out"),
    )
    graph = Graph(nodes, edges)
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    write_nir(graph, path)
    assert read_nir(path).digest == graph.digest


def test_the_nir_package_reads_what_we_write(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    graph = Graph(
        {"in": Input((2, 1, 1)), "s": Spike(), "d": Delay(1500), "out": Output()},
        (("in", "s"), ("s", "d"), ("d", "out")),
    )
    write_nir(graph, tmp_path / "net.nir")
    assert nir.read(tmp_path / "net.nir").nodes["d"].delay.ravel().tolist() == [0.0015, 0.0015]


LOOP = "i>a a>s s>r r>s s>o"


def test_the_time_of_a_way_back_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, LOOP, a=linear(), s=neurons(), r=linear())
    with pytest.raises(
        UsageError, match="the delay of the recurrent connections through r, s; need --delay-us N"
    ) as error:
        read_nir(path)
    assert len(error.value.problems) == 2
    graph = read_nir(path, "subtract", delay_us=70)
    assert graph.nodes["r.delay"].delay_us == 70
    assert group(graph).layers["a"].routes == (Route("a", synapses=1, delay_us=70),)
    for wrong in (0, -5):
        with pytest.raises(UsageError, match=f"--delay-us: found {wrong}; need whole microseconds"):
            read_nir(path, "subtract", delay_us=wrong)


def test_a_stated_way_back_needs_no_answer(tmp_path: Path) -> None:
    path = write(tmp_path, "i>a a>s s>d d>r r>s s>o", a=linear(), s=neurons(), r=linear(), d=delay(2e-3))
    for delay_us in (None, 70):
        graph = read_nir(path, "subtract", delay_us=delay_us)
        assert [graph.nodes[name].delay_us for name in graph.of_type(Delay)] == [2000]


def test_two_layers_in_a_circle_get_one_delay(tmp_path: Path) -> None:
    path = write(tmp_path, "i>a a>s s>b b>t t>r r>s t>o", a=linear(), s=neurons(), b=linear(), t=neurons(), r=linear())
    graph = read_nir(path, "subtract", delay_us=9)
    assert {name: graph.sources(name) for name in graph.of_type(Delay)} == {"r.delay": ("r",)}
    assert group(graph).layers["b"].routes == (Route("a", synapses=1, delay_us=9),)


def test_circles_in_circles_get_a_delay_each(tmp_path: Path) -> None:
    edges = "i>a a>s s>b b>t t>q q>t t>r r>s t>o"
    path = write(tmp_path, edges, a=linear(), s=neurons(), b=linear(), t=neurons(), q=linear(), r=linear())
    assert read_nir(path, "subtract", delay_us=9).of_type(Delay) == ("q.delay", "r.delay")


def test_a_circle_without_a_beginning_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "i>s i>t s>b b>t t>r r>s t>o", s=neurons(), b=linear(), t=neurons(), r=linear())
    with pytest.raises(UnsupportedError, match="through b, r, s, t that have inputs at 2 nodes; need one node where"):
        read_nir(path, "subtract", delay_us=9)


def test_a_circle_without_neurons_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "i>a a>r r>a a>s s>o", s=neurons(), a=linear(), r=linear())
    with pytest.raises(UnsupportedError, match=r"recurrent connections through a, r.*none of which spikes"):
        read_nir(path, "subtract", delay_us=9)


@pytest.mark.parametrize("name", ["braille_noDelay_bias_zero", "braille_noDelay_noBias_subtract"])
def test_the_braille_networks_are_read_with_a_delay(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / "nir" / f"{name}.nir"
    with pytest.raises(UsageError, match=r"the recurrent connections through lif1.lif, lif1.w_rec; need --delay-us N"):
        read_nir(path, "zero", dt_ms=0.1)
    graph = read_nir(path, "zero", dt_ms=0.1, delay_us=100)
    assert graph.sources("lif1.w_rec.delay") == ("lif1.w_rec",)
    write_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir").digest == graph.digest
