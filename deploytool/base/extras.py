"""Optional packages: the extra that installs each, and the error where one is missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import UsageError

EXTRAS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "train": {"torch": "PyTorch", "sklearn": "scikit-learn"},
        "tensorboard": {"tensorboard": "TensorBoard"},
        "datasets": {"tonic": "tonic", "aedat": "aedat"},
        "hdf5": {"hdf5plugin": "hdf5plugin"},
        "onnx": {"onnx": "onnx", "google": "protobuf"},
        "speech": {"scipy": "SciPy", "fast_bss_eval": "fast_bss_eval", "pesq": "pesq"},
        "cuda": {"numba_cuda": "numba-cuda"},
        "cluster": {"dask": "Dask", "distributed": "Dask distributed", "cryptography": "cryptography"},
    }
)
"""{extra: {module: name of its package}} of pyproject.toml, without those for development."""


def require(where: str, *modules: str) -> None:
    """Raises UsageError, with the extra to install, if one of the top-level ``modules`` is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None and (error := missing(where, module)):
            raise error


def missing(where: str, module: str | None) -> UsageError | None:
    """The error for ``where``, which needs ``module``; None if no extra installs it."""
    package = (module or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if package in modules:
            return UsageError(where, f"{modules[package]} is not installed", f"pip install 'deploytool[{extra}]'")
    return None
