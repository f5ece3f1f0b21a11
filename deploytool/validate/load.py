"""The load of the cores over time, against what was demonstrated."""

from __future__ import annotations

from typing import Final

from deploytool.base.numbers import figure, rounded
from deploytool.chip.power import DEMONSTRATED_SYNOPS_PER_S, DEMONSTRATION_SOURCE
from deploytool.ir.recording import Recording
from deploytool.ir.verdict import CoreLoad

WHAT_TO_DO: Final = (
    "Split the layer over more cores, put it on core 0 or 1 (parallel lanes), pool or stride before it, "
    "or let the output decimator of its source pass fewer spikes"
)
"""What lowers the load of a core. A busy core holds up its sources, and with them the whole chip."""

NOT_KNOWN: Final = "not known: the run did not record it"


def core_loads(recording: Recording) -> tuple[CoreLoad, ...]:
    """The load of every core, or of every layer where none is placed; empty if not known.

    The mean is over the duration of all samples. The busiest millisecond is the fixed bin of 1 ms, counted from the
    start of its sample, with most synaptic updates in any sample; the busiest 10 ms are ten successive bins.
    """
    seconds = float(recording.durations_us.sum()) / 1e6
    return tuple(
        CoreLoad(
            layer=load.layer,
            part=name,
            core=load.core,
            mean_synops_per_s=rounded(load.synops / seconds) if seconds else None,
            busiest_ms_synops_per_s=load.busiest_ms * 1e3,
            busiest_10ms_synops_per_s=load.busiest_10ms * 1e2,
        )
        for name, load in recording.load.items()
    )


def load_sentence(loads: tuple[CoreLoad, ...]) -> str:
    """The busiest core in one line, against the demonstration, and what to do if it is above that."""
    if not loads:
        return NOT_KNOWN
    most = max(loads, key=lambda load: load.busiest_ms_synops_per_s)
    place = most.part if most.core is None else f"core {most.core} ({most.part})"
    peak = most.busiest_ms_synops_per_s
    mean = "" if most.mean_synops_per_s is None else f", {_millions(most.mean_synops_per_s)} on average"
    says = (
        f"{place} is the busiest: {_millions(peak)} M SynOps/s in its busiest ms,"
        f" {_millions(most.busiest_10ms_synops_per_s)} in its busiest 10 ms{mean};"
        f" {DEMONSTRATION_SOURCE} reached about {DEMONSTRATED_SYNOPS_PER_S / 1e6:g} M, and no limit is published"
    )
    if peak <= DEMONSTRATED_SYNOPS_PER_S:
        return says
    return f"{says}. More than was ever shown: {WHAT_TO_DO}"


def _millions(synops_per_s: float) -> str:
    return figure(synops_per_s / 1e6)
