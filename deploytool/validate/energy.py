"""The energy of a sample on the chip: an estimate, with every assumption and its source."""

from __future__ import annotations

from typing import Final

from deploytool.chip.power import RESTING_MW, RESTING_SOURCE
from deploytool.ir.recording import Recording

NO_SYNOP_SOURCE: Final = "synaptic updates not estimated: no source for their energy"


def energy(recording: Recording, pj_per_synop: float | None = None) -> str:
    """The energy of a sample on the chip in one line, with every assumption and its source; an estimate.

        E = 0.42 mW x duration + SynOps x energy per SynOp

    No source gives the energy of a synaptic update of this chip: ``pj_per_synop`` is the caller's assumption.
    """
    if not len(recording.durations_us) or recording.rung not in ("emulator", "board"):
        return "not estimated: durations are not recorded, or the run is not on a chip"
    resting_uj = float(recording.durations_us.mean()) * RESTING_MW / 1e3
    if pj_per_synop is None or not len(recording.synops):
        return f"estimate: {resting_uj:.3g} uJ per sample at rest ({RESTING_SOURCE}); {NO_SYNOP_SOURCE}"
    synops_uj = float(recording.synops.mean()) * pj_per_synop / 1e6
    return (
        f"estimate: {resting_uj + synops_uj:.3g} uJ per sample = {resting_uj:.3g} at rest ({RESTING_SOURCE})"
        f" + {synops_uj:.3g} for synaptic updates (assumed by you: {pj_per_synop:g} pJ each)"
    )
