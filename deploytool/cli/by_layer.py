"""Options that give a number for each layer, as in LAYER=CORE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from deploytool.base.errors import UsageError


def parse_pins(pins: Iterable[str] | None) -> dict[str, int]:
    """{layer: core} from ``layer=core`` texts. Raises UsageError for any other text, and for a layer pinned twice."""
    return _by_layer(pins, "--pin", "CORE", "is already pinned to core")


def parse_decimators(decimators: Iterable[str] | None) -> dict[str, int]:
    """{layer: n} from ``layer=n`` texts. Raises UsageError for any other text, and for a layer given twice."""
    return _by_layer(decimators, "--decimate", "N", "already has a decimator of")


DEMONSTRATED_SYNOPS: Final = 200_000_000
"""SynOps per second that a DynapCNN was shown to reach (CVPRW 2019)."""


def parse_balancers(balancers: Iterable[str] | None) -> dict[str, int]:
    """{layer: SynOps per second} from ``layer`` and ``layer=synops`` texts. Raises UsageError as the others do."""
    stated = [text if "=" in text else f"{text}={DEMONSTRATED_SYNOPS}" for text in balancers or ()]
    return _by_layer(stated, "--balance", "SYNOPS_PER_S", "already has a balancer of")


def _by_layer(texts: Iterable[str] | None, option: str, kind: str, again: str) -> dict[str, int]:
    parsed: dict[str, int] = {}
    for text in texts or ():
        layer, _, number = text.partition("=")
        if not layer or not number.isdecimal():
            raise UsageError(f"{option} {text}", f"not of the form LAYER={kind}", f"for example {option} conv1=2")
        if layer in parsed:
            raise UsageError(f"{option} {text}", f"{layer} {again} {parsed[layer]}", "every layer once")
        parsed[layer] = int(number)
    return parsed
