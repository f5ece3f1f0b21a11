"""The stand-in for samna names its classes and fields as samna 0.7.1 does, wherever that has them."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import samna_api
from helpers.samna_api import EVENTS, EventFilterGraph, Samna, Struct

NEWER = {
    "CnnLayerConfig": {
        "leak_internal_slow_clk_enable",
        "input_congestion_balancer_enable",
        "output_decimator_enable",
        "output_decimator_interval",
    },
    "DvsLayerConfig": {"raw_monitor_enable"},
    "ReadoutConfig": {
        "enable",
        "readout_configuration_sel",
        "output_mode_sel",
        "readout_pin_monitor_enable",
        "monitor_enable",
        "internal_slow_clk",
    },
    "NeuronValue": {"layer", "address"},
}
"""Fields of samna >= 0.46, by its reference, that 0.7.1 lacks."""

STRUCTS = {kind.__name__: kind for kind in vars(samna_api).values() if isinstance(kind, type) and kind is not Struct}


@pytest.fixture(scope="module")
def classes(validator: Any) -> dict[str, list[str]]:
    """{class: its fields and methods} of samna 0.7.1."""
    return dict(validator({"classes": True}))


@pytest.mark.parametrize("name", sorted(name for name, kind in STRUCTS.items() if issubclass(kind, Struct)))
def test_fields_are_the_vendors(name: str, classes: dict[str, list[str]]) -> None:
    if name in ("PowerMeasurement", "Vec2_unsigned_char", "Vec2_bool"):
        assert name not in classes  # of newer versions, or made in another module
        return
    assert set(STRUCTS[name].FIELDS) - set(classes[name]) == NEWER.get(name, set())


def test_events_devices_and_graphs_are_the_vendors(classes: dict[str, list[str]]) -> None:
    assert {kind.__name__ for kind in EVENTS} <= classes.keys()
    assert {"start", "stop"} <= set(classes["EventFilterGraph"]) & set(vars(EventFilterGraph))
    assert set(vars(Samna().info)) <= set(classes["DeviceInfo"])
