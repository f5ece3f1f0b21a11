"""One layer of torch or sinabs to one node.

sinabs itself is not imported: its layers are known by their names, so that any release will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from deploytool.base.arrays import Array, Pair
from deploytool.base.errors import InputError, UnsupportedError
from deploytool.convert.folding import BatchNorm, Weighted, require_finite, same_padding, with_bias
from deploytool.ir.nodes import AvgPool, Conv, Flatten, Linear, Node, Reset, Spike, SumPool


def kind_of(module: nn.Module) -> str:
    """``torch.Conv2d``, ``sinabs.IAFSqueeze``: top package and class of ``module``."""
    return f"{type(module).__module__.partition('.')[0]}.{type(module).__name__}"


def read_layer(layer: nn.Module, where: str) -> Node:
    """The node that ``layer`` is. Raises UnsupportedError, saying ``where``, when there is none."""
    kind = kind_of(layer)
    if kind not in LAYERS:
        need = f"one of {', '.join((*LAYERS, *BATCH_NORMS, *IDENTITIES))}"
        todo = "Put spiking layers in its place, or export the network to ONNX." if kind == RELU else ""
        raise UnsupportedError(where, f"{kind} is not supported", need, todo)
    return LAYERS[kind](layer, where)


def read_batch_norm(layer: Any, where: str) -> BatchNorm:
    """The batch norm that ``layer`` is once trained. Raises UnsupportedError when it keeps no statistics."""
    if layer.running_mean is None:
        raise UnsupportedError(where, "a batch norm without running statistics", "track_running_stats=True")
    ones = torch.ones_like(layer.running_mean)
    gamma, beta = (ones, 0 * ones) if layer.weight is None else (layer.weight, layer.bias)
    return BatchNorm(
        _array(gamma, "weight", where),
        _array(beta, "bias", where),
        _array(layer.running_mean, "running_mean", where),
        _array(layer.running_var, "running_var", where),
        layer.eps,
    )


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
    require_whole_map(layer.start_dim, layer.end_dim, where)
    return Flatten()


def require_whole_map(start: int, end: int, where: str) -> None:
    """Raises UnsupportedError unless all of the map is flattened, behind an axis of samples, or also one of time."""
    if start not in (1, 2, -3) or end != -1:
        found = f"Flatten from axis {start} to axis {end}"
        raise UnsupportedError(where, found, "all of the map as a vector: from 1 (with an axis of time: 2) to -1")


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


LAYERS: Final[Mapping[str, Callable[[Any, str], Node]]] = MappingProxyType(
    {
        "torch.Conv2d": _conv,
        "torch.Linear": _linear,
        "torch.AvgPool2d": _avg_pool,
        "torch.Flatten": _flatten,
        "sinabs.SumPool2d": _sum_pool,
        "sinabs.IAF": _integrate_and_fire,
        "sinabs.IAFSqueeze": _integrate_and_fire,
    }
)
RELU: Final = "torch.ReLU"
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
