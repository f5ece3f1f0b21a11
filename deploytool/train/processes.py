"""One training on several processes: each takes a part of every batch, and their gradients are added.

torchrun starts the processes and numbers them in the environment. All draw the same batches, and each keeps its part.
Gradients, losses and statistics are summed over all parts, so all processes have the same weights. These differ from
the weights of a single process only by the order of floating-point sums.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.nn.functional import all_reduce

from deploytool.base.machine import launched_processes


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """A context in which the processes of torchrun train together. It has no effect on a single process."""
    if launched_processes() == 1:
        yield
        return
    # Optimizers import this module. If it is imported while the process group exists, it keeps the group alive,
    # and the group's threads sometimes abort the process when the interpreter ends.
    importlib.import_module("torch._dynamo")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def leads() -> bool:
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait() -> None:
    """Returns when all processes have called it."""
    if dist.is_initialized():
        dist.barrier()


def own_part(frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The part of ``frames`` (T, B, C, H, W) and ``labels`` (B,) that this process takes, which may be empty."""
    if count() == 1:
        return frames, labels
    parts, rank = count(), dist.get_rank()
    return frames.tensor_split(parts, 1)[rank], labels.tensor_split(parts)[rank]


def add_up(tensor: Tensor) -> Tensor:
    """The sum of ``tensor`` over all processes, in ``tensor``."""
    if count() > 1:
        dist.all_reduce(tensor)
    return tensor


def add_gradients(parameters: Iterable[Tensor]) -> None:
    """Adds up the gradients of ``parameters`` over all processes."""
    if count() == 1:
        return
    found = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joint = add_up(torch.cat([gradient.flatten() for gradient in found]))
    parts = torch.split(joint, [gradient.numel() for gradient in found])
    for gradient, whole in zip(found, parts, strict=True):
        gradient.copy_(whole.view_as(gradient))


def moments(values: Tensor, dim: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(variance, mean) of ``values`` of all processes over ``dim``, through which gradients pass."""
    if count() == 1:
        return torch.var_mean(values, dim=dim, correction=0)
    shared = [d not in dim for d in range(values.ndim)]
    shape = [size if kept else 1 for size, kept in zip(values.shape, shared, strict=True)]
    places = add_up(values.new_tensor(values.numel() / max(1, torch.Size(shape).numel())))
    mean = all_reduce(values.sum(dim)) / places  # type: ignore[no-untyped-call]
    deviation = values - mean.view(shape)
    return all_reduce(deviation.square().sum(dim)) / places, mean  # type: ignore[no-untyped-call]
