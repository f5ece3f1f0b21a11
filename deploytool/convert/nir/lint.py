"""What other frameworks would do with a NIR file: one literal table, read from their importers and tried with them.

A node is kept, altered (it computes something else), dropped (it is not there any more) or refused (an error stops the
import). Nothing but NIR's own fields is read by any of them, so that our statements of reset, floor, spikes per update
and time step (nir/statements.py) survive only where an importer does the same of its own accord.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from deploytool.base.arrays import Array
from deploytool.convert.nir.fields import Fields
from deploytool.convert.nir.neurons import NEURONS
from deploytool.convert.nir.read import top_graph
from deploytool.convert.nir.wiring import GRAPH, flatten_subgraphs, on_cycles

Verdict: TypeAlias = Literal["keep", "alter", "drop", "refuse"]
ORDER: Final[tuple[Verdict, ...]] = ("keep", "alter", "drop", "refuse")


@dataclass(frozen=True)
class Importer:
    """A framework's way of reading NIR: the packages that were read, and the node types that it knows."""

    packages: str
    source: str
    knows: tuple[str, ...]
    unknown: Verdict
    """What becomes of other node types."""


IMPORTERS: Final[Mapping[str, Importer]] = MappingProxyType(
    {
        "sinabs": Importer(
            "sinabs 3.1.3, nirtorch 2.0.2, nir 1.0.4",
            "sinabs/nir.py _import_sinabs_module",
            ("Input", "Output", "Affine", "Conv1d", "Conv2d", "LI", "IF", "LIF", "SumPool2d", "Flatten"),
            "drop",
        ),
        "snnTorch": Importer(
            "snntorch 1.0.0, nirtorch 2.6, nir 1.0.8",
            "snntorch/import_nir.py _nir_to_snntorch_module",
            (
                "Input",
                "Output",
                "Affine",
                "Linear",
                "Conv1d",
                "Conv2d",
                "Flatten",
                "AvgPool2d",
                "SumPool2d",
                "IF",
                "LIF",
                "CubaLIF",
            ),
            "refuse",
        ),
        "Norse": Importer(
            "norse 1.1.0, nirtorch 2.6, nir 1.0.8",
            "norse/torch/utils/import_nir.py _import_norse_module",
            ("Input", "Output", "Affine", "Conv2d", "Flatten", "Linear", "IF", "CubaLIF", "LIF", "SumPool2d"),
            "drop",
        ),
        "SpikingJelly": Importer(
            "spikingjelly 2.0.0, nirtorch 2.6, nir 1.0.8",
            "spikingjelly/activation_based/nir_exchange/from_nir.py",
            (
                "Input",
                "Output",
                "Affine",
                "Linear",
                "Conv1d",
                "Conv2d",
                "AvgPool2d",
                "SumPool2d",
                "Flatten",
                "IF",
                "LIF",
                "CubaLIF",
            ),
            "refuse",
        ),
        "nirtorch": Importer(
            "nirtorch 2.6, nir 1.0.8",
            "nirtorch/nir_interpreter.py DEFAULT_MAP",
            ("Input", "Output", "Affine", "AvgPool2d", "Conv1d", "Conv2d", "Flatten", "Linear", "SumPool2d"),
            "refuse",
        ),
    }
)
SAYS_UNKNOWN: Final[Mapping[Verdict, str]] = MappingProxyType(
    {
        "drop": "not imported: the chain breaks here and what comes before or after is skipped without a word; "
        "a second such node is a KeyError",
        "refuse": "ValueError, unknown node type",
    }
)


@dataclass(frozen=True)
class Node:
    """A node as a rule sees it; as type NIRGraph the whole file, whose ``sources`` are the types in it."""

    fields: Fields
    sources: tuple[str, ...]
    on_cycle: bool = False

    def array(self, name: str, default: float = 0.0) -> Array:
        """Field ``name``, or ``default`` where the node has none."""
        return self.fields.array(name) if name in self.fields.values else np.array(default)

    def has(self, name: str, beside: float) -> bool:
        """Whether any value of field ``name`` is not ``beside``, which is also what a missing field means."""
        return bool(np.any(self.array(name, beside) != beside))

    def differs(self, *names: str) -> bool:
        """Whether neurons differ in one of the fields ``names``."""
        return any(np.unique(self.array(name)).size > 1 for name in names)

    def close(self, name: str, value: Array | float) -> bool:
        return bool(np.allclose(self.array(name, 1.0), value, rtol=1e-6, atol=1e-12))

    def states(self, name: str, *values: Any) -> bool:
        """Whether our statement ``name`` is there and one of ``values``."""
        return name in self.fields.stated and self.fields.stated[name] in values


