"""A torch or sinabs module of the user's to a Graph.

sinabs itself is not imported: its layers are known by their names, so that any release will do.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import torch
from torch import nn

from deploytool.convert.folding import (
    BatchNorm,
    Weighted,
    fold_batch_norm,
    input_to_output,
    require_finite,
    same_padding,
    with_bias,
)
from deploytool.errors import DeployError, InputError, UnsupportedError, UsageError
from deploytool.events import Shape
from deploytool.graph import Array, AvgPool, Conv, Flatten, Graph, Linear, Node, Pair, Reset, Spike, SumPool

log = logging.getLogger(__name__)
Named: TypeAlias = tuple[str, nn.Module]


def load_builder(name: str) -> Callable[[], nn.Module]:
    """The function that ``name``, of the form package.module:function, stands for; it builds a module.

    Importing and calling it runs code of the user's, and a line in the log says so first. The current folder is
    searched as well. Raises UsageError when there is no such function; what it raises itself, and anything but a
    module that it returns, is an InputError.
    """
    module_name, _, function_name = name.partition(":")
    log.warning("running your code: %s", name)
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(name, f"cannot be imported ({error})", "package.module:function") from error
    except Exception as error:
        raise _raised(name, error) from error
    finally:
        sys.path.remove(here)

    def build() -> nn.Module:
        try:
            module = function()
        except Exception as error:
            raise _raised(name, error) from error
        if not isinstance(module, nn.Module):
            raise InputError(name, f"returned a {type(module).__name__}", "a torch.nn.Module")
        return module

    return build


def _raised(name: str, error: Exception) -> InputError:
    return InputError(name, f"raised {type(error).__name__}: {error}", "a function that returns a module")


def from_module(module: nn.Module, input_shape: Shape) -> Graph:
    """The network that ``module``, an nn.Sequential, computes on maps of ``input_shape`` (C, H, W) once trained.

    Layers may be nested in further nn.Sequentials and are named as in torch ("0", "features.conv1"). Dropout is left
    out, as it does nothing after training; batch norm is folded into the weights before it. sinabs's IAF and
    IAFSqueeze keep threshold, min_v_mem (the floor) and reset; MultiSpike and SingleSpike tell how many spikes fit a
    time step, which event by event is not asked: a neuron fires at most once per update, as on the chip.

    Raises UnsupportedError naming every layer that has no equal here, InputError for weights that are not finite or
    shapes that do not match.
    """
    if _kind(module) == "sinabs.Network":
        module = module.spiking_model  # type: ignore[assignment]
    nodes: list[tuple[str, Node]] = []
    problems: list[DeployError] = []
    for name, layer in _layers(module, ""):
        where = f"module {name!r}"
        try:
            _read(nodes, name, layer, where)
        except (InputError, UnsupportedError) as error:
            problems.append(error)
    if problems:
        ill_formed = any(isinstance(problem, InputError) for problem in problems)
        raise (InputError if ill_formed else UnsupportedError).together(problems)
    return input_to_output(input_shape, nodes, _kind(module))


def _layers(module: nn.Module, prefix: str) -> Iterator[Named]:
    """(dotted name, layer) of everything inside nested nn.Sequentials, in order."""
    if type(module) is not nn.Sequential:
        yield prefix or "module", module
        return
    for name, child in module.named_children():
        yield from _layers(child, f"{prefix}.{name}" if prefix else name)


def _kind(module: nn.Module) -> str:
    """``torch.Conv2d``, ``sinabs.IAFSqueeze``: top package and class of ``module``."""
    return f"{type(module).__module__.partition('.')[0]}.{type(module).__name__}"


def _read(nodes: list[tuple[str, Node]], name: str, layer: nn.Module, where: str) -> None:
    """Appends to ``nodes`` what ``layer`` is, or changes the last of them."""
    kind = _kind(layer)
    if kind in IDENTITIES:
        return
    if kind in BATCH_NORMS:
        last = nodes[-1] if nodes else None
        if last is None or not isinstance(last[1], Conv | Linear):
            raise UnsupportedError(where, "a batch norm that follows no weights", "Conv2d or Linear before it")
        nodes[-1] = (last[0], fold_batch_norm(last[1], _batch_norm(layer, where), where))
        return
    if kind not in LAYERS:
        need = f"nn.Sequential of {', '.join((*LAYERS, *BATCH_NORMS, *IDENTITIES))}"
        todo = "Put spiking layers in its place, or export the network to ONNX." if kind == "torch.ReLU" else ""
        raise UnsupportedError(where, f"{kind} is not supported", need, todo)
    nodes.append((name, LAYERS[kind](layer, where)))


def _conv(layer: Any, where: str) -> Node:
    if layer.padding_mode != "zeros":
        raise UnsupportedError(where, f"padding_mode {layer.padding_mode!r}", "'zeros'")
    stride, dilation = _pair(layer.stride), _pair(layer.dilation)
    if layer.padding == "same":
        padding = same_padding(_pair(layer.kernel_size), stride, dilation, where)
    else:
        padding = (0, 0) if layer.padding == "valid" else _pair(layer.padding)
    node = Conv(_array(layer.weight, "weight", where), None, stride, padding, dilation, layer.groups)
    return _biased(node, layer, where)


def _linear(layer: Any, where: str) -> Node:
    return _biased(Linear(_array(layer.weight, "weight", where)), layer, where)


def _biased(node: Weighted, layer: Any, where: str) -> Node:
    return with_bias(node, None if layer.bias is None else _array(layer.bias, "bias", where))


def _batch_norm(layer: Any, where: str) -> BatchNorm:
    if layer.running_mean is None:
        raise UnsupportedError(where, "a batch norm without running statistics", "track_running_stats=True")
    ones = torch.ones_like(layer.running_mean)
    gamma, beta = (ones, 0 * ones) if layer.weight is None else (layer.weight, layer.bias)
    return BatchNorm(
        _array(gamma, "weight", where), _array(beta, "bias", where), _array(layer.running_mean, "running_mean", where),
        _array(layer.running_var, "running_var", where), layer.eps,
    )  # fmt: skip


def _avg_pool(layer: Any, where: str) -> Node:
    if _pair(layer.padding) != (0, 0) or layer.divisor_override is not None:
        raise UnsupportedError(where, "AvgPool2d with padding or divisor_override", "neither")
    return AvgPool(*_windows(layer, where))


def _sum_pool(layer: Any, where: str) -> Node:
    return SumPool(*_windows(layer, where))


def _windows(layer: Any, where: str) -> tuple[Pair, Pair]:
    if layer.ceil_mode:
        raise UnsupportedError(where, "pooling with ceil_mode", "ceil_mode=False")
    kernel = _pair(layer.kernel_size)
    return kernel, kernel if layer.stride is None else _pair(layer.stride)


def _flatten(layer: Any, where: str) -> Node:
    """Flattens the whole map, behind an axis of samples, or one of samples and one of time."""
    if layer.start_dim not in (1, 2, -3) or layer.end_dim != -1:
        found = f"Flatten from axis {layer.start_dim} to axis {layer.end_dim}"
        raise UnsupportedError(where, found, "all of the map as a vector: from 1 (with an axis of time: 2) to -1")
    return Flatten()


def _integrate_and_fire(layer: Any, where: str) -> Node:
    if layer.tau_syn is not None:
        raise UnsupportedError(where, "a synaptic time constant", "tau_syn=None")
    spikes = getattr(layer.spike_fn, "__name__", type(layer.spike_fn).__name__)
    if spikes not in ("MultiSpike", "SingleSpike"):
        raise UnsupportedError(where, f"spike_fn {spikes}", "MultiSpike or SingleSpike")
    threshold, floor = _numbers(layer.spike_threshold, "spike_threshold", where), None
    if not (threshold > 0).all():
        raise InputError(where, f"spike_threshold is {float(threshold.min())}", "a threshold above 0")
    if layer.min_v_mem is not None:
        low = _numbers(layer.min_v_mem, "min_v_mem", where)
        if not (low == low.flat[0]).all():
            raise UnsupportedError(where, "a min_v_mem per neuron", "one")
        floor = float(low.flat[0])
    reset = _reset(layer, threshold, where)
    if (threshold == threshold.flat[0]).all():
        return Spike(float(threshold.flat[0]), floor, reset)
    return Spike(threshold.reshape(*threshold.shape, *[1] * (3 - threshold.ndim)), floor, reset)


def _reset(layer: Any, threshold: Array, where: str) -> Reset:
    rule = layer.reset_fn
    match type(rule).__name__:
        case "MembraneSubtract" if rule.subtract_value is None or (threshold == float(rule.subtract_value)).all():
            return "subtract"
        case "MembraneReset" if float(rule.reset_value) == 0:
            return "zero"
    raise UnsupportedError(where, f"reset_fn {rule}", "MembraneSubtract() or MembraneReset()")


LAYERS: Final[Mapping[str, Callable[[Any, str], Node]]] = MappingProxyType({
    "torch.Conv2d": _conv, "torch.Linear": _linear, "torch.AvgPool2d": _avg_pool, "torch.Flatten": _flatten,
    "sinabs.SumPool2d": _sum_pool, "sinabs.IAF": _integrate_and_fire, "sinabs.IAFSqueeze": _integrate_and_fire,
})  # fmt: skip
BATCH_NORMS: Final = ("torch.BatchNorm1d", "torch.BatchNorm2d")
IDENTITIES: Final = ("torch.Dropout", "torch.Dropout2d", "torch.Identity")


def _pair(value: Any) -> Pair:
    vertical, horizontal = value if isinstance(value, tuple) else (value, value)
    return int(vertical), int(horizontal)


def _array(tensor: torch.Tensor, what: str, where: str) -> Array:
    array = tensor.detach().cpu().numpy()
    require_finite(where, what, array)
    return array


def _numbers(value: Any, what: str, where: str) -> Array:
    """``value``, a number or a tensor, as an array."""
    return _array(torch.as_tensor(value), what, where)
