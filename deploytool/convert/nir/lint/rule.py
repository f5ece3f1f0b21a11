"""Rules, and the view of a node that they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.convert.nir.fields import Fields
from deploytool.convert.nir.lint.importers import Outcome

ANY: Final = ("*",)
"""The types of a rule about every node."""


@dataclass(frozen=True)
class Node:
    """A node as a rule sees it. With type NIRGraph it is the whole file, and its ``sources`` are the types in it."""

    fields: Fields
    sources: tuple[str, ...]
    on_cycle: bool = False

    def array(self, name: str, default: float = 0.0) -> Array:
        """Field ``name``, or ``default`` if the node has none."""
        return self.fields.array(name) if name in self.fields.values else np.array(default)

    def has(self, name: str, beside: float) -> bool:
        """Whether any value of field ``name`` differs from ``beside``; a missing field counts as ``beside``."""
        return bool(np.any(self.array(name, beside) != beside))

    def differs(self, *names: str) -> bool:
        """Whether neurons differ in one of the fields ``names``."""
        return any(np.unique(self.array(name)).size > 1 for name in names)

    def close(self, name: str, value: Array | float) -> bool:
        return bool(np.allclose(self.array(name, 1.0), value, rtol=1e-6, atol=1e-12))

    def states(self, name: str, *values: Any) -> bool:
        """Whether deploytool stated ``name`` in the metadata, with one of ``values``."""
        return name in self.fields.stated and self.fields.stated[name] in values


@dataclass(frozen=True)
class Rule:
    """What ``importers`` do with a node of ``types`` for which ``when`` holds, and the source that shows it."""

    importers: tuple[str, ...]
    types: tuple[str, ...]
    when: Callable[[Node], bool]
    outcome: Outcome
    effect: str
    source: str


def always(_: Node) -> bool:
    """Holds for every node."""
    return True
