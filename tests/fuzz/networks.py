"""Small sound networks, as trees of what a NIR file holds."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any, Final

import numpy as np

from deploytool.convert.nir import write_nir
from deploytool.convert.nir.hdf5 import load
from deploytool.ir.decoder import Decoder
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, AvgPool, Concat, Conv, Delay, Flatten, Input, Linear, Node, Output, Spike, SumPool

NEURONS: Final = {
    "IF": ("r", "v_threshold", "v_reset"),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLI": ("tau_mem", "tau_syn", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "Threshold": ("threshold",),
}
"""The fields of NIR's neurons."""
TYPES: Final = (
    *NEURONS,
    *("Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Delay", "Identity"),
    *("Input", "Output", "NIRGraph"),
)


def own_graph(random: random.Random) -> Graph:
    """A chain of convolution, neurons, pooling, linear layer and neurons, a branch, delay or concat in some."""
    rng = np.random.default_rng(random.randrange(2**32))
    channels, features, classes = random.choice((1, 2)), random.choice((2, 3)), random.choice((2, 4))
    conv = Conv(rng.normal(size=(features, channels, 3, 3)).astype(np.float32), None, padding=(1, 1))
    nodes: dict[str, Node] = {"input": Input((channels, 6, 6)), "conv": conv, "spike": _own_spike(random, rng)}
    edges = [("input", "conv"), ("conv", "spike")]
    last, maps = "spike", features
    match random.randrange(4):
        case 0:
            nodes["again"] = Conv(rng.normal(size=(features, features, 3, 3)).astype(np.float32), padding=(1, 1))
            nodes |= {"add": Add(), "spike_add": _own_spike(random, rng)}
            edges += [("spike", "again"), ("again", "add"), ("spike", "add"), ("add", "spike_add")]
            last = "spike_add"
        case 1:
            nodes["side"] = Conv(rng.normal(size=(2, channels, 3, 3)).astype(np.float32), padding=(1, 1))
            nodes |= {"spike_side": _own_spike(random, rng), "concat": Concat()}
            edges += [("input", "side"), ("side", "spike_side"), ("spike", "concat"), ("spike_side", "concat")]
            last, maps = "concat", features + 2
        case 2:
            nodes["delay"] = Delay(random.choice((1, 1000)))
            nodes["back"] = Conv(rng.normal(size=(features, features, 1, 1)).astype(np.float32))
            nodes["sum"] = Add()
            edges.remove(("conv", "spike"))
            edges += [("conv", "sum"), ("back", "sum"), ("sum", "spike"), ("spike", "delay"), ("delay", "back")]
    nodes |= {
        "pool": random.choice((SumPool, AvgPool))((2, 2), (2, 2)),
        "flatten": Flatten(),
        "fc": Linear(rng.normal(size=(classes, maps * 9)).astype(np.float32)),
        "spike_fc": _own_spike(random, rng),
        "output": Output(),
    }
    edges += [(last, "pool"), ("pool", "flatten"), ("flatten", "fc"), ("fc", "spike_fc"), ("spike_fc", "output")]
    decoder = Decoder(("a", "b"), rng.normal(size=(2, classes)), np.zeros(2)) if random.random() < 0.2 else None
    bits = random.choice((None, None, 4, 8))
    return Graph(nodes, tuple(edges), random.choice((None, 1.0)), "net.nir", bits, decoder)


def _own_spike(random: random.Random, rng: np.random.Generator) -> Spike:
    match random.randrange(4):
        case 0:
            return Spike(1.0, -1.0, "zero")
        case 1:
            return Spike(2.0, None, tau_ms=10.0)
        case 2:
            return Spike(1.5, None, tau_ms=20.0, tau_syn_ms=5.0)
    return Spike(float(rng.uniform(0.5, 2)), -1.0, v_init=random.choice((0.0, 0.25)))


def own_network(random: random.Random, folder: Path) -> dict[str, Any]:
    """What `own_graph` is in a NIR file of ours."""
    path = folder / "own.nir"
    write_nir(own_graph(random), path)
    tree = load(path)
    path.unlink()
    return tree


def foreign_network(random: random.Random) -> dict[str, Any]:
    """What another framework would write: NIR's own fields, nothing stated."""
    rng = np.random.default_rng(random.randrange(2**32))
    number = random.choice((2, 3))
    nodes: dict[str, Any] = {"input": {"type": "Input", "shape": np.array([number])}}
    match random.randrange(3):
        case 0:
            nodes["fc"] = {"type": "Affine", "weight": rng.normal(size=(4, number)), "bias": rng.normal(size=4)}
        case 1:
            nodes["input"]["shape"] = np.array([2, 4, 4])
            nodes["conv"] = _foreign_conv(rng)
            nodes["pool"] = {
                "type": random.choice(("SumPool2d", "AvgPool2d")),
                **{name: np.array([2, 2]) for name in ("kernel_size", "stride")},
                "padding": np.array([0, 0]),
            }
            nodes["flatten"] = {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([3, 1, 1])}
            nodes["fc"] = {"type": "Linear", "weight": rng.normal(size=(4, 3))}
        case _:
            nodes["input"]["shape"] = np.array([2, 5])
            nodes["conv"] = {**_foreign_conv(rng), "type": "Conv1d", "weight": rng.normal(size=(3, 2, 3))}
            nodes["conv"] |= {
                "stride": 1,
                "dilation": 1,
                "padding": random.choice((1, "same")),
                "input_shape": 5,
            }
            nodes["flatten"] = {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([3, 1, 5])}
            nodes["fc"] = {"type": "Linear", "weight": rng.normal(size=(4, 15))}
    if random.random() < 0.3:
        nodes["scale"] = {"type": "Scale", "scale": np.full(4, 2.0)}
    nodes["neurons"] = _foreign_neurons(random, 4)
    if random.random() < 0.3:
        nodes["delay"] = {"type": "Delay", "delay": np.full(4, 0.001)}
        nodes["fc2"] = {"type": "Linear", "weight": rng.normal(size=(2, 4))}
        nodes["neurons2"] = _foreign_neurons(random, 2)
    nodes["output"] = {"type": "Output", "shape": np.array([2 if "fc2" in nodes else 4])}
    names = [*nodes]
    edges = [[a, b] for a, b in itertools.pairwise(names)]
    if random.random() < 0.2:
        nodes["back"] = {"type": "Linear", "weight": rng.normal(size=(4, 4))}
        edges += [["neurons", "back"], ["back", "neurons"]]
    top = {"type": "NIRGraph", "nodes": nodes, "edges": np.array(edges, dtype=object)}
    return {"version": random.choice(("1.0.8", "0.1", "1.0")), "node": top}


def _foreign_conv(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "type": "Conv2d",
        "input_shape": np.array([4, 4]),
        "weight": rng.normal(size=(3, 2, 3, 3)),
        "bias": np.zeros(3),
        "stride": np.array([1, 1]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "groups": 1,
    }


def _foreign_neurons(random: random.Random, number: int) -> dict[str, Any]:
    kind = random.choice((*("IF", "LIF", "CubaLIF") * 12, *NEURONS))
    values = {"tau": 0.02, "tau_mem": 0.02, "tau_syn": 0.01, "v_leak": 0.0, "v_reset": 0.0}
    return {"type": kind, **{name: np.full(number, values.get(name, 1.0)) for name in NEURONS[kind]}}
