"""Operators with only stored arrays as inputs, computed while the file is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from deploytool.base.arrays import Array
from deploytool.base.errors import UnsupportedError
from deploytool.convert.onnx.file import Operator

COMPUTED: Final = frozenset(
    {
        "Add",
        "Cast",
        "CastLike",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "DequantizeLinear",
        "Div",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Mul",
        "Neg",
        "Range",
        "Reciprocal",
        "ReduceProd",
        "Reshape",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that exporters leave between stored arrays and in shape arithmetic."""

ELEMENTS_MAX: Final = 2**28
"""The largest array that is computed from stored ones: 1 GB in float32."""


def compute(operator: Operator, given: Sequence[Array], opsets: Mapping[str, int]) -> tuple[Array, ...]:
    """The results of ``operator`` for the arrays ``given``, by onnx's own reference implementation.

    Raises UnsupportedError for an operator that is not in `COMPUTED`, or whose result is too large.
    """
    from onnx.reference import ReferenceEvaluator

    if operator.type not in COMPUTED:
        found = f"{operator.type} of stored arrays is not supported"
        raise UnsupportedError(operator.where, found, f"one of {', '.join(sorted(COMPUTED))}", SIMPLIFY)
    if (size := _size(operator.type, given)) > ELEMENTS_MAX:
        raise UnsupportedError(operator.where, f"{operator.type} creates {size:,} values", f"at most {ELEMENTS_MAX:,}")
    if operator.type in ("Squeeze", "Unsqueeze"):
        return (_axes_of_one(operator, given),)
    names = [name for name in operator.inputs if name]
    try:
        evaluator = ReferenceEvaluator(operator.proto, opsets=dict(opsets))
        made = evaluator.run(None, dict(zip(names, given, strict=True)))
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        found = f"{operator.type} cannot be computed ({reason})"
        raise UnsupportedError(operator.where, found, "valid stored arrays") from None
    return tuple(np.asarray(array) for array in made)


SIMPLIFY: Final = "Export it again with constant folding, or run onnxsim on the file."


def _size(kind: str, given: Sequence[Array]) -> int:
    """An upper bound on the size of the result; exact for operators whose result is larger than their inputs."""
    if kind in ("ConstantOfShape", "Expand") and given:
        sizes = [max(int(size), 1) for size in given[-1].reshape(-1)[:16]]
        return math.prod(sizes) * (given[0].size if kind == "Expand" else 1)
    if kind == "Range" and len(given) == 3 and float(given[2].reshape(-1)[0]):
        start, stop, step = (float(array.reshape(-1)[0]) for array in given)
        return math.ceil(abs((stop - start) / step)) if math.isfinite(stop - start) else ELEMENTS_MAX + 1
    if kind == "Gather" and len(given) == 2:
        return given[0].size * max(given[1].size, 1)
    if kind == "Concat":
        return sum(array.size for array in given)
    if kind in ("Add", "Sub", "Mul", "Div") and len(given) == 2:
        axes = max(array.ndim for array in given)
        shapes = [(1,) * (axes - array.ndim) + array.shape for array in given]
        return math.prod(max(pair) for pair in zip(*shapes, strict=True))
    return max((array.size for array in given), default=1)


def _axes_of_one(operator: Operator, given: Sequence[Array]) -> Array:
    """``given[0]`` with axes of size 1 added or removed: axes are an attribute before opset 13, an input since."""
    axes = given[1] if len(given) > 1 else np.array(operator.attributes.get("axes", []), np.int64)
    wanted = tuple(int(axis) for axis in axes.reshape(-1))
    try:
        if operator.type == "Unsqueeze":
            return np.expand_dims(given[0], wanted)
        return np.squeeze(given[0], wanted or None)
    except ValueError as error:
        raise UnsupportedError(
            operator.where, f"{operator.type} of the axes {wanted} ({error})", "axes of size 1"
        ) from None
