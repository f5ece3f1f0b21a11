"""A made-up sweep: two networks over time steps, and an early exit of one."""

from __future__ import annotations

from typing import Any

from deploytool.ir.sweep import Curve, Point, QuantityName, Sweep


def point(value: float, accuracy: float, **changes: Any) -> Point:
    known: dict[str, Any] = {
        "samples": 100,
        "labelled": 100,
        "right": round(accuracy),
        "interval_95": (accuracy - 8.0, accuracy + 5.0),
        "silent": 0,
        "spike_difference": 200.0 / (10 + accuracy),
        "spike_difference_mean": 200.0 / (9 + accuracy),
        "agreement": accuracy,
        "synops": 1000.0 * accuracy,
        "events": None,
        "ms": None,
        "recordings": (f"recording-{value:g}",),
    }
    return Point(value=value, accuracy=accuracy, **(known | changes))


def curve(model: str, quantity: QuantityName, *points: Point) -> Curve:
    on = "torch" if quantity == "time_steps" else "emulator"
    return Curve(model, f"model-{model}", quantity, on, "the whole run on the emulator", points)


SWEEP = Sweep(
    "digits",
    100,
    (
        curve("sdt", "time_steps", point(1, 40.0), point(4, 90.0), point(16, 95.0)),
        curve("mtt", "time_steps", point(1, 70.0), point(4, 93.0), point(16, 94.0)),
        curve("sdt", "margin", *(point(m, 80.0 + m, events=100.0 * m, ms=2.0 * m) for m in (1, 2, 3))),
    ),
)
