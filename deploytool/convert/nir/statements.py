"""What NIR cannot say: stated as one JSON string, "deploytool", in the metadata of nodes and of the graph.

    IF, LIF           reset, floor, at_most_one; threshold and tau_ms where they are one number for all neurons
    Conv2d, Affine    bias: true for a bias of zeros that is meant to be there
    Flatten           implied: true where the graph has none, because NIR tells (N, 1, 1) from (N,) and a Graph does not
    the graph         dt_ms; edges where there are Adds, for which NIR has no node

A JSON string survives every release of the nir package, in contrast to nested or missing values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType, NoneType
from typing import Any, Final

import numpy as np

from deploytool.errors import InputError
from deploytool.graph import Array

KEY: Final = "deploytool"
_NUMBER: Final = (int, float)
KNOWN: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType({
    "reset": (str,), "floor": (*_NUMBER, NoneType), "at_most_one": (bool,), "threshold": _NUMBER, "tau_ms": _NUMBER,
    "bias": (bool,), "implied": (bool,), "dt_ms": (*_NUMBER, NoneType), "edges": (list,),
})  # fmt: skip
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def metadata(**statements: Any) -> dict[str, Any]:
    """The field of a node that makes ``statements``; no statements, no field."""
    return {"metadata": {KEY: json.dumps(statements, sort_keys=True)}} if statements else {}


def stated(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """What the metadata among ``fields`` states. Raises InputError when that is not ours to understand."""
    text = fields.get("metadata", NOTHING)
    text = text.get(KEY) if isinstance(text, Mapping) else None
    if text is None:
        return NOTHING
    try:
        statements = json.loads(text)
    except (TypeError, ValueError):
        statements = None
    if not isinstance(statements, dict):
        raise InputError(where, f"metadata {KEY!r} is no JSON object", "what deploytool wrote")
    for name, value in statements.items():
        if not isinstance(value, KNOWN.get(name, ())):
            found = f"metadata {KEY!r} states {name} = {value!r}"
            raise InputError(where, found, "what this version knows", "Update deploytool.")
    return statements


def leak_fields(tau_ms: float | Array, dt_ms: float | None, shape: tuple[int, ...]) -> dict[str, Array]:
    """tau (s), r and v_leak of an LIF node whose neurons decay with ``tau_ms`` and in which an input w adds w to V.

    NIR's equation is tau dv/dt = v_leak - v + r I: with a spike a current of 1 during a step dt, V moves by
    r w dt / tau, so that r = tau / dt; with a spike a Dirac impulse (no dt), r = tau in seconds.
    """
    tau = tau_ms / 1000
    step = 1.0 if dt_ms is None else dt_ms / 1000
    return {
        "tau": np.full(shape, tau, np.float32),
        "r": np.full(shape, tau / step, np.float32),
        "v_leak": np.zeros(shape, np.float32),
    }
