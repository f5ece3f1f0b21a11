"""Tensors of torch as arrays, exactly, or refused by name."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from deploytool.base.arrays import Array, require_finite
from deploytool.base.errors import InputError


def to_array(tensor: torch.Tensor, what: str, where: str) -> Array:
    """The values of ``tensor``: float64 stays float64, everything else becomes float32 without rounding.

    bfloat16, float16 and float8 are widened; a quantised tensor is dequantised; a sparse one is
    filled with zeros. Raises InputError, saying ``where`` and ``what``, for a tensor without values (on the meta
    device, or of a lazy layer that never ran), for complex numbers, for nested tensors, for integers that float32
    cannot hold, for values that are not finite, and for what torch cannot convert.
    """
    if is_lazy(tensor):
        raise InputError(where, f"{what} of a lazy layer has no values yet", "weights", "Run the module once first.")
    if tensor.is_meta:
        todo = "Load the weights first: load_state_dict(torch.load(path), assign=True)."
        raise InputError(where, f"{what} is a meta tensor, which has no values", "weights that are loaded", todo)
    if tensor.is_complex():
        raise InputError(where, f"{what} holds complex numbers ({tensor.dtype})", "real numbers")
    if tensor.is_nested:
        raise InputError(where, f"{what} is a nested tensor, whose rows may differ in length", "one shape")
    try:
        dense = _dense(tensor)
        single = dense if dense.dtype == torch.float64 else dense.to(torch.float32)
        exact = dense.is_floating_point() or torch.equal(single.to(torch.float64), dense.to(torch.float64))
        array: Array = np.ascontiguousarray(single.numpy())
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        found = f"{what} cannot be converted from {tensor.dtype} ({next(iter(str(error).splitlines()), '')})"
        raise InputError(where, found, "a dense tensor of float32") from None
    if not exact:
        raise InputError(where, f"{what} holds integers above 2^24 ({tensor.dtype})", "numbers that float32 holds")
    require_finite(where, what, array)
    return array


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` in main memory, with a number for each element. Raises the errors of torch."""
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return tensor if tensor.layout == torch.strided else _sound(tensor).to_dense()


def _sound(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor``, which is not dense. Raises RuntimeError if its indices do not fit: torch would read beyond memory."""
    values = partial(torch.sparse_compressed_tensor, size=tensor.shape, layout=tensor.layout, check_invariants=True)
    match tensor.layout:
        case torch.sparse_coo:
            return torch.sparse_coo_tensor(tensor._indices(), tensor._values(), tensor.shape, check_invariants=True)
        case torch.sparse_csr | torch.sparse_bsr:
            return values(tensor.crow_indices(), tensor.col_indices(), tensor.values())
        case torch.sparse_csc | torch.sparse_bsc:
            return values(tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    return tensor


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
