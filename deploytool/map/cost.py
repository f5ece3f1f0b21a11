"""What a suggestion costs: training, field of view, weights, SynOps and cores, before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploytool.base.numbers import percent, whole
from deploytool.chip.chips import Chip
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Conv, Input, Linear
from deploytool.map.change import Change
from deploytool.map.group import group_sizes
from deploytool.map.lower import lower
from deploytool.map.place import predicted_synops
from deploytool.map.split import Split

KEEPS_WEIGHTS: Final = ("crop",)
"""Quantities whose change leaves the trained weights where they were; all others need training."""


@dataclass(frozen=True)
class Size:
    """The size of a network: its ``weights``, its ``synops`` if every pixel and every neuron fires once, its ``cores``.

    ``pixels`` is the number of pixels of its input. A layer takes one core, unless it is split.
    """

    pixels: int
    weights: int
    synops: int
    cores: int


@dataclass(frozen=True)
class Cost:
    """The costs of a suggestion: whether it needs ``retraining``, and the network ``before`` and ``after``."""

    retraining: bool
    before: Size
    after: Size

    @property
    def field_of_view(self) -> float:
        """The share of the input's pixels that the network still gets."""
        return self.after.pixels / self.before.pixels

    @property
    def says(self) -> str:
        pairs = (
            f"{whole(getattr(self.after, name))} {what} instead of {whole(getattr(self.before, name))}"
            for name, what in (("weights", "weights"), ("synops", "SynOps"), ("cores", "cores"))
            if getattr(self.after, name) != getattr(self.before, name)
        )
        seen = [f"{percent(100 * self.field_of_view)} of the pixels"] if self.field_of_view < 1 else []
        return ", ".join(("needs training" if self.retraining else "no training", *seen, *pairs))

    def as_json(self) -> dict[str, Any]:
        """The costs under their names in ``check --json``."""
        both = {
            name: {"before": getattr(self.before, name), "after": getattr(self.after, name)}
            for name in ("weights", "synops", "cores")
        }
        return {"retraining": self.retraining, "field_of_view": self.field_of_view, **both}


def cost_of(graph: Graph, changed: Graph, changes: Sequence[Change], splits: Sequence[Split], chip: Chip) -> Cost:
    """The costs of ``changes``, which make ``graph`` the ``changed`` one, with the ``splits`` needed after them."""
    retraining = any(change.quantity not in KEEPS_WEIGHTS for change in changes)
    return Cost(retraining, _size(graph, (), chip), _size(changed, splits, chip))


def _size(graph: Graph, splits: Sequence[Split], chip: Chip) -> Size:
    program = lower(group_sizes(graph), chip)
    nodes = graph.nodes.values()
    return Size(
        pixels=sum(math.prod(node.shape[1:]) for node in nodes if isinstance(node, Input)),
        weights=sum(node.weight.size for node in nodes if isinstance(node, Conv | Linear)),
        synops=sum(predicted_synops(program, name) for name in program.layers),
        cores=len(program.layers) + sum(split.cores for split in splits),
    )