@dataclass(frozen=True)
class Rule:
    """What ``importers`` do with a node of ``types`` for which ``when`` holds, and where that is written."""

    importers: tuple[str, ...]
    types: tuple[str, ...]
    when: Callable[[Node], bool]
    verdict: Verdict
    says: str
    source: str


STEP_S: Final = 1e-4
"""The time step that snnTorch and SpikingJelly assume."""


def _always(_: Node) -> bool:
    return True


def _groups(node: Node) -> int:
    return int(node.array("groups", 1.0))


def _not_square(node: Node) -> bool:
    return len(set(node.fields.array("weight").shape[2:])) > 1


def _floor_beside_threshold(node: Node) -> bool:
    floor = node.fields.stated.get("floor")
    return floor is None or not node.close("v_threshold", -float(floor))


def _no_ends(node: Node) -> bool:
    return not {"Input", "Output"} <= set(node.sources)


def _leaky_r_unfit(node: Node) -> bool:
    tau_steps = node.array("tau") / STEP_S
    return bool(np.any(tau_steps <= 1)) or not (node.close("r", 1.0) or node.close("r", tau_steps))


def _synapse_unfit(node: Node) -> bool:
    return not (node.close("r", node.array("tau_mem") / STEP_S) and node.close("w_in", node.array("tau_syn") / STEP_S))


_INTERPRETER = ("snnTorch", "SpikingJelly", "nirtorch")
_EXECUTOR = ("sinabs", "Norse")
_NEWER_NIR = ("snnTorch", "Norse", "SpikingJelly", "nirtorch")
_ALL = tuple(IMPORTERS)
_ANY = ("*",)
_SINABS, _SNNTORCH = "sinabs/nir.py _import_sinabs_module", "snntorch/import_nir.py _nir_to_snntorch_module"
_NORSE = "norse/torch/utils/import_nir.py _import_norse_module"
_JELLY = "spikingjelly/activation_based/nir_exchange/from_nir.py"
_NIRTORCH = "nirtorch/nir_interpreter.py"

