"""The C header: escapes, values at the limits, and what is an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from deploytool.map.c_header import c_header, c_string


def configured(**changes: Any) -> dict[str, Any]:
    shape = {"feature_count": 1, "size": {"x": 2, "y": 2}}
    pair = {"x": 1, "y": 1}
    layer = {
        "name": "conv",
        "dimensions": {"input_shape": shape, "output_shape": shape, "kernel_size": 1, "stride": pair, "padding": pair},
        "destinations": [{"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}] * 2,
        "weights": [[[[-128]]]],
        "neurons_initial_value": np.zeros((1, 2, 2), int).tolist(),
        "threshold_high": 32640,
        "threshold_low": -32768,
        "return_to_zero": True,
        "monitor_enable": True,
        **changes,
    }
    return {"chip": "speck2e", "cnn_layers": [None, layer, None]}


def test_a_string_is_ascii_and_cannot_end() -> None:
    assert c_string("conv1_part2") == '"conv1_part2"'
    assert c_string('a"b\\?') == '"a\\042b\\134\\077"'
    assert c_string("é1") == '"\\303\\2511"'


def test_only_used_cores_are_in_it() -> None:
    header = c_header(configured(), "program-1")
    assert "#define SPECK_CORE_COUNT 1\n" in header
    assert "static const int8_t speck_core1_weights[1] = {\n    -128\n};" in header
    assert ".return_to_zero = 1," in header


def test_initial_values_are_an_array_only_if_they_differ() -> None:
    assert ".initial_values = NULL,\n        .initial_value = 0," in c_header(configured(), "p")
    header = c_header(configured(neurons_initial_value=[[[0, 1], [-32768, 3]]]), "p")
    assert "static const int16_t speck_core1_initial_values[4] = {\n    0, 1, (-32767 - 1), 3\n};" in header
    assert ".initial_values = speck_core1_initial_values," in header


def test_an_origin_cannot_end_its_comment() -> None:
    assert "made from a__ int x_ __. */" in c_header(configured(), "a*/ int x; /*")
