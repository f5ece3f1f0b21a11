"""What each call of torch is in a network of spiking neurons: one literal table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from deploytool.base.errors import UnsupportedError
from deploytool.convert.torch import weights
from deploytool.convert.torch.kinds import is_layer
from deploytool.convert.torch.network import Call, Network, Signal
from deploytool.convert.torch.trace import Value
from deploytool.ir.nodes import AvgPool, Concat, Flatten, Spike, SumPool

Read = Callable[[Network, Call], Signal]
"""Adds a call to the network and returns its result."""


@dataclass(frozen=True)
class Known:
    """A function or method that can be read: the ``names`` of its arguments, and the function that reads it."""

    names: tuple[str, ...]
    read: Read


def _relu(network: Network, call: Call) -> Signal:
    """Neurons in place of a ReLU; a ReLU after spikes has no effect, because spikes are never below 0."""
    value = call.value()
    if network.relu is not None:
        return network.add(call, replace(network.relu), network.plain(call, value))
    name = network.plain(call, value).node
    while not isinstance(network.nodes[name], Spike):
        sources = [a for a, b in network.edges if b == name]
        if len(sources) != 1 or not isinstance(network.nodes[name], AvgPool | SumPool | Flatten):
            todo = "Put spiking layers in its place, or export the network to ONNX."
            raise UnsupportedError(call.where, f"{call.step.what} is not supported", "spiking layers", todo)
        name = sources[0]
    return network.signals[value]


def _kept(network: Network, call: Call) -> Signal:
    """The input unchanged: the call changes at most the type, device or memory layout of a tensor."""
    if not call.step.keeps:
        raise UnsupportedError(call.where, _changes(call), "unchanged values", HINTS.get(call.step.function, ""))
    return network.signal(call, call.value())


def _changes(call: Call) -> str:
    by = "" if call.step.change is None else f" by up to {call.step.change:.3g}"
    return f"{call.step.function} changes the values{by}"


def _rearranged(network: Network, call: Call) -> Signal:
    """A tensor of another shape: a map that becomes a vector is flattened, anything else keeps its node."""
    value, result = call.value(), call.step.results[0]
    signal = network.signals[value]
    shape = network.shapes[signal.node]
    if not call.step.keeps or len(call.step.results) != 1:
        does = f"{call.step.function.strip('_')} picks or reorders values"
        found = f"{does}: {tuple(value.shape)} to {tuple(result.shape)}"
        raise UnsupportedError(call.where, found, "all values in their original order", ALL_STEPS)
    if signal.left_out:
        return signal
    try:
        network.leading(result)
    except ValueError:
        found = f"{call.step.function} mixes samples: {tuple(value.shape)} to {tuple(result.shape)}"
        raise UnsupportedError(call.where, found, "the whole map as a vector", "Write torch.flatten(x, 1).") from None
    size = math.prod(shape)
    if network.is_map(value, shape) and network.is_vector(result, size) and not network.is_map(result, shape):
        named = is_layer(call.step.layer.module)
        return network.flatten(call, network.unpadded(call, value), "" if named else "flatten")
    return signal


def _avg_pool(network: Network, call: Call) -> Signal:
    if call.pair("padding", 0) != (0, 0) or call.argument("divisor_override") is not None:
        raise UnsupportedError(call.where, "AvgPool2d with padding or divisor_override", "neither")
    return _pool(network, call, AvgPool)


def _sum_pool(network: Network, call: Call) -> Signal:
    if call.argument("norm_type") != 1:
        raise UnsupportedError(call.where, f"LPPool2d with p = {call.argument('norm_type')}", "p = 1, a sum")
    return _pool(network, call, SumPool)


def _pool(network: Network, call: Call, kind: type[AvgPool] | type[SumPool]) -> Signal:
    """Pooling windows of the size and stride given in ``call``."""
    kernel = call.pair("kernel_size")
    stride = call.pair("stride") if call.argument("stride") not in (None, [], ()) else kernel
    c, h, w = network.require_map(call, call.value())
    whole = (c, (h - kernel[0]) // stride[0] + 1, (w - kernel[1]) // stride[1] + 1)
    if not network.is_map(call.step.results[0], whole):
        raise UnsupportedError(call.where, "pooling with ceil_mode", "ceil_mode=False")
    return _pooled(network, call, kind(kernel, stride))


def _pooled(network: Network, call: Call, node: AvgPool | SumPool) -> Signal:
    """The signal of ``node`` after the call's input; windows of one pixel add no node."""
    value = call.value()
    signal = network.unpadded(call, value)
    if (node.kernel, node.stride) == ((1, 1), (1, 1)):
        return signal
    return replace(network.add(call, node, signal), scale=signal.scale)


