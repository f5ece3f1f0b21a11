"""Weights in the files that people save: of torch.save, of a trainer, of safetensors. No code in them is run."""

from __future__ import annotations

import logging
import math
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn.parameter import is_lazy

from deploytool.base.arrays import Array
from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.convert.torch.arrays import to_array

log = logging.getLogger(__name__)

NEED: Final = "what torch.save(module.state_dict(), path) writes, or a .safetensors file"
CHECKPOINT_KEYS: Final[tuple[str, ...]] = ("state_dict", "model_state_dict", "model", "net", "weights", "module")
"""Keys under which trainers store the state dict, the most reliable first."""
PREFIXES: Final = ("module.", "model.", "_orig_mod.", "_forward_module.", "net.", "network.", "snn.", "spiking_model.")
"""Prefixes that wrappers, trainers and attributes add to every name."""
WHOLE: Final = (
    "Write a function that returns torch.load(path, weights_only=False), and convert package.module:function."
)


def read_state_dict(path: Path, tell: Callable[[str], None] = log.warning) -> dict[str, Array]:
    """The arrays in the state dict ``path`` by name, in their order in the file; integers and 16 bits as float32.

    From a checkpoint of a trainer the state dict in it is used. A prefix common to all names is removed. From a saved
    sinabs Network only the spiking model is used. ``tell`` gets a note about each of these.

    Raises InputError if the file is missing or damaged, holds a module instead of its weights, or a tensor without
    finite values.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", NEED)
    state = _load_safetensors(path) if path.suffix == ".safetensors" else _load_torch(path)
    return arrays_of(state, str(path), tell, bytes_allowed(path))


def arrays_of(
    state: Any, where: str, tell: Callable[[str], None] = log.warning, bytes_max: int | None = None
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


def _load_safetensors(path: Path) -> Any:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(str(path), f"not a safetensors file ({_first_line(error)})", NEED) from None


def _load_torch(path: Path) -> Any:
    _refuse_modules(path)
    noted: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True, action="always") as noted:
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if (found := re.search(r"GLOBAL ([\w.]+)", str(error))) is not None:
            todo = "Save the weights alone: torch.save(module.state_dict(), 'weights.pth')."
            found_in_it = f"holds a Python object ({found.group(1)}), which only running its code can read"
            raise InputError(str(path), found_in_it, "tensors by name", todo) from None
        if (protocol := re.search(r"pickle protocol (\d+) in the checkpoint", _warned(noted))) is not None:
            todo = "Save it with the default protocol of torch.save."
            raise InputError(str(path), f"pickle protocol {protocol.group(1)}", NEED, todo) from None
        raise InputError(str(path), f"cannot be read ({_first_line(error)})", NEED) from None


def _warned(noted: list[warnings.WarningMessage]) -> str:
    return " ".join(str(warning.message) for warning in noted)


def _first_line(error: Exception) -> str:
    lines = f"{type(error).__name__}: {error}".splitlines()
    return lines[0].partition(". ")[0]


def _refuse_modules(path: Path) -> None:
    """Raises InputError for an archive that is damaged or holds a module, saying how to convert it."""
    try:
        if not zipfile.is_zipfile(path):
            return
        names, first = _archived(path)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(str(path), f"a damaged archive ({_first_line(error)})", NEED) from None
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        todo = "Save its weights: torch.save(torch.jit.load(path).state_dict(), 'weights.pth'), or convert the module."
        raise InputError(str(path), "a TorchScript module, whose layers cannot be identified", NEED, todo)
    if any(name.startswith(("models/", "archive_format")) for name in names):
        todo = "Write a function that returns torch.export.load(path).module(), and convert package.module:function."
        raise InputError(str(path), "a program of torch.export", NEED, todo)
    if first is not None and not first.startswith("collections."):
        found = f"a whole pickled module ({first}), which only running its code can read"
        raise InputError(str(path), found, NEED, WHOLE)


def _archived(path: Path) -> tuple[list[str], str | None]:
    """(the names in the archive ``path``, the class of the object in it, as `_first_class` finds it).

    Raises InputError if the archive unpacks to more than a file of its size may, and the many errors of zipfile.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > bytes_allowed(path):
            found = "an archive that unpacks to more than 1 GiB and 20 times its size"
            raise InputError(str(path), found, "an archive that is not compressed, as torch.save writes it")
        names = [name.partition("/")[2] for name in archive.namelist()]
        data = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        return names, None if data is None or "constants.pkl" in names else _first_class(archive.read(data))


def _first_class(pickled: bytes) -> str | None:
    """The class of the object in ``pickled``, which is not loaded; None for a dict, a list or a number."""
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if operation.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if "UNICODE" in operation.name:
                texts.append(str(argument))
            elif operation.name not in ("PROTO", "FRAME", "MEMOIZE", "BINPUT"):
                return None
    except ValueError:
        return None
    return None


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
