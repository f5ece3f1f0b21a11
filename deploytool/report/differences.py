"""The differences between runs on the page: tables, and maps of single neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deploytool.ir.recording import EVENT_DRIVEN, Recording
from deploytool.ir.verdict import Difference, Verdict
from deploytool.report.figures.maps import Picture, difference_map

MAPS_MAX: Final = 16


def differences(verdict: Verdict) -> dict[str, Any]:
    """Pairs, the layers they were compared on, one row of cells per layer, and the rungs that were not run."""
    pairs = verdict.differences
    names = list(dict.fromkeys(layer.layer for pair in pairs for layer in pair.layers))
    by_pair = [{layer.layer: layer for layer in pair.layers} for pair in pairs]
    return {
        "pairs": pairs,
        "rows": [(name, [layers.get(name) for layers in by_pair]) for name in names],
        "missing": [rung.name for rung in verdict.rungs if rung.name not in verdict.ran],
    }


def main_difference(verdict: Verdict) -> Difference | None:
    """The difference between the deployed and the trained network, or the closest to it that was measured."""
    pairs = {(pair.reference, pair.test): pair for pair in verdict.differences}
    wanted = [(deployed, other) for deployed in reversed(EVENT_DRIVEN) for other in ("torch", "quantised", "simulator")]
    return next((pairs[pair] for pair in wanted if pair in pairs), next(iter(verdict.differences), None))


def difference_maps(pair: Difference | None, runs: Mapping[str, Recording]) -> list[Picture]:
    """A map of each of the first `MAPS_MAX` layers of the runs of ``pair``, of its spikes in all samples.

    Empty if a run is not at hand.
    """
    if pair is None or not {pair.reference, pair.test} <= runs.keys():
        return []
    reference, test = runs[pair.reference], runs[pair.test]
    shared = [layer.layer for layer in pair.layers if layer.layer in reference.counts.keys() & test.counts.keys()]
    return [
        difference_map(reference.counts[name].sum(axis=0), test.counts[name].sum(axis=0), name)
        for name in shared[:MAPS_MAX]
    ]