def _adaptive_avg_pool(network: Network, call: Call) -> Signal:
    _, h, w = network.require_map(call, call.value())
    found = call.argument("output_size")
    wanted = tuple(found) if isinstance(found, list | tuple) else (found, found)
    out_h, out_w = (size if out is None else int(out) for out, size in zip(wanted, (h, w), strict=True))
    if h % out_h or w % out_w:
        said = f"AdaptiveAvgPool2d from {h}x{w} to {out_h}x{out_w}"
        raise UnsupportedError(call.where, said, "a size that divides it, so that all windows are equal")
    return _pooled(network, call, AvgPool((h // out_h, w // out_w), (h // out_h, w // out_w)))


def _mean(network: Network, call: Call) -> Signal:
    return _over_axes(network, call, AvgPool)


def _sum(network: Network, call: Call) -> Signal:
    return _over_axes(network, call, SumPool)


def _over_axes(network: Network, call: Call, kind: type[AvgPool] | type[SumPool]) -> Signal:
    """A mean or sum over the map; at the end, where it is the answer, also over samples and time."""
    value, found = call.value(), call.argument("dim")
    signal = network.signals[value]
    shape, axes = network.shapes[signal.node], len(value.shape)
    dims = sorted(int(dim) % axes for dim in (found if isinstance(found, list | tuple) else [found]) if dim is not None)
    if dims and dims[-1] < network.leading(value):
        return replace(signal, left_out=f"the {call.step.function} over samples or time steps")
    c, h, w = shape
    body = value.shape[network.leading(value) :]
    if body == (c, h * w) and dims == [axes - 1]:
        return _pooled(network, call, kind((h, w), (h, w)))
    if dims and network.is_map(value, shape) and dims[0] >= axes - 2:
        window = (h if axes - 2 in dims else 1, w if axes - 1 in dims else 1)
        return _pooled(network, call, kind(window, window))
    said = f"{call.step.function} over the axes {dims} of a tensor of {tuple(value.shape)}"
    raise UnsupportedError(call.where, said, "both axes of a map", "Write torch.nn.AdaptiveAvgPool2d(1).")


def _join(network: Network, call: Call) -> Signal:
    """Branches concatenated along the feature axis."""
    values = [value for value in call.argument("tensors") if isinstance(value, Value)]
    if len(values) < len(call.argument("tensors")):
        raise UnsupportedError(call.where, "concatenates a constant", "outputs of layers")
    axis = int(call.argument("dim", 0)) % len(values[0].shape)
    signals = [network.plain(call, value) for value in values]
    for value, signal in zip(values, signals, strict=True):
        shape = network.shapes[signal.node]
        feature = len(value.shape) - (3 if network.is_map(value, shape) else 1)
        if axis != feature:
            raise UnsupportedError(call.where, f"{call.step.function} along axis {axis}", "the feature axis, 1")
    if len({signal.node for signal in signals}) < len(signals):
        raise UnsupportedError(call.where, "takes the same output twice", "different inputs")
    return network.add(call, Concat(), *signals) if len(signals) > 1 else signals[0]


def _answer(network: Network, call: Call) -> Signal:
    """A call that turns the values of the last layer into an answer; it is left out."""
    return replace(network.signal(call, call.value()), left_out=f"the {call.step.function}")


def _neurons(network: Network, call: Call) -> Signal:
    """A layer of sinabs's neurons."""
    neurons = call.step.neurons
    assert neurons is not None
    value = call.value()
    weights.require_first_call(network, call, "potentials")
    axes = network.leading(value)
    if network.samples > 1 and axes != (1 if neurons.squeezed else 2):
        takes = "(samples x time steps, ...)" if neurons.squeezed else "(samples, time steps, ...)"
        found = f"neurons that expect {takes} get a tensor of shape {tuple(value.shape)}"
        todo = "Use IAFSqueeze for (samples x time steps, ...), IAF for (samples, time steps, ...)."
        raise UnsupportedError(call.where, found, f"a tensor of {takes}", todo)
    signal = network.add(call, neurons.node, network.plain(call, value))
    network.neurons[signal.node] = call.step
    return signal


def _known(names: str, read: Read) -> Known:
    return Known(tuple(names.split()), read)


def _each(names: str, known: Known) -> dict[str, Known]:
    return dict.fromkeys(names.split(), known)


CALLS: Final[Mapping[str, Known]] = MappingProxyType(
    {
        "conv2d": _known("input weight bias stride padding dilation groups", weights.conv2d),
        "linear": _known("input weight bias", weights.linear),
        **_each("matmul mm __matmul__", _known("input other", weights.matmul)),
        "batch_norm": _known("input running_mean running_var weight bias training momentum eps", weights.batch_norm),
        **_each("add add_ __add__ __iadd__ __radd__", _known("input other alpha", weights.add)),
        **_each("sub sub_ subtract __sub__", _known("input other alpha", weights.subtract)),
        **_each("mul mul_ multiply __mul__ __rmul__ __imul__", _known("input other", weights.multiply)),
        **_each("div div_ divide true_divide __truediv__", _known("input other rounding_mode", weights.divide)),
        "pad": _known("input pad mode value", weights.pad),
        "neurons": _known("input", _neurons),
        **_each("relu relu_", _known("input inplace", _relu)),
        "avg_pool2d": _known(
            "input kernel_size stride padding ceil_mode count_include_pad divisor_override", _avg_pool
        ),
        "adaptive_avg_pool2d": _known("input output_size", _adaptive_avg_pool),
        "lp_pool2d": _known("input norm_type kernel_size stride ceil_mode", _sum_pool),
        "mean": _known("input dim keepdim", _mean),
        "sum": _known("input dim keepdim", _sum),
        **_each("cat concat concatenate", _known("tensors dim", _join)),
        **_each("softmax log_softmax argmax sigmoid", _known("input dim", _answer)),
        **_each(
            "view reshape flatten ravel squeeze squeeze_ unsqueeze unsqueeze_ unflatten view_as reshape_as permute "
            "transpose movedim moveaxis swapaxes swapdims T mT "
            "__getitem__ narrow expand expand_as atleast_2d atleast_3d",
            _known("input", _rearranged),
        ),
        **_each(
            "contiguous clone detach detach_ to float double half bfloat16 type type_as cpu cuda data requires_grad_ "
            "alias positive pin_memory dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout feature_dropout "
            "dequantize fake_quantize_per_tensor_affine fake_quantize_per_channel_affine "
            "fused_moving_avg_obs_fake_quant",
            _known("input", _kept),
        ),
    }
)
"""{function or method: how it is read}."""

ALL_STEPS: Final = (
    "To process time steps, fold them into the samples: use sinabs's FlattenTime or x.flatten(0, 1), and IAFSqueeze."
)

_FAKE = (
    "It quantizes activations, which the chip does not do: train without it (a qconfig whose activation is "
    "torch.nn.Identity), or disable it: module.apply(torch.ao.quantization.disable_fake_quant)."
)

HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("max_pool2d", "adaptive_max_pool2d", "max_pool2d_with_indices"),
            "Train with average pooling or a stride: max pooling is not defined for single spikes.",
        ),
        **dict.fromkeys(
            ("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fused_moving_avg_obs_fake_quant"),
            _FAKE,
        ),
        **dict.fromkeys(("relu6", "hardtanh", "leaky_relu", "elu", "gelu", "silu", "tanh"), "Train with ReLU."),
        **dict.fromkeys(("layer_norm", "group_norm", "instance_norm"), "Train with BatchNorm2d, which can be folded."),
        **dict.fromkeys(("conv1d", "conv3d", "conv_transpose2d"), "Train with Conv2d."),
        "torch.batch_norm": "Call torch.nn.BatchNorm2d or torch.nn.functional.batch_norm.",
        "stack": "Let forward take one time step, or use torch.cat along the features.",
    }
)
"""{function: what to do if a network has it}."""
