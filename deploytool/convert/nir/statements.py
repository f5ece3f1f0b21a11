"""What NIR cannot say: stated as one JSON string, "deploytool", in the metadata of nodes and of the graph.

    IF, LIF, CubaLIF  reset, floor, at_most_one; threshold where it is one number for all neurons; tau_ms and
                      tau_syn_ms, one number or one per neuron, which NIR has in seconds and in other bits; v_init,
                      one number or one per neuron, where the membrane does not start at 0
    Conv2d, Affine    bias: true for a bias of zeros that is meant to be there
    Conv2d, Affine    part: its position in a Concat, for which NIR has no node
    Delay             delay_us where it is one number for all neurons
    Flatten           implied: true where the graph has none, because NIR tells (N, 1, 1) from (N,) and a Graph does not
    the graph         dt_ms; weight_bits and decoder where they are known; edges where there are Adds, for which NIR has
                      no node

A JSON string survives every release of the nir package, in contrast to nested or missing values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType, NoneType
from typing import Any, Final

from deploytool.base.errors import InputError

KEY: Final = "deploytool"
_NUMBER: Final = (int, float)
KNOWN: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "reset": (str,),
        "floor": (*_NUMBER, NoneType),
        "at_most_one": (bool,),
        "threshold": _NUMBER,
        "tau_ms": (*_NUMBER, list),
        "tau_syn_ms": (*_NUMBER, list),
        "v_init": (*_NUMBER, list),
        "dt_ms": (*_NUMBER, NoneType),
        "weight_bits": (int,),
        "decoder": (dict,),
        "delay_us": (int,),
        "bias": (bool,),
        "part": (int,),
        "implied": (bool,),
        "edges": (list,),
    }
)
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def metadata(**statements: Any) -> dict[str, Any]:
    """The metadata field of a node with ``statements``; empty if there are none."""
    return {"metadata": {KEY: json.dumps(statements, sort_keys=True)}} if statements else {}


def stated(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The statements in the metadata of ``fields``. Raises InputError if they cannot be interpreted."""
    text = fields.get("metadata", NOTHING)
    text = text.get(KEY) if isinstance(text, Mapping) else None
    if text is None:
        return NOTHING
    try:
        statements = json.loads(text, parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError):
        statements = None
    if not isinstance(statements, dict):
        raise InputError(where, f"metadata {KEY!r} is not a JSON object", "the object that deploytool wrote")
    for name, value in statements.items():
        if not isinstance(value, KNOWN.get(name, ())) or _is_huge(value):
            found = f"metadata {KEY!r} states {name} = {value!r}"
            raise InputError(where, found, "a statement that this version knows", "Update deploytool.")
    return statements


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _is_huge(value: Any) -> bool:
    """Whether ``value`` is, or holds, an integer beyond 64 bits."""
    values = value if isinstance(value, list) else [value]
    return any(type(item) is int and not -(2**63) <= item < 2**63 for item in values)
