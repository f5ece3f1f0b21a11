"""A module as it is once it is trained, for as long as it is looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import nn


@contextmanager
def as_trained(module: nn.Module, clock: tuple[int, ...]) -> Iterator[None]:
    """A context in which ``module`` is in eval mode, uncompiled, at least float32, and takes inputs with first axes
    ``clock``. On exit the module and torch's random state are restored."""
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_in_eval_mode(module))
        stack.enter_context(_in_single_precision(module))
        stack.enter_context(_on_clock(module, clock))
        stack.enter_context(_without_counters(module))
        stack.enter_context(_without_autocast())
        yield


@contextmanager
def _in_single_precision(module: nn.Module) -> Iterator[None]:
    """A context in which 16-bit numbers are float32, which holds them exactly: sinabs's neurons return float32 for any
    input."""
    narrow = [
        tensor
        for tensor in (*module.parameters(), *module.buffers())
        if tensor.dtype in (torch.bfloat16, torch.float16)
    ]
    kept = [tensor.data for tensor in narrow]
    try:
        for tensor in narrow:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, data in zip(narrow, kept, strict=True):
            tensor.data = data


@contextmanager
def _without_counters(module: nn.Module) -> Iterator[None]:
    """A context without the hooks with which sinabs counts spikes and synaptic operations: they change no result, and
    their counts add up over calls."""
    parts = list(module.modules())
    kept = [dict(part._forward_hooks) for part in parts]
    try:
        for part, hooks in zip(parts, kept, strict=True):
            for key, hook in hooks.items():
                if str(getattr(getattr(hook, "func", hook), "__module__", "")).startswith("sinabs."):
                    del part._forward_hooks[key]
        yield
    finally:
        for part, hooks in zip(parts, kept, strict=True):
            part._forward_hooks.clear()
            part._forward_hooks.update(hooks)


@contextmanager
def _without_autocast() -> Iterator[None]:
    """A context in which torch.autocast changes no dtype, because it would round the results of the module."""
    enter, leave = torch.autocast.__enter__, torch.autocast.__exit__

    def nothing(*_: Any) -> None:
        """Does nothing on entering and on leaving."""

    torch.autocast.__enter__ = torch.autocast.__exit__ = nothing  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__enter__, torch.autocast.__exit__ = enter, leave  # type: ignore[method-assign]


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    """A context in which ``module`` is in eval mode; on exit its modes and buffers are restored."""
    parts = [part for part in module.modules() if isinstance(part._buffers, dict)]
    modes = [part.training for part in parts]
    buffers = [{name: None if kept is None else kept.clone() for name, kept in part._buffers.items()} for part in parts]
    try:
        with suppress(NotImplementedError):  # an exported module has one mode only
            module.eval()
        yield
    finally:
        for part, mode, saved in zip(parts, modes, buffers, strict=True):
            part.training = mode
            part._buffers.clear()
            part._buffers.update(saved)


@contextmanager
def _on_clock(module: nn.Module, clock: tuple[int, ...]) -> Iterator[None]:
    """A context in which the layers that fold time into the sample axis, or unfold it, use ``clock``."""
    layers = [vars(part) for part in module.modules() if _folds_time(part)]
    kept: list[dict[str, Any]] = [
        {name: layer[name] for name in ("batch_size", "num_timesteps") if name in layer} for layer in layers
    ]
    try:
        for layer in layers:
            layer["batch_size"] = clock[0] if len(clock) == 2 else 1
            if "num_timesteps" in layer:
                layer["num_timesteps"] = -1
        yield
    finally:
        for layer, attributes in zip(layers, kept, strict=True):
            layer.update(attributes)


def _folds_time(module: nn.Module) -> bool:
    return "batch_size" in vars(module) and any(cls.__module__.startswith("sinabs.") for cls in type(module).__mro__)
