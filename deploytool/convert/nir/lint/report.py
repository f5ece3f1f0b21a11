"""Every rule on every node of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploytool.convert.nir.fields import Fields
from deploytool.convert.nir.lint.importers import EFFECT_OF_UNKNOWN, IMPORTERS, ORDER, Outcome
from deploytool.convert.nir.lint.neurons import NEURON_RULES
from deploytool.convert.nir.lint.rule import ANY, Node
from deploytool.convert.nir.lint.structure import STRUCTURE
from deploytool.convert.nir.lint.well_formed import require_well_formed
from deploytool.convert.nir.read import top_graph
from deploytool.convert.nir.wiring import GRAPH, flatten_subgraphs, on_cycles

RULES: Final = (*STRUCTURE, *NEURON_RULES)
"""Every rule that applies to a node is reported. The most severe one gives the outcome; without any, "keep"."""


@dataclass(frozen=True)
class Reason:
    """What happens to a node, and the source that shows it."""

    effect: str
    source: str


@dataclass(frozen=True)
class LintRow:
    """What ``importer`` does with a node, and why."""

    node: str
    type: str
    importer: str
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class LintReport:
    """What every importer does with every node of ``file``."""

    file: str
    rows: tuple[LintRow, ...]

    def as_json(self) -> dict[str, Any]:
        """{"file", "importers" {name: packages}, "verdicts" {name: the most severe}, "rows" [...]}."""
        return {
            "file": self.file,
            "importers": {name: importer.packages for name, importer in IMPORTERS.items()},
            "verdicts": {name: self.outcome(name) for name in IMPORTERS},
            "rows": [
                {
                    "node": row.node,
                    "type": row.type,
                    "importer": row.importer,
                    "verdict": row.outcome,
                    "reasons": [{"says": reason.effect, "source": reason.source} for reason in row.reasons],
                }
                for row in self.rows
            ],
        }

    def outcome(self, importer: str) -> Outcome:
        """The most severe outcome of what ``importer`` does with the nodes."""
        return _gravest(row.outcome for row in self.rows if row.importer == importer)


def _gravest(outcomes: Iterable[Outcome]) -> Outcome:
    return max(outcomes, key=ORDER.index, default="keep")


def lint(path: Path) -> LintReport:
    """What the importers of sinabs, snnTorch, Norse, SpikingJelly and nirtorch would do with the NIR file ``path``.

    The first row of each importer is about the file as a whole. Nodes of a subgraph s are named "s.n".
    Raises InputError if the file is missing, damaged or not HDF5, or if its graph or a node is malformed.
    """
    fields, edges = flatten_subgraphs(top_graph(path), path.name)
    loops = set(on_cycles(fields, edges))
    types = tuple(item.type for item in fields.values())
    for item in fields.values():
        require_well_formed(item)
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
        reason = Reason(EFFECT_OF_UNKNOWN[about.unknown], about.source)
        return LintRow(name, kind, importer, about.unknown, (reason,))
    types = {kind} if kind == GRAPH else {kind, *ANY}
    holding = [rule for rule in RULES if importer in rule.importers and types & {*rule.types} and rule.when(node)]
    outcome = _gravest(rule.outcome for rule in holding)
    return LintRow(name, kind, importer, outcome, tuple(Reason(rule.effect, rule.source) for rule in holding))
