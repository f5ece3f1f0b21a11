"""Files of torch.save and safetensors. No code in them is run, and nothing is allocated before its size is checked."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from deploytool.base.errors import InputError
from deploytool.base.hdf5 import bytes_allowed
from deploytool.convert.torch.pickled import class_in, stored_in

NEED: Final = "what torch.save(module.state_dict(), path) writes, or a .safetensors file"
PICKLE_BYTES_MAX: Final = 2**26
"""The maximum size of the part of an archive that has the names and shapes of its tensors."""
WHOLE: Final = (
    "Write a function that returns torch.load(path, weights_only=False), and convert package.module:function."
)
PICKLES_BEFORE: Final = 4
"""In the form before archives, the pickle of the object is the fourth, and the values follow the fifth."""


def load(path: Path) -> Any:
    """The object in the file ``path``: for a state dict, tensors by name.

    Raises InputError if the file is missing or damaged, holds a module or a program, or claims more values than it has.
    """
    where = str(path)
    if not path.is_file():
        raise InputError(where, "no such file", NEED)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        else:
            _check_pickles(path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile and pickletools raise nearly everything
        raise InputError(where, f"cannot be read ({_first_line(error)})", NEED) from None
    return _load_torch(path)


def _load_safetensors(path: Path) -> Any:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(str(path), f"not a safetensors file ({_first_line(error)})", NEED) from None


def _load_torch(path: Path) -> Any:
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
    return lines[0].partition(". ")[0].removesuffix(": ")


def _check_archive(path: Path) -> None:
    """Raises InputError for an archive of something else, saying how to convert it, and for one that claims too much.

    Raises the many errors of zipfile and of `stored_in` if it is damaged.
    """
    where = str(path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sum(entry.file_size for entry in archive.infolist()) > bytes_allowed(path):
            found = "an archive that unpacks to more than 1 GiB and 20 times its size"
            raise InputError(where, found, "an archive that is not compressed, as torch.save writes it")
        _refuse_others({name.partition("/")[2] for name in entries}, where)
        folder = next(iter(entries), "").partition("/")[0]
        if entries[f"{folder}/data.pkl"] > PICKLE_BYTES_MAX:
            raise InputError(where, "more than 64 MiB of names and shapes", "fewer tensors")
        pickled = archive.read(f"{folder}/data.pkl")
    if (first := class_in(pickled)) is not None and not first.startswith("collections."):
        found = f"a whole pickled module ({first}), which only running its code can read"
        raise InputError(where, found, NEED, WHOLE)
    for stored in stored_in(pickled, where):
        if stored.bytes > entries[f"{folder}/data/{stored.key}"]:
            found = f"{entries[f'{folder}/data/{stored.key}']:,} bytes for {stored.size:,} values"
            raise InputError(where, found, f"{stored.bytes:,} bytes", "Copy or save the file again.")


def _refuse_others(names: set[str], where: str) -> None:
    """Raises InputError for an archive with files of these ``names`` that does not hold a pickled object."""
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        todo = "Save its weights: torch.save(torch.jit.load(path).state_dict(), 'weights.pth'), or convert the module."
        raise InputError(where, "a TorchScript module, whose layers cannot be identified", NEED, todo)
    if any(name.startswith(("models/", "archive_format")) for name in names):
        todo = "Write a function that returns torch.export.load(path).module(), and convert package.module:function."
        raise InputError(where, "a program of torch.export", NEED, todo)


def _check_pickles(path: Path) -> None:
    """Raises InputError if the tensors of a file in the form before archives claim more values than it has.

    Raises the errors of `stored_in` if it is damaged.
    """
    where, claimed = str(path), {}
    with path.open("rb") as file:
        for _ in range(PICKLES_BEFORE):
            for stored in stored_in(file, where):
                claimed[stored.key] = stored.bytes
    if sum(claimed.values()) > path.stat().st_size:
        raise InputError(where, f"{sum(claimed.values()):,} bytes of values are claimed", "values that are in the file")
