"""Tensors of torch as arrays, exactly, or refused by name."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.convert.folding import require_finite


def to_array(tensor: torch.Tensor, what: str, where: str) -> Array:
    """The values of ``tensor``: float64 stays float64, everything else becomes float32 without rounding.

    bfloat16, float16 and float8 are widened; a quantised tensor is dequantised; a sparse one is
    filled with zeros. Raises InputError, saying ``where`` and ``what``, for a tensor without values (on the meta
    device, or of a lazy layer that never ran), for complex numbers, for integers that float32 cannot hold, and for
    values that are not finite.
    """
    if is_lazy(tensor):
        raise InputError(where, f"{what} of a lazy layer has no values yet", "weights", "Run the module once first.")
    if tensor.is_meta:
        todo = "Load the weights first: load_state_dict(torch.load(path), assign=True)."
        raise InputError(where, f"{what} is a meta tensor, which has no values", "weights that are loaded", todo)
    if tensor.is_complex():
        raise InputError(where, f"{what} holds complex numbers ({tensor.dtype})", "real numbers")
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype != torch.float64:
        single = tensor.to(torch.float32)
        if not tensor.is_floating_point() and not torch.equal(single.to(torch.float64), tensor.to(torch.float64)):
            raise InputError(where, f"{what} holds integers above 2^24 ({tensor.dtype})", "numbers that float32 holds")
        tensor = single
    array: Array = np.ascontiguousarray(tensor.numpy())
    require_finite(where, what, array)
    return array


def require_values(module: nn.Module) -> None:
    """Raises InputError naming every weight of ``module`` without values: on the meta device, or of a lazy layer."""
    problems: list[InputError] = []
    for name, tensor in module.named_parameters():
        if is_lazy(tensor) or tensor.is_meta:
            try:
                to_array(tensor, name.rpartition(".")[2], f"module {name.rpartition('.')[0]!r}")
            except InputError as error:
                problems.append(error)
    if problems:
        raise InputError.together(problems)
