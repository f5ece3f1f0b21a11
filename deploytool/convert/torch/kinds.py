"""Kinds of modules, known by the names of their classes.

Neither sinabs nor the vendor's library is imported, so that any release of them will do, and none is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import torch
from torch import nn

from deploytool.base.errors import UnsupportedError

NEURONS: Final = ("sinabs.IAF", "sinabs.IAFSqueeze")
"""Neuron layers that become one node each."""

TRANSPARENT: Final = frozenset(
    {
        *("Network", "Repeat", "DVSLayer", "Crop2d", "FlipDims", "Cropping2dLayer", "ChannelShift"),
        *("Merge", "FlattenTime", "UnflattenTime", "SumPool2d"),
    }
)
"""Sinabs modules that are converted from the calls in their forward."""

BASES: Final = ("StatefulLayer", "SqueezeMixin")
"""Sinabs base classes of custom neurons."""

CONTAINERS: Final = ("torch.nn.modules.module", "torch.nn.modules.container", "torch.nn.parallel", "torch.fx")
CONTAINERS_BY_NAME: Final = ("sinabs.Network", "sinabs.Repeat", "sinabs.DVSLayer")

SUPPORTED: Final = (
    "Conv2d, Linear, AvgPool2d, AdaptiveAvgPool2d, BatchNorm, Flatten, Dropout and Identity of torch, "
    "IAF, IAFSqueeze, SumPool2d, Merge, FlattenTime and UnflattenTime of sinabs"
)

EXPORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "snntorch": "snntorch.export_nir.export_to_nir(net, sample, ignore_dims=[0])",
        "spikingjelly": "spikingjelly.activation_based.nir_exchange.export_to_nir(net, sample)",
        "norse": "norse.torch.to_nir(net)",
        "rockpool": "rockpool.nn.modules.to_nir(net, sample)",
    }
)
"""{package of spiking neurons: its export to NIR}. The first two were tested with snntorch 1.0 and spikingjelly 2.0."""

BEFORE_EXPORT: Final[Mapping[str, str]] = MappingProxyType(
    {"snntorch": "Give its neurons init_hidden=True, and beta and threshold as tensors of one number per neuron. "}
)
"""{package: what its export requires}."""

CONVERT_THE_MODEL: Final = "Convert the spiking model it was built from."


def kind_of(module: nn.Module) -> str:
    """``torch.Conv2d``, ``sinabs.IAFSqueeze``: top package and class of ``module``."""
    return _kind(type(module))


def _kind(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


def is_neurons(module: nn.Module) -> bool:
    """Whether ``module`` is a layer of sinabs's integrate-and-fire neurons, or of a subclass."""
    return any(_kind(cls) in NEURONS for cls in type(module).__mro__)


def is_layer(module: nn.Module) -> bool:
    """Whether ``module`` is a layer of torch or sinabs that gives its node a name; a container is not one."""
    for cls in type(module).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in ("torch", "sinabs") and not cls.__module__.startswith(CONTAINERS):
            return _kind(cls) not in CONTAINERS_BY_NAME
    return False


def refusal_of(module: nn.Module, where: str) -> UnsupportedError | None:
    """The error if calls inside ``module`` cannot be traced; None if they can."""
    kind = kind_of(module)
    for cls in type(module).__mro__:
        if cls.__module__.startswith("sinabs.backend") and cls.__name__.startswith("Dynapcnn"):
            found = f"{cls.__name__} has layers already converted for the chip"
            return UnsupportedError(where, found, "layers of torch and sinabs", CONVERT_THE_MODEL)
    if isinstance(module, torch.jit.ScriptModule):
        need = "the module it was compiled from"
        return UnsupportedError(where, "a TorchScript module, whose layers cannot be identified", need)
    if type(module).__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")):
        todo = "Convert the module from before torch.ao.quantization.convert."
        return UnsupportedError(where, f"{kind} is a quantized torch layer", "floating-point weights", todo)
    if (base := _unsupported_base(module)) is not None:
        found = f"{kind} is not supported" if base == kind else f"{kind}, made from {base}, is not supported"
        return UnsupportedError(where, found, SUPPORTED, SINABS_INSTEAD.get(base.partition(".")[2], ""))
    return None


def foreign_package(module: nn.Module) -> str | None:
    """The package of spiking neurons that ``module`` or one of its base classes belongs to."""
    packages = (cls.__module__.partition(".")[0] for cls in type(module).__mro__)
    return next((package for package in packages if package in EXPORTS), None)


def foreign_refusal(package: str, places: Sequence[str]) -> UnsupportedError:
    """The error for the layers of ``package`` at ``places``, naming the export that works."""
    others = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    export = f"Export the network: nir.write('net.nir', {EXPORTS[package]}), and convert net.nir."
    todo = BEFORE_EXPORT.get(package, "") + export
    return UnsupportedError(places[0], f"a layer of {package}{others}", "layers of torch and sinabs", todo)


def _unsupported_base(module: nn.Module) -> str | None:
    """The first sinabs base class of ``module``, unless its forward can be traced."""
    if is_neurons(module):
        return None
    for cls in type(module).__mro__:
        if cls.__module__.startswith("sinabs.") and cls.__name__ not in BASES:
            return None if cls.__name__ in TRANSPARENT else _kind(cls)
    return None


SINABS_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NeuromorphicReLU": "Put spiking layers in its place: sinabs.from_torch.from_model(net, ...).",
        "QuantizeLayer": "Put spiking layers in its place: sinabs.from_torch.from_model(net, ...).",
        "SpikingMaxPooling2dLayer": "Train with SumPool2d: the chip pools by sums.",
        "LIF": "Train with IAF: the chip's neurons do not leak.",
        "LIFSqueeze": "Train with IAFSqueeze: the chip's neurons do not leak.",
        "ExpLeak": "Train with IAF: the chip's neurons do not leak.",
        "ExpLeakSqueeze": "Train with IAFSqueeze: the chip's neurons do not leak.",
    }
)
"""{class of sinabs: what to do if a network has it}."""
