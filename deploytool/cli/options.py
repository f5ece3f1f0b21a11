"""The options of the command line."""

from __future__ import annotations

from collections.abc import Iterable

from deploytool.base.errors import UsageError


def parse_pins(pins: Iterable[str]) -> dict[str, int]:
    """{layer: core} from ``layer=core`` texts."""
    parsed: dict[str, int] = {}
    for pin in pins:
        layer, _, core = pin.partition("=")
        if not layer or not core.isdecimal():
            raise UsageError(f"--pin {pin}", "not of the form LAYER=CORE", "for example --pin conv1=0")
        if layer in parsed:
            raise UsageError(f"--pin {pin}", f"{layer} is pinned to core {parsed[layer]} already", "every layer once")
        parsed[layer] = int(core)
    return parsed
