"""Weights in the files that people save."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.convert.torch.arrays import to_array


def read_state_dict(path: Path) -> dict[str, Array]:
    """The arrays in the state_dict ``path``, in their order; nothing but arrays is read, and no code is run.

    Raises InputError when the file is missing, or is not what ``torch.save(module.state_dict(), path)`` writes.
    """
    need = "what torch.save(module.state_dict(), path) writes"
    if not path.is_file():
        raise InputError(str(path), "no such file", need)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0].partition(". ")[0]
        raise InputError(str(path), f"cannot be read ({reason})", need) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(str(path), "holds more than named tensors", need)
    return {str(name): to_array(tensor, "the tensor", f"{path}: {name!r}") for name, tensor in state.items()}
