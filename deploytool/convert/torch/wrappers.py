"""Modules that only wrap another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from torch import nn

from deploytool.base.errors import UnsupportedError
from deploytool.convert.torch.kinds import foreign_package, foreign_refusal, kind_of, refusal_of

WRAPPERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "torch.DataParallel": "module",
        "torch.DistributedDataParallel": "module",
        "torch.FullyShardedDataParallel": "module",
        "torch.AveragedModel": "module",
        "torch.OptimizedModule": "_orig_mod",
        "lightning._FabricModule": "_forward_module",
        "sinabs.Network": "spiking_model",
    }
)
"""{class that only calls a module: its attribute with that module}."""

NO_FORWARD: Final = ("torch.nn.modules.module", "torch.nn.modules.container", "lightning", "pytorch_lightning")
"""Packages whose own forward of a module only raises an error."""

INNER: Final = ("model", "net", "network", "snn", "backbone")
"""Usual names of the network in a module without a forward that trains or logs."""


def unwrap(module: nn.Module, tell: Callable[[str], None]) -> nn.Module:
    """The module that computes: ``module`` itself, or the module that it wraps. ``tell`` gets a note about a choice.

    Raises UnsupportedError if ``module`` has no forward and not exactly one network in it, or cannot be traced.
    """
    for _ in range(100):
        kind = kind_of(module)
        if (package := foreign_package(module)) is not None:
            raise foreign_refusal(package, [kind])
        if (refusal := refusal_of(module, kind)) is not None:
            raise refusal
        if kind in WRAPPERS and not (module._forward_hooks or module._forward_pre_hooks):
            inner = getattr(module, WRAPPERS[kind])
            if not isinstance(inner, nn.Module):
                raise UnsupportedError(kind, f"its {WRAPPERS[kind]} is {inner}", "a module in it")
            module = inner
        elif _has_forward(module):
            return module
        else:
            name, module = _inner(module)
            tell(f"{kind} has no forward: its module {name!r} is converted")
    raise UnsupportedError(kind_of(module), "a module that wraps itself", "a network")


def _has_forward(module: nn.Module) -> bool:
    if "forward" in vars(module):
        return True
    owner = next(cls for cls in type(module).__mro__ if "forward" in vars(cls))
    return owner is nn.Sequential or not owner.__module__.startswith(NO_FORWARD)


def _inner(module: nn.Module) -> tuple[str, nn.Module]:
    """The one module in ``module`` that can be its network."""
    children = dict(module.named_children())
    if not isinstance(module, nn.ModuleList | nn.ModuleDict):
        for name in INNER:
            if name in children:
                return name, children[name]
        with_weights = [name for name, child in children.items() if any(True for _ in child.parameters())]
        if len(with_weights) == 1:
            return with_weights[0], children[with_weights[0]]
    found = f"has no forward but contains {len(children)} modules"
    raise UnsupportedError(kind_of(module), found, "a module whose forward calls its layers")
