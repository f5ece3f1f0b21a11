"""The chip's configuration as plain values, in the vendor's terms.

Axes are transposed against ours: weights are [out][in][kx][ky], neurons [feature][x][y]. Sizes are {"x", "y"}.
"""

from __future__ import annotations

from typing import Any

from deploytool.chip import Chip
from deploytool.errors import InputError
from deploytool.events import Shape
from deploytool.graph import Pair
from deploytool.program import Layer, Program, Route

DESTINATIONS = 2


def configuration(program: Program, chip: Chip) -> dict[str, Any]:
    """The configuration of ``chip`` for a placed, quantised ``program``: plain JSON values.

    "cnn_layers" has an entry for every core, None where it is unused. Outputs are monitored; nothing else is.
    Raises InputError when the program was not mapped for this chip.
    """
    if program.chip != chip.name or set(program.core_of) != set(program.layers) or program.arithmetic == "float32":
        raise InputError(
            "program", f"mapped for {program.chip}, in {program.arithmetic}", f"one mapped for {chip.name}"
        )
    layers: list[dict[str, Any] | None] = [None] * len(chip.cores)
    for name, core in program.core_of.items():
        layers[core] = _layer(program, name)
    return {
        "chip": chip.name, "cnn_layers": layers, "dvs_layer": _dvs_layer(program), "readout": {"enable": False},
    }  # fmt: skip


def _layer(program: Program, name: str) -> dict[str, Any]:
    layer = program.layers[name]
    features, height, width = layer.out_shape
    return {
        "name": name,
        "dimensions": _dimensions(layer),
        "destinations": _destinations(program, layer.routes),
        "weights": layer.weights.transpose(0, 1, 3, 2).tolist(),
        "biases": [0] * features if layer.bias is None else layer.bias.tolist(),
        "leak_enable": layer.bias is not None,
        "neurons_initial_value": [[[0] * height for _ in range(width)] for _ in range(features)],
        "return_to_zero": layer.reset == "zero",
        "threshold_high": int(layer.threshold),
        "threshold_low": int(layer.floor or 0),
        "monitor_enable": name in program.outputs,
    }


def _dimensions(layer: Layer) -> dict[str, Any]:
    return {
        "input_shape": _shape(layer.in_shape),
        "output_shape": _shape(layer.out_shape),
        "kernel_size": layer.kernel[0],
        "stride": _xy(layer.stride),
        "padding": _xy(layer.padding),
    }


def _destinations(program: Program, routes: tuple[Route, ...]) -> list[dict[str, Any]]:
    used = [
        {
            "enable": True,
            "layer": program.core_of[route.to],
            "pooling": route.pool[0],
            "feature_shift": route.feature_shift,
        }
        for route in routes
    ]
    unused = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
    return used + [dict(unused) for _ in range(DESTINATIONS - len(used))]


def _dvs_layer(program: Program) -> dict[str, Any]:
    """The sensor's corner that the network sees, pooled; ``cut`` is the last pixel after pooling, as sinabs writes it.

    Events are sent from outside, so the sensor itself is off.
    """
    features, height, width = program.input_shape
    pool = program.input_routes[0].pool
    used = [{"enable": True, "layer": program.core_of[route.to]} for route in program.input_routes]
    return {
        "destinations": used + [{"enable": False, "layer": 0} for _ in range(DESTINATIONS - len(used))],
        "merge": features == 1,
        "on_channel": True,
        "off_channel": True,
        "mirror": {"x": False, "y": False},
        "mirror_diagonal": False,
        "origin": {"x": 0, "y": 0},
        "cut": _xy((height // pool[0] - 1, width // pool[1] - 1)),
        "pooling": _xy(pool),
        "pass_sensor_events": False,
        "monitor_enable": False,
    }


def _shape(shape: Shape) -> dict[str, Any]:
    return {"feature_count": shape[0], "size": _xy(shape[1:])}


def _xy(pair: Pair) -> dict[str, int]:
    return {"x": pair[1], "y": pair[0]}
