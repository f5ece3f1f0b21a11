"""What cores do beside the network itself: a slow clock that adds biases, and output decimators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from deploytool.base.errors import UsageError
from deploytool.ir.program import SECOND_US, Program


@dataclass(frozen=True)
class Extras:
    """The frequency of the slow clock, None for none; and ``decimate`` {layer: n}, of which one in n spikes leaves."""

    slow_clock_hz: int | None = None
    decimate: Mapping[str, int] = field(default_factory=dict)


NO_EXTRAS: Final = Extras()


def with_extras(program: Program, extras: Extras, dt_ms: float | None = None) -> Program:
    """``program``, before layers are split, with the slow clock and the decimators of ``extras``.

    A bias b that training adds once per time step of ``dt_ms`` is b / dt per second, so that a tick adds b tick / dt.
    Without ``dt_ms`` a tick adds b. Raises UsageError for the name of a layer that ``program`` does not have.
    """
    layers = dict(program.layers)
    for name, interval in extras.decimate.items():
        logical = program.aliases.get(name, name)
        if logical not in layers:
            raise UsageError(f"--decimate {name}={interval}", f"no layer {name!r}", f"one of {', '.join(layers)}")
        layers[logical] = replace(layers[logical], decimation=interval)
    if extras.slow_clock_hz is None:
        return program.with_layers(layers)
    ticks_per_step = 1.0 if dt_ms is None else dt_ms * 1000 * extras.slow_clock_hz / SECOND_US
    for name, layer in layers.items():
        if layer.bias is not None:
            layers[name] = replace(layer, bias=(layer.bias / ticks_per_step).astype(layer.bias.dtype))
    return program.with_layers(layers, slow_clock_hz=extras.slow_clock_hz)
