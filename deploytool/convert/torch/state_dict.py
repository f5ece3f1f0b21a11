"""The arrays of a state dict, also of one inside a trainer's checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn.parameter import is_lazy

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.base.messages import warn
from deploytool.convert.torch.arrays import to_array
from deploytool.convert.torch.saved import NEED, load

CHECKPOINT_KEYS: Final[tuple[str, ...]] = ("state_dict", "model_state_dict", "model", "net", "weights", "module")
"""Keys under which trainers store the state dict, the most reliable first."""
PREFIXES: Final = ("module.", "model.", "_orig_mod.", "_forward_module.", "net.", "network.", "snn.", "spiking_model.")
"""Prefixes that wrappers, trainers and attributes add to every name."""


def read_state_dict(path: Path, tell: Callable[[str], None] = warn) -> dict[str, Array]:
    """The arrays in the state dict ``path`` by name, in their order in the file; integers and 16 bits as float32.

    From a checkpoint of a trainer the state dict in it is used. A prefix common to all names is removed. From a saved
    sinabs Network only the spiking model is used. ``tell`` gets a note about each of these.

    Raises InputError if the file is missing or damaged, holds a module instead of its weights, or a tensor without
    finite values.
    """
    return arrays_of(load(path), str(path), tell, bytes_allowed(path))


def arrays_of(
    state: Any, where: str, tell: Callable[[str], None] = warn, bytes_max: int | None = None
) -> dict[str, Array]:
    """The arrays in ``state``, a state dict or a checkpoint called ``where``, which may take ``bytes_max`` bytes.

    Raises as `read_state_dict` does.
    """
    tensors = _without_prefixes(where, _tensors(where, state, tell), tell)
    if bytes_max is not None:
        _require_small(tensors, where, bytes_max)
    return {name: to_array(tensor, "the tensor", f"{where}: {name!r}") for name, tensor in tensors.items()}


def _require_small(tensors: Mapping[str, torch.Tensor], where: str, bytes_max: int) -> None:
    """Raises InputError if ``tensors``, which may repeat or leave out values in the file, are larger than that."""
    left = bytes_max
    for name, tensor in tensors.items():
        if not tensor.is_nested and not is_lazy(tensor) and (left := left - 8 * math.prod(tensor.shape)) < 0:
            found = f"a tensor of shape {tuple(tensor.shape)} is too large for a file of this size"
            need = "tensors of at most 1 GiB in total, or 20 times the file's size"
            raise InputError(f"{where}: {name!r}", found, need)


def _tensors(where: str, state: Any, tell: Callable[[str], None]) -> Mapping[str, torch.Tensor]:
    """The tensors by name in ``state``, or in the one part of it that holds only tensors."""
    if not isinstance(state, Mapping):
        raise InputError(where, f"holds a {type(state).__name__}", NEED)
    if state and all(isinstance(value, torch.Tensor) for value in state.values()):
        return {str(name): tensor for name, tensor in state.items()}
    parts = {str(key): part for key, part in state.items() if isinstance(part, Mapping) and _has_only_tensors(part)}
    chosen = [key for key in CHECKPOINT_KEYS if key in parts] or list(parts)
    if len(parts) > 1 and chosen[0] not in CHECKPOINT_KEYS:
        raise InputError(where, f"several state dicts: {', '.join(parts)}", "one, or one called state_dict")
    if not chosen:
        others = [str(name) for name, value in state.items() if not isinstance(value, torch.Tensor)]
        found = f"holds more than named tensors ({', '.join(others[:5])})" if others else "holds nothing"
        raise InputError(where, found, NEED)
    tell(f"{where}: only {chosen[0]} of {', '.join(map(str, state))} is read")
    return {str(name): tensor for name, tensor in parts[chosen[0]].items()}


def _has_only_tensors(part: Mapping[Any, Any]) -> bool:
    return bool(part) and all(isinstance(value, torch.Tensor) for value in part.values())


def _without_prefixes(
    where: str, tensors: Mapping[str, torch.Tensor], tell: Callable[[str], None]
) -> Mapping[str, torch.Tensor]:
    """``tensors`` without prefixes common to all names; of a saved sinabs Network, those of the spiking model."""
    if {name.partition(".")[0] for name in tensors} == {"analog_model", "spiking_model"}:
        tell(f"{where}: only spiking_model of analog_model and spiking_model is read")
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("spiking_model.")}
    left_out = ""
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        left_out += prefix
    if left_out:
        tell(f"{where}: the prefix {left_out!r} is removed from every name")
    return tensors
