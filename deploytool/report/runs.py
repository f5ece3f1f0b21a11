"""Runs by name: those of the ladder, and ties in their output."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.recording import RUNGS, Recording


def on_ladder(runs: Mapping[str, Recording]) -> dict[str, Recording]:
    """The ``runs`` {name: recording} that are rungs, the one nearest to silicon last; all of them if none is a rung."""
    return {rung: runs[rung] for rung in RUNGS if rung in runs} or dict(runs)


def tied(recording: Recording) -> NDArray[np.bool_]:
    """(S,): whether two or more output neurons have the most spikes, so that the prediction is the first of equals.

    A sample without spikes is not a tie.
    """
    if not recording.outputs:
        return np.zeros(len(recording), bool)
    counts = recording.output_counts
    most = counts.max(axis=1, keepdims=True)
    several: NDArray[np.bool_] = ((counts == most).sum(axis=1) > 1) & (most[:, 0] > 0)
    return several


def tied_classes(recording: Recording, index: int) -> tuple[int, ...]:
    """The classes that share the most spikes in sample ``index``; empty if there is one, or no spike."""
    if not tied(recording)[index]:
        return ()
    counts = recording.output_counts[index]
    return tuple(int(c) for c in np.flatnonzero(counts == counts.max()))
