"""The rules about files, layers and wiring."""

from __future__ import annotations

from typing import Final

from deploytool.convert.nir.lint.importers import IMPORTERS, JELLY, NIRTORCH, NORSE, SINABS, SNNTORCH
from deploytool.convert.nir.lint.rule import ANY, Node, Rule, always
from deploytool.convert.nir.neurons import NEURONS
from deploytool.convert.nir.wiring import GRAPH


def _groups(node: Node) -> int:
    return int(node.array("groups", 1.0).reshape(-1)[0])


def _not_square(node: Node) -> bool:
    return len(set(node.fields.array("weight").shape[2:])) > 1


def _no_ends(node: Node) -> bool:
    return not {"Input", "Output"} <= set(node.sources)


_INTERPRETER = ("snnTorch", "SpikingJelly", "nirtorch")
_EXECUTOR = ("sinabs", "Norse")
_NEWER_NIR = ("snnTorch", "Norse", "SpikingJelly", "nirtorch")
_ALL = tuple(IMPORTERS)

STRUCTURE: Final = (
    Rule(
        _INTERPRETER,
        (GRAPH,),
        _no_ends,
        "refuse",
        "ValueError: a file without Input and Output nodes",
        f"{NIRTORCH} _construct_fx_graph",
    ),
    Rule(
        ("sinabs",),
        NEURONS,
        lambda n: "v_reset" in n.fields.values,
        "refuse",
        "TypeError: sinabs needs nir<=1.0.4, which does not know v_reset",
        "nir 1.0.4 nir/ir/neuron.py",
    ),
    Rule(
        _NEWER_NIR,
        ("Conv2d",),
        _not_square,
        "refuse",
        "ValueError: nir infers a wrong output shape for a non-square kernel, which does not match the next node",
        "nir 1.0.8 nir/ir/utils.py calculate_conv_output",
    ),
    Rule(
        _NEWER_NIR,
        ("Conv2d",),
        lambda n: _groups(n) > 1,
        "refuse",
        "ValueError: nir infers a wrong input shape for a grouped convolution",
        "nir 1.0.8 nir/ir/conv.py",
    ),
    Rule(
        ("sinabs",),
        ("Conv2d",),
        lambda n: n.fields.array("weight").shape[1] % _groups(n) > 0,
        "refuse",
        "ValueError: in_channels is read from the weights, which have the channels of one group only",
        SINABS,
    ),
    Rule(("sinabs",), ("Conv1d",), always, "refuse", "AttributeError: treats the weights as a tensor", SINABS),
    Rule(
        ("SpikingJelly",),
        ("Conv1d", "Conv2d"),
        lambda n: _groups(n) > 1,
        "refuse",
        "NotImplementedError: groups",
        f"{JELLY} _require_ungrouped",
    ),
    Rule(
        ("nirtorch",),
        ("Affine",),
        always,
        "alter",
        "a random bias replaces the bias",
        f"{NIRTORCH} _default_map_affine",
    ),
    Rule(
        _ALL,
        ("SumPool2d",),
        lambda n: n.has("padding", 0),
        "alter",
        "the padding is ignored",
        f"{SINABS}; {NORSE}; {NIRTORCH} _default_map_sumpool2d",
    ),
    Rule(
        ("snnTorch", "Norse", "nirtorch"),
        ("Flatten",),
        lambda n: not n.has("start_dim", 0),
        "alter",
        "also flattens the batch axis",
        f"{SNNTORCH}; {NORSE}; {NIRTORCH} _default_map_flatten",
    ),
    Rule(
        _EXECUTOR,
        ANY,
        lambda n: len(n.sources) > 1 and not n.on_cycle,
        "alter",
        "adds the input from a second branch one time step late, or not at all",
        "nirtorch/graph_utils.py trace_execution",
    ),
    Rule(
        ("snnTorch",),
        ANY,
        lambda n: n.on_cycle,
        "refuse",
        "AttributeError: the subgraph made of a recurrent layer",
        "snntorch/import_nir.py _replace_rnn_subgraph_with_nirgraph",
    ),
)
"""In report order."""
