"""Names of runs: the rungs of the ladder have one run each, and any other run is named by what differs from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploytool.ir.events import Bins
from deploytool.ir.program import Arithmetic
from deploytool.ir.recording import RUNGS, Recording, RungName, Setup

ARITHMETIC: Final[Mapping[RungName, Arithmetic]] = MappingProxyType(
    {
        "torch": "float32",
        "quantised": "int8/int16",
        "simulator": "float32",
        "emulator": "int8/int16",
        "board": "int8/int16",
    }
)
"""The arithmetic of each rung."""

PERTURBATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "order": "events reordered within {}",
        "drop": "{} of events lost",
        "threshold": "thresholds varied by {}",
        "weights": "weights varied by {}",
    }
)
"""{model of a perturbation: its words}, for `deploytool.run.jobs.perturbation`."""

STEPS: Final[Mapping[Bins, str]] = MappingProxyType({"time": "steps of equal time", "count": "steps of equal counts"})
"""{bins of a clock-driven run: their words}."""

_DRAW: Final = re.compile(r"(\S+) seed (\d+) repeat (\d+)")


def named(recordings: Mapping[str, Recording]) -> dict[str, str]:
    """{name of the run: its key in ``recordings``}: the rungs in ladder order, then the variants.

    A rung is an unperturbed run in the arithmetic of the rung. If several qualify, it is one that was not imported,
    with the time steps of the trained network, or else the first. Only that choice, and the numbers of runs with equal
    setups, depend on the order of ``recordings``.
    """
    trained = next((found.setup for found in recordings.values() if found.rung == "torch"), None)
    rungs: dict[str, str] = {}
    variants: dict[str, str] = {}
    for rung in RUNGS:
        setups = {key: found.setup for key, found in recordings.items() if found.rung == rung}
        if chosen := _of_rung(rung, setups, trained):
            rungs[rung] = chosen
        variants |= _variants(rung, setups, chosen)
    return rungs | variants


def _of_rung(rung: RungName, setups: Mapping[str, Setup], trained: Setup | None) -> str | None:
    """The key of the run that is the ``rung``; None if none qualifies."""
    able = {
        key: setup
        for key, setup in setups.items()
        if not setup.perturbation and setup.arithmetic in (None, ARITHMETIC[rung])
    }
    as_trained = [
        key
        for key, setup in able.items()
        if trained and (setup.time_steps, setup.bins) == (trained.time_steps, trained.bins)
    ]
    chosen = (*as_trained, *able)
    return next((key for key in chosen if not setups[key].imported), next(iter(chosen), None))


def _variants(rung: RungName, setups: Mapping[str, Setup], chosen: str | None) -> dict[str, str]:
    """{name: key} of all runs of ``rung`` but the ``chosen`` one, which is the rung itself; in order of T and name."""
    usual = setups[chosen] if chosen is not None else None
    names = {key: ", ".join([rung, *differences(rung, setup, usual)]) for key, setup in setups.items()}
    for detail in (_bits, _draw, _seed, _program):
        names = _told_apart(names, {key: detail(setup) for key, setup in setups.items()})
    numbers: dict[str, int] = {rung: 1} if chosen is not None else {}
    found: dict[str, str] = {}
    for key, name in sorted(names.items(), key=lambda item: (setups[item[0]].time_steps or 0, item[1])):
        if key != chosen:
            number = numbers[name] = numbers.get(name, 0) + 1
            found[name if number == 1 else f"{name}, run {number}"] = key
    return found


def differences(rung: RungName, setup: Setup, usual: Setup | None) -> list[str]:
    """What differs between ``setup`` and the ``usual`` one of its rung, in words; all that is special without one."""
    parts = []
    if setup.arithmetic not in (None, ARITHMETIC[rung]):
        parts.append(str(setup.arithmetic))
    bits = (setup.weight_bits, usual.weight_bits if usual else None)
    if None not in bits and bits[0] != bits[1]:
        parts.append(f"{bits[0]} bits")
    if setup.time_steps is not None and (usual is None or setup.time_steps != usual.time_steps):
        parts.append(f"T = {setup.time_steps}")
    if setup.time_steps is not None and setup.bins != (usual.bins if usual else "time"):
        parts.append(STEPS[setup.bins])
    if setup.imported and (usual is None or setup.imported != usual.imported):
        parts.append(f"imported from {setup.imported}")
    return parts + in_words(setup.perturbation)


def in_words(perturbation: str) -> list[str]:
    """What ``perturbation``, as a setup states it, does; its draw is left out."""
    if not perturbation:
        return []
    if not (found := _DRAW.fullmatch(perturbation)):
        return [perturbation]
    models = [model.partition("=") for model in found[1].split(",")]
    return [PERTURBATIONS.get(name, name + " {}").format(_spaced(amount)) for name, _, amount in models]


def _spaced(amount: str) -> str:
    """``5 %`` for ``5%``."""
    return re.sub(r"(?<=\d)(?=[%a-z]+$)", " ", amount)


def _bits(setup: Setup) -> str:
    return f"{setup.weight_bits} bits" if setup.weight_bits else ""


def _draw(setup: Setup) -> str:
    found = _DRAW.fullmatch(setup.perturbation)
    return f"draw {int(found[3]) + 1}" if found else ""


def _seed(setup: Setup) -> str:
    found = _DRAW.fullmatch(setup.perturbation)
    return f"seed {found[2]}" if found else ""


def _program(setup: Setup) -> str:
    return setup.program and f"program {setup.program[:8]}"


def _told_apart(names: Mapping[str, str], details: Mapping[str, str]) -> dict[str, str]:
    """``names`` with the ``details`` {key: text} of the runs whose equal names these tell apart."""
    told: dict[str, set[str]] = {}
    for key, name in names.items():
        told.setdefault(name, set()).add(details[key])
    return {
        key: f"{name}, {details[key]}" if details[key] and len(told[name]) > 1 else name for key, name in names.items()
    }
