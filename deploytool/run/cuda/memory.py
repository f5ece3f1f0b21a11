"""GPU availability, free memory, and buffers that are reused between chunks."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# numba has no types of its own.

from __future__ import annotations

import contextlib
import importlib.util
import math
import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numba import config, cuda
from numpy.typing import DTypeLike

from deploytool.base.arrays import Array
from deploytool.base.errors import TargetError
from deploytool.run.cuda.kernels import clear, repeat
from deploytool.run.cuda.sizes import Grid

WHERE: Final = "--device cuda"


def available() -> bool:
    """Whether numba-cuda finds a GPU with a driver and a compiler, or numba's CUDA simulator is on."""
    return bool(config.ENABLE_CUDASIM or (importlib.util.find_spec("numba_cuda") and cuda.is_available()))


@contextlib.contextmanager
def gpu() -> Iterator[None]:
    """A context for GPU code. Raises TargetError if there is no GPU or if it fails."""
    if not available():
        need = "an NVIDIA GPU with its driver, and pip install 'deploytool[cuda]'"
        raise TargetError(WHERE, "no GPU that CUDA can use", need)
    from numba.cuda.cudadrv.driver import CudaAPIError

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        try:
            yield
        except CudaAPIError as error:
            found = " ".join(str(error).split())
            raise TargetError(WHERE, f"the GPU failed ({found})", "a working GPU with more free memory") from None


def free_bytes() -> float:
    """The memory that is free on the GPU."""
    return float(cuda.current_context().get_memory_info().free)


def upload(array: Array) -> Any:
    """``array`` on the GPU."""
    return cuda.to_device(np.ascontiguousarray(array))


class Buffers:
    """Named arrays on the GPU. Taking a name again reuses its memory, and the previous contents are lost."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._kept: dict[str, Any] = {}

    def take(self, name: str, shape: int | tuple[int, ...], dtype: DTypeLike, keep: int = 0) -> Any:
        """An array of ``shape``: the first ``keep`` elements come from the previous array of this name,
        the others are undefined."""
        shape = (shape,) if isinstance(shape, int) else shape
        size = max(1, math.prod(shape))
        kept: Any = self._kept.get(name)
        if kept is None or len(kept) < size:
            larger = cuda.device_array(size if kept is None else max(size, 2 * len(kept)), dtype)
            if keep:
                larger[:keep].copy_to_device(kept[:keep])
            self._kept[name] = kept = larger
        return kept[: math.prod(shape)].reshape(shape) if len(shape) > 1 else kept[: shape[0]]

    def zeros(self, name: str, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """Zeros of ``shape``."""
        taken = self.take(name, shape, dtype)
        self.grid.launch(clear, taken.size, taken.reshape(taken.size))
        return taken

    def copies(self, name: str, number: int, values: Any) -> Any:
        """``values`` (N,) repeated ``number`` times: (``number``, N)."""
        taken = self.take(name, (number, values.size), values.dtype)
        self.grid.launch(repeat, taken.size, values, taken.reshape(taken.size))
        return taken
