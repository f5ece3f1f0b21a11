"""Whether the fields of a node have the axes and shapes that NIR gives them; rules judge only nodes that do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.convert.nir.fields import Fields

WEIGHT_AXES: Final[Mapping[str, int]] = MappingProxyType({"Linear": 2, "Affine": 2, "Conv1d": 3, "Conv2d": 4})
"""The number of axes of the weights of a node type."""
ONE_NUMBER: Final = ("groups", "start_dim", "end_dim")
PER_NEURON: Final = ("r", "tau", "tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset", "w_in")
"""Fields with one value per neuron, or one value for all."""


def require_well_formed(fields: Fields) -> None:
    """Raises InputError, naming the field, unless the arrays of ``fields`` have the axes that its type needs."""
    if fields.type in WEIGHT_AXES:
        fields.array("weight", WEIGHT_AXES[fields.type])
    for name in ONE_NUMBER:
        if name in fields.values:
            fields.integer(name, 1 if name == "groups" else -8)
    arrays: dict[str, Array] = {name: fields.array(name) for name in PER_NEURON if name in fields.values}
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(fields.where, f"parameters of different shapes: {found}", "one shape for all") from None