RULES: Final = (
    Rule(
        _INTERPRETER,
        (GRAPH,),
        _no_ends,
        "refuse",
        "ValueError: a file without Input and Output nodes",
        f"{_NIRTORCH} _construct_fx_graph",
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
        "ValueError: nir infers a wrong shape of a kernel that is not square and finds it unlike what follows",
        "nir 1.0.8 nir/ir/utils.py calculate_conv_output",
    ),
    Rule(
        _NEWER_NIR,
        ("Conv2d",),
        lambda n: _groups(n) > 1,
        "refuse",
        "ValueError: nir infers a wrong input shape of a grouped convolution",
        "nir 1.0.8 nir/ir/conv.py",
    ),
    Rule(
        ("sinabs",),
        ("Conv2d",),
        lambda n: n.fields.array("weight").shape[1] % _groups(n) > 0,
        "refuse",
        "ValueError: in_channels is taken from the weights, which have those of one group",
        _SINABS,
    ),
    Rule(("sinabs",), ("Conv1d",), _always, "refuse", "AttributeError: takes the weights for a tensor", _SINABS),
    Rule(
        ("SpikingJelly",),
        ("Conv1d", "Conv2d"),
        lambda n: _groups(n) > 1,
        "refuse",
        "NotImplementedError: groups",
        f"{_JELLY} _require_ungrouped",
    ),
    Rule(
        ("nirtorch",),
        ("Affine",),
        _always,
        "alter",
        "the bias is lost, and a random one takes its place",
        f"{_NIRTORCH} _default_map_affine",
    ),
    Rule(
        _ALL,
        ("SumPool2d",),
        lambda n: n.has("padding", 0),
        "alter",
        "the padding is left out",
        f"{_SINABS}; {_NORSE}; {_NIRTORCH} _default_map_sumpool2d",
    ),
    Rule(
        ("snnTorch", "Norse", "nirtorch"),
        ("Flatten",),
        lambda n: not n.has("start_dim", 0),
        "alter",
        "flattens the axis of the batch as well",
        f"{_SNNTORCH}; {_NORSE}; {_NIRTORCH} _default_map_flatten",
    ),
    Rule(
        _EXECUTOR,
        _ANY,
        lambda n: len(n.sources) > 1 and not n.on_cycle,
        "alter",
        "what arrives over a second branch is added one time step late, or not at all",
        "nirtorch/graph_utils.py trace_execution",
    ),
    Rule(
        ("snnTorch",),
        _ANY,
        lambda n: n.on_cycle,
        "refuse",
        "AttributeError: the subgraph made of a recurrent layer",
        "snntorch/import_nir.py _replace_rnn_subgraph_with_nirgraph",
    ),
    Rule(("sinabs",), ("IF", "LIF"), lambda n: n.has("r", 1), "alter", "r is left out", _SINABS),
    Rule(("sinabs",), ("IF",), _floor_beside_threshold, "alter", "gets a floor of -v_threshold", _SINABS),
    Rule(
        ("sinabs",),
        ("IF", "LIF"),
        lambda n: n.states("reset", "zero"),
        "alter",
        "subtracts the threshold on reset",
        "sinabs/layers/iaf.py, lif.py",
    ),
    Rule(
        ("sinabs",),
        ("IF", "LIF"),
        lambda n: n.states("at_most_one", True),
        "alter",
        "fires several times in a time step",
        "sinabs/layers/iaf.py, lif.py (MultiSpike)",
    ),
    Rule(("sinabs",), ("LIF", "LI"), lambda n: n.has("v_leak", 0), "refuse", "ValueError: v_leak", _SINABS),
    Rule(("sinabs",), ("LI",), lambda n: n.has("r", 1), "refuse", "ValueError: r", _SINABS),
    Rule(
        ("sinabs",),
        ("LIF", "LI"),
        _always,
        "alter",
        "tau, in seconds, is taken for a number of time steps",
        f"{_SINABS}; sinabs/layers/lif.py alpha_mem_calculated",
    ),
    Rule(
        ("sinabs",), ("LIF",), lambda n: n.fields.stated.get("floor") is not None, "alter", "the floor is lost", _SINABS
    ),
    Rule(
        ("sinabs", "snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: "v_init" in n.fields.stated,
        "alter",
        "the membrane starts at 0 instead of v_init",
        f"{_SINABS}; {_SNNTORCH}; {_NORSE}; {_JELLY}",
    ),
    Rule(
        ("snnTorch",),
        ("IF",),
        _always,
        "alter",
        "leaks, with a beta of 0.9, and the model raises when it is run",
        _SNNTORCH,
    ),
    Rule(("snnTorch",), ("IF",), lambda n: n.has("r", 1), "refuse", "AssertionError: r != 1", _SNNTORCH),
    Rule(
        ("snnTorch",),
        ("IF", "LIF"),
        lambda n: n.differs("v_threshold"),
        "refuse",
        "AssertionError: thresholds that differ",
        _SNNTORCH,
    ),
    Rule(
        ("snnTorch",),
        ("IF",),
        lambda n: n.states("reset", "zero"),
        "alter",
        "subtracts the threshold on reset",
        "snntorch/_neurons/leaky.py",
    ),
    Rule(
        ("snnTorch",), ("LIF", "CubaLIF"), lambda n: n.has("v_leak", 0), "refuse", "AssertionError: v_leak", _SNNTORCH
    ),
    Rule(
        ("snnTorch",),
        ("CubaLIF",),
        lambda n: not n.close("r", n.array("tau_mem") / STEP_S),
        "refuse",
        "AssertionError: r is not tau_mem / 0.1 ms",
        _SNNTORCH,
    ),
    Rule(
        ("snnTorch",), ("LIF", "CubaLIF"), lambda n: n.states("reset", "subtract"), "alter", "resets to zero", _SNNTORCH
    ),
    Rule(("snnTorch",), ("LIF", "CubaLIF"), _always, "alter", "Euler's method with a time step of 0.1 ms", _SNNTORCH),
    Rule(("Norse",), ("IF", "LIF"), lambda n: n.has("r", 1), "alter", "r is left out, with a warning", _NORSE),
    Rule(
        ("Norse",),
        ("LIF", "CubaLIF"),
        _always,
        "alter",
        "Euler's method with a time step of 1 ms, unless dt is given",
        f"{_NORSE}; norse/torch/functional/lif_box.py",
    ),
    Rule(
        ("Norse",), ("CubaLIF",), lambda n: n.has("v_leak", 0), "alter", "the synapse leaks to v_leak as well", _NORSE
    ),
    Rule(
        ("SpikingJelly",),
        ("IF",),
        lambda n: not n.close("r", 1 / STEP_S),
        "refuse",
        "ValueError: r is not 1 / dt",
        f"{_JELLY} map_if",
    ),
    Rule(
        ("SpikingJelly",),
        NEURONS,
        lambda n: n.differs("r", "tau", "tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset", "w_in"),
        "refuse",
        "ValueError: neurons that differ",
        f"{_JELLY} _uniform_scalar",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF",),
        _leaky_r_unfit,
        "refuse",
        "ValueError: r is neither 1 nor tau / dt, or tau <= dt",
        f"{_JELLY} map_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF",),
        lambda n: not np.allclose(n.array("v_leak"), n.array("v_reset")),
        "refuse",
        "ValueError: v_leak is not v_reset",
        f"{_JELLY} map_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("CubaLIF",),
        _synapse_unfit,
        "refuse",
        "ValueError: r is not tau_mem / dt, or w_in not tau_syn / dt",
        f"{_JELLY} map_cuba_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("CubaLIF",),
        lambda n: n.has("v_leak", 0),
        "refuse",
        "ValueError: v_leak",
        f"{_JELLY} map_cuba_lif",
    ),
    Rule(
        ("SpikingJelly",),
        ("LIF", "CubaLIF"),
        _always,
        "alter",
        "Euler's method with a time step of 0.1 ms, unless dt is given",
        f"{_JELLY} map_lif, map_cuba_lif",
    ),
    Rule(
        ("Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.states("reset", "subtract"),
        "alter",
        "resets to a fixed value",
        f"{_NORSE}; norse/torch/functional/iaf.py; {_JELLY}",
    ),
    Rule(
        ("snnTorch", "Norse"),
        NEURONS,
        lambda n: n.has("v_reset", 0),
        "alter",
        "v_reset is left out",
        f"{_SNNTORCH}; {_NORSE}",
    ),
    Rule(
        ("snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.fields.stated.get("floor") is not None,
        "alter",
        "the floor is lost",
        f"{_SNNTORCH}; {_NORSE}; {_JELLY}",
    ),
    Rule(
        ("snnTorch", "Norse", "SpikingJelly"),
        NEURONS,
        lambda n: n.states("at_most_one", False),
        "alter",
        "fires once in a time step at most",
        f"{_SNNTORCH}; {_NORSE}; {_JELLY}",
    ),
)
"""Every rule that holds for a node is told; the gravest decides its verdict, and none at all is "keep"."""


@dataclass(frozen=True)
class LintRow:
    """What ``importer`` does with a node, and why."""

    node: str
    type: str
    importer: str
    verdict: Verdict
    reasons: tuple[tuple[str, str], ...]
    """(what happens, where that is written)."""


@dataclass(frozen=True)
class LintReport:
    """What every importer does with every node of ``file``."""

    file: str
    rows: tuple[LintRow, ...]

    def as_json(self) -> dict[str, Any]:
        """{"file", "importers" {name: packages}, "verdicts" {name: the gravest}, "rows" [...]}."""
        return {
            "file": self.file,
            "importers": {name: importer.packages for name, importer in IMPORTERS.items()},
            "verdicts": {name: self.verdict(name) for name in IMPORTERS},
            "rows": [
                {
                    "node": row.node,
                    "type": row.type,
                    "importer": row.importer,
                    "verdict": row.verdict,
                    "reasons": [{"says": says, "source": source} for says, source in row.reasons],
                }
                for row in self.rows
            ],
        }

    def verdict(self, importer: str) -> Verdict:
        """The gravest of what ``importer`` does with the nodes."""
        return _gravest(row.verdict for row in self.rows if row.importer == importer)


def _gravest(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=ORDER.index, default="keep")


def lint(path: Path) -> LintReport:
    """What the importers of sinabs, snnTorch, Norse, SpikingJelly and nirtorch would do with the NIR file ``path``.

    The first row of each importer is about the file as a whole. Nodes of a subgraph s are named "s.n".
    Raises InputError when the file is missing, no HDF5, damaged, or its graph is ill-formed.
    """
    fields, edges = flatten_subgraphs(top_graph(path), path.name)
    loops = set(on_cycles(fields, edges))
    types = tuple(item.type for item in fields.values())
    nodes = {"": Node(Fields(path.name, {"type": GRAPH}), types)}
    for name, item in fields.items():
        if item.type != "Identity":
            nodes[name] = Node(item, tuple(a for a, b in edges if b == name), name in loops)
    return LintReport(
        path.name, tuple(_row(name, node, importer) for name, node in nodes.items() for importer in IMPORTERS)
    )


def _row(name: str, node: Node, importer: str) -> LintRow:
    about, kind = IMPORTERS[importer], node.fields.type
    if kind not in (*about.knows, GRAPH):
        reasons = ((SAYS_UNKNOWN[about.unknown], about.source),)
        return LintRow(name, kind, importer, about.unknown, reasons)
    types = {kind} if kind == GRAPH else {kind, *_ANY}
    holding = [rule for rule in RULES if importer in rule.importers and types & {*rule.types} and rule.when(node)]
    verdict = _gravest(rule.verdict for rule in holding)
    return LintRow(name, kind, importer, verdict, tuple((rule.says, rule.source) for rule in holding))
