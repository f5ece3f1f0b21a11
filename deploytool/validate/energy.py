"""The energy of a sample on the chip: an estimate, with its assumption, its range and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploytool.base.numbers import figure, rounded
from deploytool.chip.power import (
    FIT_SOURCE,
    FITTED_SYNOPS_PER_S,
    IO,
    IO_PJ_PER_SYNOP,
    PJ_PER_SYNOP,
    RESTING_MW,
    SENSOR,
    resting_mw,
)
from deploytool.ir.recording import ON_CHIP, Recording

NOT_ESTIMATED: Final = "not estimated: "


@dataclass(frozen=True)
class Energy:
    """Estimated energy of a sample on the chip, on the rails RAM + LOGIC; all but ``says`` are None if not estimated.

    ``mw`` is the mean power and ``synops_per_s`` the rate of synaptic updates at which it holds. ``extrapolated``: the
    rate is outside the range of the source; None with an assumption of the caller's.
    """

    uj_per_sample: float | None
    mw: float | None
    synops_per_s: float | None
    extrapolated: bool | None
    says: str


def energy(recording: Recording, pj_per_synop: float | None = None) -> Energy:
    """The estimated energy of a sample of ``recording``, in which every synaptic update takes ``pj_per_synop``.

    The default is the figure of `deploytool.chip.power`. Only runs on a chip, or on its emulator, have an estimate.
    """
    if recording.rung not in ON_CHIP:
        return Energy(None, None, None, None, f"{NOT_ESTIMATED}the run is not on a chip")
    if not recording.durations_us.any() or not len(recording.synops):
        return Energy(None, None, None, None, f"{NOT_ESTIMATED}durations or synaptic updates are not recorded")
    seconds = float(recording.durations_us.mean()) / 1e6
    return estimate(float(recording.synops.mean()), seconds, pj_per_synop)


def estimate(synops: float, seconds: float, pj_per_synop: float | None = None, per: str = "sample") -> Energy:
    """The energy of a sample of ``synops`` synaptic updates that lasts ``seconds``, on the rails RAM + LOGIC.

        E = 0.42 mW x duration + SynOps x 366 pJ

    ``per`` says what it is the energy of.
    """
    per_synop = PJ_PER_SYNOP if pj_per_synop is None else pj_per_synop
    resting_uj, synops_uj = RESTING_MW * seconds * 1e3, synops * per_synop / 1e6
    rate = synops / seconds
    low, high = FITTED_SYNOPS_PER_S
    mw = (resting_uj + synops_uj) / seconds / 1e3
    extrapolated = None if pj_per_synop is not None else not low <= rate <= high
    says = (
        f"{figure(resting_uj + synops_uj)} uJ per {per}, {figure(mw)} mW on average (estimate for RAM + LOGIC):"
        f" {figure(resting_uj)} uJ at rest ({figure(RESTING_MW)} mW) + {figure(synops_uj)} uJ for SynOps;"
        f" {_basis(rate, pj_per_synop)}; {_apart(rate)}"
    )
    return Energy(rounded(resting_uj + synops_uj), rounded(mw), rounded(rate), extrapolated, says)


def _basis(rate: float, pj_per_synop: float | None) -> str:
    """The assumed energy of a synaptic update, its range and its source."""
    if pj_per_synop is not None:
        return f"assumed by you: {pj_per_synop:g} pJ per SynOp"
    low, high = FITTED_SYNOPS_PER_S
    millions = f"{low / 1e6:g} to {high / 1e6:g} M SynOps/s"
    here = f"{figure(rate / 1e6)} M"
    state = f"these {here} are within" if low <= rate <= high else f"extrapolated to {here} from"
    return f"{PJ_PER_SYNOP:g} pJ per SynOp, {FIT_SOURCE}, {state} its {millions} of small convolutions"


def _apart(rate: float) -> str:
    """What the other rails draw."""
    io_mw = resting_mw(IO) + rate * IO_PJ_PER_SYNOP / 1e9
    return f"apart: sensor {figure(resting_mw(SENSOR))} mW at rest, IO {figure(io_mw)} mW"
