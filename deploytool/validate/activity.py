"""The activity of layers, and the time to a decision."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import rounded
from deploytool.ir.decision import UNDECIDED, decided_us
from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Decision, LayerFigures

DECISION: Final = "from the first input event to the output spike after which the answer never changes"
"""The definition of the time to a decision, for a person."""

SATURATED: Final = 0.95
"""A neuron that fires on at least this share of its synaptic updates is saturated: it can hardly fire more."""


def layer_figures(recording: Recording) -> tuple[LayerFigures, ...]:
    """The figures of every recorded layer."""
    return tuple(_figures(recording, name) for name in recording.counts)


def _figures(recording: Recording, name: str) -> LayerFigures:
    samples, seconds = len(recording), float(recording.durations_us.sum()) / 1e6
    total = recording.counts[name].sum(axis=0)
    spikes = int(total.sum())
    known = recording.activity.get(name)
    updates = known.updates if known else None
    v = (known.reached or known.bound) if known else None
    return LayerFigures(
        layer=name,
        neurons=total.size,
        spikes_per_sample=rounded(spikes / samples) if samples else None,
        synops_per_sample=rounded(int(updates.sum()) / samples) if updates is not None and samples else None,
        rate_hz=rounded(spikes / total.size / seconds) if seconds else None,
        silent_neurons=int((total == 0).sum()),
        saturated_neurons=None if updates is None else int(((updates > 0) & (total >= SATURATED * updates)).sum()),
        v_lowest=v and v[0],
        v_highest=v and v[1],
        v_is="not known" if known is None or v is None else "measured" if known.reached else "bound",
        weights_above=known.weights_above if known else None,
    )


def decisions_us(recording: Recording) -> NDArray[np.int64]:
    """(K,): time from the first input event to the decision, as `deploytool.ir.decision` defines it.

    It is known of all samples of an event-driven run, and otherwise of the samples whose single spikes were kept;
    times of a clock-driven run are those at which a step begins. Samples without a decision are left out.
    """
    known = recording.decisions_us
    if not len(known) and recording.outputs and {INPUT, *recording.outputs} <= recording.spikes.keys():
        known = np.array([_decided_us(recording, *first) for first in zip(*_first_times(recording), strict=True)])
    decided: NDArray[np.int64] = known[known != UNDECIDED]
    return decided


def _first_times(recording: Recording) -> tuple[list[int], list[int]]:
    """(samples, the time of the first input event of each) of the samples whose single spikes were kept."""
    inputs = recording.spikes[INPUT]
    samples, first = np.unique(inputs["sample"], return_index=True)
    return samples.tolist(), inputs["t"][first].tolist()


def _decided_us(recording: Recording, index: int, start_us: int) -> int:
    t_us, neuron = recording.answer(index)
    order = np.argsort(t_us, kind="stable")
    return decided_us(t_us[order], neuron[order], start_us)


def decision(recording: Recording) -> Decision:
    """Median, minimum, maximum and 95th percentile of the time from the first input event to the decision."""
    taken_ms = decisions_us(recording) / 1000
    if not taken_ms.size:
        return Decision(0, None, None, None)
    median, least, greatest = float(np.median(taken_ms)), float(taken_ms.min()), float(taken_ms.max())
    late = float(np.percentile(taken_ms, 95))
    return Decision(taken_ms.size, rounded(median), rounded(least), rounded(greatest), rounded(late))
