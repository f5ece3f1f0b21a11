"""The device of a training, and its precision."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from deploytool.base.errors import RecipeError
from deploytool.recipe import TrainSection


def device_of(spec: TrainSection) -> torch.device:
    """The device that ``spec`` asks for. With several GPUs, it is the one that torchrun assigned to this process.

    Raises RecipeError for a GPU that does not exist, and for mixed precision without a GPU.
    """
    has_gpu = torch.cuda.is_available()
    if spec.device == "cuda" and not has_gpu:
        raise RecipeError("train.device", "found 'cuda', but torch finds no GPU", "'cpu', or 'auto'")
    if has_gpu and spec.device != "cpu":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if spec.precision == "mixed":
        raise RecipeError("train.precision", "found 'mixed' without a GPU", "'single' on a CPU")
    return torch.device("cpu")


def autocast(spec: TrainSection, device: torch.device) -> torch.autocast:
    """A context in which convolutions and sums run in bfloat16, if ``spec`` asks for that.

    Neurons, losses and validation stay in float32. bfloat16 has the range of float32, so losses need no scaling.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=spec.precision == "mixed")


@contextmanager
def reproducible() -> Iterator[None]:
    """A context in which torch uses only deterministic algorithms, and multiplies float32 in float32.

    New memory is not filled, as torch would in this mode: every element is written before it is read.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        memory.fill_uninitialized_memory = filled


def keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks. Otherwise every step requests new pages, which the kernel clears."""
    if sys.platform == "linux":
        m_trim_threshold, m_mmap_max = -1, -4
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, -1)
