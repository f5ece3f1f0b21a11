"""What an engineer asks of a run: activity layer by layer, time to a decision, energy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deploytool.ir.program import INPUT
from deploytool.ir.recording import Recording

SATURATED: Final = 0.95
"""A neuron that fires on at least this share of its synaptic updates is saturated: it can hardly fire more."""

RESTING_MW: Final = 0.42
RESTING_SOURCE: Final = "processor at rest 0.42 mW: M. Yao et al., Nature Communications 15, 4464 (2024)"
NO_SYNOP_SOURCE: Final = "synaptic updates not estimated: no source for their energy"


def layer_activity(recording: Recording) -> list[dict[str, Any]]:
    """One row per layer that was watched; what the recording cannot tell is None.

    ``spikes_per_sample`` of all neurons; ``synops_per_sample`` synaptic updates; ``rate_hz`` spikes per neuron and
    second of the samples' duration; ``silent_neurons`` without a spike in any sample; ``saturated_neurons`` see
    `SATURATED`; ``v_lowest`` and ``v_highest`` before reset, measured or else a bound, as ``v_is`` says, in int16;
    ``weights_above`` the threshold.
    """
    samples, seconds = len(recording), float(recording.durations_us.sum()) / 1e6
    return [_row(recording, name, samples, seconds) for name in recording.counts]


def _row(recording: Recording, name: str, samples: int, seconds: float) -> dict[str, Any]:
    total = recording.counts[name].sum(axis=0)
    known = recording.activity.get(name)
    updates = known.updates if known else None
    v = (known.reached or known.bound) if known else None
    return {
        "layer": name,
        "neurons": total.size,
        "spikes_per_sample": _rounded(int(total.sum()) / samples) if samples else None,
        "synops_per_sample": _rounded(int(updates.sum()) / samples) if updates is not None and samples else None,
        "rate_hz": _rounded(int(total.sum()) / total.size / seconds) if seconds else None,
        "silent_neurons": int((total == 0).sum()),
        "saturated_neurons": None if updates is None else int(((updates > 0) & (total >= SATURATED * updates)).sum()),
        "v_lowest": v and v[0],
        "v_highest": v and v[1],
        "v_is": "not known" if known is None or v is None else "measured" if known.reached else "bound",
        "weights_above": known and known.weights_above,
    }


def decisions_us(recording: Recording) -> NDArray[np.int64]:
    """(K,): time from the first input event to the decision, of the K samples whose single spikes were kept.

    The decision falls with the output spike after which the answer, the neuron with the most spikes so far and the
    first of equals, never changes. Samples without an output spike decide nothing and are left out.
    """
    if INPUT not in recording.spikes or any(name not in recording.spikes for name in recording.outputs):
        return np.zeros(0, np.int64)
    inputs = recording.spikes[INPUT]
    starts = dict(zip(*(column.tolist() for column in _first_times(inputs)), strict=True))
    sample, t_us, neuron = _output_spikes(recording)
    found = []
    for index in np.unique(sample).tolist():
        of_it = sample == index
        found.append(_decided(t_us[of_it], neuron[of_it], recording.output_counts.shape[1]) - starts[index])
    return np.array(found, np.int64)


def _first_times(inputs: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    samples, first = np.unique(inputs["sample"], return_index=True)
    return samples, inputs["t"][first]


def _output_spikes(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(sample, time, output neuron) of all output spikes, in order of time within a sample."""
    columns, first = [], 0
    for name in recording.outputs:
        channels, height, width = recording.counts[name].shape[1:]
        spikes = recording.spikes[name]
        neuron = (spikes["c"].astype(np.int64) * height + spikes["y"]) * width + spikes["x"] + first
        columns.append((spikes["sample"].astype(np.int64), spikes["t"], neuron))
        first += channels * height * width
    sample, t_us, neuron = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((np.arange(len(sample)), t_us, sample))
    return sample[order], t_us[order], neuron[order]


def _decided(t_us: NDArray[np.int64], neuron: NDArray[np.int64], neurons: int) -> int:
    """The time of the spike after which the answer stays what it is; spikes (N,) in order, at least one."""
    so_far = np.cumsum(neuron[:, None] == np.arange(neurons), axis=0)
    answer = so_far.argmax(axis=1)
    changes = np.flatnonzero(answer[1:] != answer[:-1])
    return int(t_us[changes[-1] + 1 if changes.size else 0])


def decision(recording: Recording) -> dict[str, Any]:
    """Median, least and most ms from the first input event to the decision, and of how many ``samples``."""
    taken = decisions_us(recording) / 1000
    if not taken.size:
        return {"samples": 0, "median_ms": None, "min_ms": None, "max_ms": None}
    return {
        "samples": taken.size,
        "median_ms": _rounded(float(np.median(taken))),
        "min_ms": _rounded(float(taken.min())),
        "max_ms": _rounded(float(taken.max())),
    }


def energy(recording: Recording, picojoule_per_synop: float | None = None) -> str:
    """The energy of a sample on the chip in one line, with every assumption and its source; an estimate.

        E = 0.42 mW x duration + SynOps x energy per SynOp

    No source gives the energy of a synaptic update of this chip: ``picojoule_per_synop`` is the caller's assumption.
    """
    if not len(recording.durations_us) or recording.rung not in ("emulator", "board"):
        return "not estimated: durations are not recorded, or this is no run of a chip"
    resting_uj = float(recording.durations_us.mean()) * RESTING_MW / 1e3
    if picojoule_per_synop is None:
        return f"estimate: {resting_uj:.3g} uJ per sample at rest ({RESTING_SOURCE}); {NO_SYNOP_SOURCE}"
    synops_uj = float(recording.synops.mean()) * picojoule_per_synop / 1e6
    return (
        f"estimate: {resting_uj + synops_uj:.3g} uJ per sample = {resting_uj:.3g} at rest ({RESTING_SOURCE})"
        f" + {synops_uj:.3g} for synaptic updates (assumed by you: {picojoule_per_synop:g} pJ each)"
    )


def _rounded(value: float) -> float:
    return round(value, 4)
