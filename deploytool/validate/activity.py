"""The activity of layers, and the time to a decision."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploytool.base.numbers import rounded
from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import Decision, LayerFigures

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
    """(K,): time from the first input event to the decision, of the K samples whose single spikes were kept.

    The decision is the output spike after which the answer, the neuron with the most spikes so far and the
    first of equals, never changes. Samples without an output spike have no decision and are left out.
    """
    if not recording.outputs or not {INPUT, *recording.outputs} <= recording.spikes.keys():
        return np.zeros(0, np.int64)
    inputs = recording.spikes[INPUT]
    found = []
    for index, start_us in zip(*_first_times(inputs), strict=True):
        t_us, neuron = recording.answer(int(index))
        if t_us.size:
            order = np.argsort(t_us, kind="stable")
            found.append(_decided(t_us[order], neuron[order], recording.output_counts.shape[1]) - int(start_us))
    return np.array(found, np.int64)


def _first_times(inputs: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(samples, the time of the first event of each)."""
    samples, first = np.unique(inputs["sample"], return_index=True)
    return samples, inputs["t"][first]


def _decided(t_us: NDArray[np.int64], neuron: NDArray[np.int64], neurons: int) -> int:
    """The time of the spike after which the prediction no longer changes; spikes (N,) in order, at least one."""
    so_far = np.cumsum(neuron[:, None] == np.arange(neurons), axis=0)
    answer = so_far.argmax(axis=1)
    changes = np.flatnonzero(answer[1:] != answer[:-1])
    return int(t_us[changes[-1] + 1 if changes.size else 0])


def decision(recording: Recording) -> Decision:
    """Median, minimum and maximum time from the first input event to the decision."""
    taken_ms = decisions_us(recording) / 1000
    if not taken_ms.size:
        return Decision(0, None, None, None)
    median, least, greatest = float(np.median(taken_ms)), float(taken_ms.min()), float(taken_ms.max())
    return Decision(taken_ms.size, rounded(median), rounded(least), rounded(greatest))
