"""The verb check: whether a network fits a chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deploytool.chip.chips import chip_named
from deploytool.store.cache import StageCache
from deploytool.workflow.networks import geometry

if TYPE_CHECKING:
    from deploytool.map.compile import CheckReport


def check(cache: StageCache, source: str, chip: str, pins: Mapping[str, int], split: bool = True) -> CheckReport:
    """Whether the network in ``source``, a graph, a .nir file or a recipe, fits, layer by layer, split or not."""
    from deploytool.map.compile import check as check_fit

    return check_fit(geometry(cache.store, source), chip_named(chip), pins, split)
