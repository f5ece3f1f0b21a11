"""What a network costs at a rate of input events, from its shapes alone, before anything has run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from deploytool.base.numbers import figure
from deploytool.chip.power import (
    DEMONSTRATED_SYNOPS_PER_S,
    DEMONSTRATION_SOURCE,
    LATENCY_LAYERS,
    LATENCY_SOURCE,
    LATENCY_US,
)
from deploytool.ir.events import EventStream
from deploytool.ir.program import INPUT, Program, Synapses
from deploytool.validate.energy import estimate
from deploytool.validate.load import WHAT_TO_DO

ASSUMPTION: Final = "if every layer fires once per event that it gets"
"""Only a run knows how often layers fire."""


@dataclass(frozen=True)
class InputRate:
    """Input events per second: the mean, and that of the busiest ms of any sample, None if not known."""

    mean: float
    busiest_ms: float | None = None


@dataclass(frozen=True)
class ExpectedLoad:
    """Synaptic updates per second of ``part``, which is ``layer`` or a part of it, on ``core`` (None: not placed)."""

    layer: str
    part: str
    core: int | None
    mean_synops_per_s: float
    busiest_ms_synops_per_s: float | None


@dataclass(frozen=True)
class Expected:
    """What a program costs at ``rate``: the ``load`` of every core, the ``power_mw`` of RAM + LOGIC, and sentences."""

    rate: InputRate
    load: tuple[ExpectedLoad, ...]
    power_mw: float | None
    energy: str
    busiest_core: str
    latency: str


def measured_rate(streams: Iterable[EventStream]) -> InputRate:
    """The rate of the input events in ``streams``; milliseconds are bins counted from the start of each."""
    events = duration_us = most = 0
    for stream in streams:
        events += len(stream)
        duration_us += stream.duration_us
        _, in_ms = np.unique(stream.events["t"] // 1000, return_counts=True)
        most = max(most, int(in_ms.max(initial=0)))
    return InputRate(events / duration_us * 1e6 if duration_us else 0.0, most * 1e3)


def expected(program: Program, rate: InputRate) -> Expected:
    """What ``program`` costs at ``rate``, if every layer fires once per event that it gets.

    An event makes c_out kx ky / (sx sy) synaptic updates, borders left out. Parts of a split layer get all its events
    and together fire once for each. Feedback is left out.
    """
    per_event = _synops_per_event(program)
    busiest = rate.busiest_ms
    load = tuple(
        ExpectedLoad(
            layer=program.place_in(name)[0],
            part=name,
            core=program.core_of.get(name),
            mean_synops_per_s=round(rate.mean * each, 1),
            busiest_ms_synops_per_s=None if busiest is None else round(busiest * each, 1),
        )
        for name, each in per_event.items()
    )
    energy = estimate(rate.mean * sum(per_event.values()), seconds=1.0, per="second")
    at = f"at {figure(rate.mean)} events/s, {ASSUMPTION}"
    return Expected(rate, load, energy.mw, f"{at}: {energy.says}", f"{at}: {_busiest(load)}", _latency(program))


def _synops_per_event(program: Program) -> dict[str, float]:
    """{layer: its synaptic updates per input event of the network}."""
    fires = {INPUT: 1.0}
    synops = {}
    for logical, parts in program.parts.items():
        arrived = 0.0
        for name in parts:
            flows = [(fires.get(source, 0.0), routes) for source, routes in program.inflows(name)]
            synapses = program.layers[name].synapses
            synops[name] = sum(rate * _reach(synapses[next(iter(routes.values())).synapses]) for rate, routes in flows)
            arrived = sum(rate for rate, _ in flows)
        fires[logical] = arrived
    return synops


def _reach(synapses: Synapses) -> float:
    """The neurons that an event reaches, on average and without borders."""
    outputs, _, rows, columns = synapses.weights.shape
    strides = synapses.stride[0] * synapses.stride[1]
    return float(min(outputs // synapses.groups * rows * columns / strides, np.prod(synapses.out_shape)))


def _busiest(load: tuple[ExpectedLoad, ...]) -> str:
    most = max(load, key=lambda each: each.mean_synops_per_s)
    place = most.part if most.core is None else f"core {most.core} ({most.part})"
    peak = most.busiest_ms_synops_per_s
    in_ms = "" if peak is None else f", {figure(peak / 1e6)} in the busiest ms of its input"
    says = (
        f"{place} is the busiest, {figure(most.mean_synops_per_s / 1e6)} M SynOps/s on average{in_ms};"
        f" {DEMONSTRATION_SOURCE} reached about {DEMONSTRATED_SYNOPS_PER_S / 1e6:g} M, and no limit is published"
    )
    above = max(most.mean_synops_per_s, peak or 0.0) > DEMONSTRATED_SYNOPS_PER_S
    return f"{says}. More than was ever shown: {WHAT_TO_DO}" if above else says


def _latency(program: Program) -> str:
    layers = len(program.parts)
    return (
        f"about {figure(LATENCY_US / LATENCY_LAYERS * layers)} us for an event through {layers} layers"
        f" ({LATENCY_US:g} us through {LATENCY_LAYERS}: {LATENCY_SOURCE}); run measures the time to the decision"
    )
