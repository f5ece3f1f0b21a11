"""One training on several processes: each takes a part of every batch, and their gradients are added.

torchrun starts the processes and names them in the environment. Every one reads the same batches, drawn by the same
random numbers, and keeps its part; the sums of gradients, losses and statistics are over the whole batch. So all have
the same weights, those of a single process but for the order in which floating-point numbers are added.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch import distributed as dist

from deploytool.base.machine import launched_processes


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """The processes of torchrun joined into one training; nothing where there is one process."""
    if launched_processes() == 1:
        yield
        return
    # An optimizer loads this. Loaded when the group is there already, it holds it for good: its threads, not ended
    # with it, would meet the end of the interpreter, which now and then aborts the process.
    importlib.import_module("torch._dynamo")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def leads() -> bool:
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait() -> None:
    """Returns when all processes have come here."""
    if dist.is_initialized():
        dist.barrier()


def own_part(frames: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The samples of ``frames`` (T, B, C, H, W) and ``labels`` (B,) that are this process's; maybe none."""
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
    places = add_up(values.new_tensor(values[..., :].numel() / max(1, torch.Size(shape).numel())))
    mean = _Sum.apply(values.sum(dim)) / places  # type: ignore[no-untyped-call]
    deviation = values - mean.view(shape)
    return _Sum.apply(deviation.square().sum(dim)) / places, mean  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    """The sum over processes; what a sum's gradient is in one process is the sum of what it is in each."""

    @staticmethod
    def forward(_ctx: object, values: Tensor) -> Tensor:
        return add_up(values.clone())

    @staticmethod
    def backward(_ctx: object, *gradients: Tensor) -> Tensor:
        return add_up(gradients[0].clone())
