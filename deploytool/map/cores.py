"""What cores do beside the network itself: a slow clock that adds biases, decimators and congestion balancers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from deploytool.base.errors import UnsupportedError, UsageError
from deploytool.chip.chips import Chip
from deploytool.ir.program import SECOND_US, Program


@dataclass(frozen=True)
class Extras:
    """The frequency of the slow clock, None for none; ``decimate`` {layer: n}, of which one in n spikes leaves; and
    ``balance`` {layer: SynOps per second} with a congestion balancer, for a core of that speed."""

    slow_clock_hz: int | None = None
    decimate: Mapping[str, int] = field(default_factory=dict)
    balance: Mapping[str, int] = field(default_factory=dict)


NO_EXTRAS: Final = Extras()


def with_extras(program: Program, extras: Extras, dt_ms: float | None = None) -> Program:
    """``program``, before layers are split, with the slow clock and the decimators of ``extras``.

    Its balancers are for `with_balancers`, because calibration runs without them.

    A bias b that training adds once per time step of ``dt_ms`` is b / dt per second, so that a tick adds b tick / dt.
    Without ``dt_ms`` a tick adds b. Raises UsageError for the name of a layer that ``program`` does not have.
    """
    layers = dict(program.layers)
    for name, interval in extras.decimate.items():
        logical = _named(program, name, f"--decimate {name}={interval}")
        layers[logical] = replace(layers[logical], decimation=interval)
    for name in extras.balance:
        _named(program, name, f"--balance {name}")
    if extras.slow_clock_hz is None:
        return program.with_layers(layers)
    ticks_per_step = 1.0 if dt_ms is None else dt_ms * 1000 * extras.slow_clock_hz / SECOND_US
    for name, layer in layers.items():
        if layer.bias is not None:
            layers[name] = replace(layer, bias=(layer.bias / ticks_per_step).astype(layer.bias.dtype))
    return program.with_layers(layers, slow_clock_hz=extras.slow_clock_hz)


def with_balancers(program: Program, balance: Mapping[str, int], chip: Chip) -> Program:
    """``program``, before layers are split, with the congestion balancers {layer: SynOps per second} of ``chip``.

    Raises UnsupportedError if ``chip`` has none that are documented.
    """
    if balance and not chip.balancers:
        found = f"{chip.title}, whose congestion balancers are not documented"
        raise UnsupportedError("--balance", found, "a Speck", "Leave --balance out.")
    layers = dict(program.layers)
    for name, speed in balance.items():
        logical = _named(program, name, f"--balance {name}")
        layers[logical] = replace(layers[logical], balancer=speed)
    return program.with_layers(layers)


def _named(program: Program, name: str, option: str) -> str:
    """The layer called ``name`` or made from that node. Raises UsageError for a name that ``program`` does not have."""
    logical = program.aliases.get(name, name)
    if logical not in program.layers:
        raise UsageError(option, f"no layer {name!r}", f"one of {', '.join(program.layers)}")
    return logical
