"""The chip's configuration as a C header: arrays and one table, for a microcontroller that writes it to a chip.

The arrays are in the chip's order: weights [out][in][kx][ky], initial values [feature][x][y].
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from deploytool.base.arrays import Array

PLAIN: Final = f"{string.ascii_letters}{string.digits} _-.,:()"
"""Characters that stay as they are in strings and comments."""
PER_LINE: Final = 16
"""Numbers on a line of an array."""

TYPES: Final = """\
typedef struct {
    uint8_t enable;         /* 1: spikes go to this destination */
    uint8_t core;
    uint8_t pooling;        /* x and y are divided by it */
    uint16_t feature_shift; /* added to the feature */
} speck_destination_t;

typedef struct {
    uint16_t features;
    uint8_t x, y;
} speck_map_t;

typedef struct {
    uint8_t core;
    const char *name;              /* the layer */
    speck_map_t input, output;     /* the output is before pooling */
    uint8_t kernel_size;
    uint8_t stride_x, stride_y, padding_x, padding_y;
    const int8_t *weights;         /* [out][in][kx][ky] */
    uint32_t weight_count;
    const int16_t *initial_values; /* [feature][x][y]; NULL: every neuron starts at initial_value */
    int16_t initial_value;
    int16_t threshold_high, threshold_low;
    uint8_t return_to_zero;        /* 1: a spike sets the membrane to 0; 0: it subtracts threshold_high */
    uint8_t monitor_enable;
    speck_destination_t destinations[2];
} speck_core_t;
"""


def c_header(configuration: Mapping[str, Any], made_from: str) -> str:
    """A C99 header with the cores of ``configuration``, which ``made_from`` says the origin of."""
    used = [(core, values) for core, values in enumerate(configuration["cnn_layers"]) if values is not None]
    arrays = "\n".join(part for core, values in used for part in _arrays(core, values))
    rows = ",\n".join(_row(core, values) for core, values in used)
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* The cores of a {_comment(configuration["chip"])}, made from {_comment(made_from)}. */
/* The layers of the sensor and of the readout are in configuration.json. */
#ifndef SPECK_CONFIGURATION_H
#define SPECK_CONFIGURATION_H

#include <stddef.h>
#include <stdint.h>

#define SPECK_CORE_COUNT {len(used)}

{TYPES}
{arrays}
static const speck_core_t speck_cores[SPECK_CORE_COUNT] = {{
{rows},
}};

#endif
"""


def _arrays(core: int, values: Mapping[str, Any]) -> Iterator[str]:
    yield _array(f"int8_t speck_core{core}_weights", np.array(values["weights"], np.int8))
    start = np.array(values["neurons_initial_value"], np.int16)
    if not _is_one_number(start):
        yield _array(f"int16_t speck_core{core}_initial_values", start)


def _array(declared: str, array: Array) -> str:
    """``array`` in C order; -32768 is an expression in C, because its literal has another type."""
    numbers = ["(-32767 - 1)" if number == -(1 << 15) else str(number) for number in array.ravel().tolist()]
    lines = (", ".join(numbers[at : at + PER_LINE]) for at in range(0, len(numbers), PER_LINE))
    inside = ",\n".join(f"    {line}" for line in lines)
    return f"static const {declared}[{array.size}] = {{\n{inside}\n}};\n"


def _is_one_number(array: Array) -> bool:
    return bool((array == array.flat[0]).all())


def _row(core: int, values: Mapping[str, Any]) -> str:
    size, start = values["dimensions"], np.array(values["neurons_initial_value"], np.int16)
    same = _is_one_number(start)
    stride, padding = size["stride"], size["padding"]
    fields = {
        "core": core,
        "name": c_string(values["name"]),
        "input": _map(size["input_shape"]),
        "output": _map(size["output_shape"]),
        "kernel_size": size["kernel_size"],
        "stride_x": stride["x"],
        "stride_y": stride["y"],
        "padding_x": padding["x"],
        "padding_y": padding["y"],
        "weights": f"speck_core{core}_weights",
        "weight_count": f"{np.size(values['weights'])}u",
        "initial_values": "NULL" if same else f"speck_core{core}_initial_values",
        "initial_value": int(start.flat[0]) if same else 0,
        "threshold_high": values["threshold_high"],
        "threshold_low": values["threshold_low"],
        "return_to_zero": int(values["return_to_zero"]),
        "monitor_enable": int(values["monitor_enable"]),
        "destinations": "{ " + ", ".join(map(_destination, values["destinations"])) + " }",
    }
    lines = "".join(f"        .{name} = {value},\n" for name, value in fields.items())
    return f"    {{\n{lines}    }}"


def _map(shape: Mapping[str, Any]) -> str:
    return f"{{ {shape['feature_count']}, {shape['size']['x']}, {shape['size']['y']} }}"


def _destination(to: Mapping[str, Any]) -> str:
    return f"{{ {int(to['enable'])}, {to['layer']}, {to['pooling']}, {to['feature_shift']} }}"


def c_string(text: str) -> str:
    """``text`` as a C string in ASCII; every byte that is no letter, digit or plain sign is an octal escape."""
    escaped = (chr(byte) if chr(byte) in PLAIN else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(escaped)}"'


def _comment(text: str) -> str:
    """``text`` for a comment: one line that cannot end it."""
    return "".join(character if character in PLAIN else "_" for character in text)
