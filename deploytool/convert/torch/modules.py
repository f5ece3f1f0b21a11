"""A user's torch or sinabs network to a Graph: a module that is traced, or the weights in its state_dict."""

from __future__ import annotations

import importlib
import logging
import operator
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import torch
from torch import fx, nn

from deploytool.base.arrays import Array, Shape
from deploytool.base.errors import DeployError, InputError, UnsupportedError, UsageError
from deploytool.convert.folding import fold_batch_norm, require_finite
from deploytool.convert.torch.layers import (
    BATCH_NORMS,
    IDENTITIES,
    LAYERS,
    RELU,
    kind_of,
    read_batch_norm,
    read_layer,
    require_whole_map,
)
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Add, Concat, Conv, Flatten, Input, Linear, Node, Output, Spike

log = logging.getLogger(__name__)


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
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from error
    finally:
        sys.path.remove(here)

    def build() -> nn.Module:
        try:
            module = function()
        except (Exception, SystemExit) as error:
            raise _raised(name, error) from error
        if not isinstance(module, nn.Module):
            raise InputError(name, f"returned a {type(module).__name__}", "a torch.nn.Module")
        return module

    return build


def _raised(name: str, error: BaseException) -> InputError:
    return InputError(name, f"raised {type(error).__name__}: {error}", "a function that returns a module")


def read_state_dict(path: Path) -> dict[str, Array]:
    """The arrays in the state_dict ``path``, in their order; nothing but arrays is read, and no code is run.

    Raises InputError when the file is missing, or is not what ``torch.save(module.state_dict(), path)`` writes.
    """
    need = "what torch.save(module.state_dict(), path) writes"
    if not path.is_file():
        raise InputError(str(path), "no such file", need)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0].partition(". ")[0]
        raise InputError(str(path), f"cannot be read ({reason})", need) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(str(path), "holds more than named tensors", need)
    arrays = {str(name): tensor.numpy(force=True) for name, tensor in state.items()}
    for name, array in arrays.items():
        require_finite(f"{path}: {name!r}", "the tensor", array)
    return arrays


def from_module(module: nn.Module, input_shape: Shape, relu: Spike | None = None) -> Graph:
    """The network that ``module`` computes on maps of ``input_shape`` (C, H, W) once it is trained.

    The forward of ``module``, and of modules of the user's in it, is traced; it may call layers, torch.flatten or
    ``x.flatten``, ``+`` or torch.add, and torch.cat along the features. Layers are named as in torch ("0",
    "features.conv1"). Dropout is left out, as it does nothing after training; batch norm is folded into the weights
    before it. sinabs's IAF and IAFSqueeze keep threshold, min_v_mem (the floor) and reset; MultiSpike and SingleSpike
    tell how many spikes fit a time step, which event by event is not asked: a neuron fires at most once per update,
    as on the chip. A ReLU is refused, or becomes the neurons ``relu``.

    Raises UnsupportedError naming everything that has no equal here, InputError for a forward that cannot be traced,
    weights that are not finite or shapes that do not match.
    """
    name = kind_of(module)
    if name == "sinabs.Network":
        module = cast("nn.Module", module.spiking_model)
    if _is_layer(module):
        module = nn.Sequential(OrderedDict(module=module))
    tracer = _Tracer()
    try:
        traced = tracer.trace(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        todo = "Let it depend on no values, and call nothing but layers, torch.flatten, + and torch.cat."
        raise InputError(name, f"its forward cannot be traced ({reason})", "a fixed graph of layers", todo) from error
    return _Reading(name, dict(module.named_modules()), input_shape, relu).graph(traced)


def _is_layer(module: nn.Module) -> bool:
    """Whether ``module`` is taken as a whole, and not looked into."""
    kind = kind_of(module)
    known = kind in LAYERS or kind in BATCH_NORMS or kind in IDENTITIES
    return known or (kind.partition(".")[0] in ("torch", "sinabs") and type(module) is not nn.Sequential)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return _is_layer(m)


@dataclass
class _Reading:
    """The Graph as far as it has been read from the trace of a module."""

    name: str
    modules: Mapping[str, nn.Module]
    input_shape: Shape
    relu: Spike | None
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    made_by: dict[fx.Node, str] = field(default_factory=dict)
    """The node whose output a step of the trace has."""

    def graph(self, traced: fx.Graph) -> Graph:
        problems: list[DeployError] = []
        for step in traced.nodes:
            try:
                self.read(step)
            except (InputError, UnsupportedError) as error:
                problems.append(error)
                self.made_by[step] = ""
        if problems:
            ill_formed = any(isinstance(problem, InputError) for problem in problems)
            raise (InputError if ill_formed else UnsupportedError).together(problems)
        return Graph(self.nodes, tuple(self.edges), name=self.name)

    def read(self, step: fx.Node) -> None:
        where = f"module {step.target!r}" if step.op == "call_module" else f"forward: {step.name}"
        match step.op:
            case "placeholder" if not step.users and step.args:
                pass  # an argument with a default, which nothing uses
            case "placeholder" if self.nodes:
                raise UnsupportedError(where, "a second input", "one")
            case "placeholder":
                self.add(step, "input", Input(self.input_shape), [], where)
            case "call_module":
                self.layer(step, self.modules[str(step.target)], where)
            case "call_function" | "call_method":
                self.call(step, where)
            case "output":
                self.add(step, "output", Output(), [step.args[0]], where)
            case _:
                raise UnsupportedError(where, f"{step.op} of {step.target}", "layers that are called")

    def layer(self, step: fx.Node, layer: nn.Module, where: str) -> None:
        kind = kind_of(layer)
        inputs = [*step.args, *step.kwargs.values()]
        source = inputs[0]
        if kind in IDENTITIES and isinstance(source, fx.Node):
            self.made_by[step] = self.made_by[source]
        elif kind in BATCH_NORMS and isinstance(source, fx.Node):
            before = self.made_by[source]
            node = self.nodes.get(before)
            alone = all(len(other.users) == 1 for other, made in self.made_by.items() if made == before)
            if not isinstance(node, Conv | Linear) or not alone:
                need = "Conv2d or Linear before it, which feeds nothing else"
                raise UnsupportedError(where, "a batch norm that follows no weights of its own", need)
            self.nodes[before] = fold_batch_norm(node, read_batch_norm(layer, where), where)
            self.made_by[step] = before
        elif kind == RELU and self.relu is not None:
            self.add(step, str(step.target), replace(self.relu), inputs, where)
        else:
            self.add(step, str(step.target), read_layer(layer, where), inputs, where)

    def call(self, step: fx.Node, where: str) -> None:
        """Reads a function, or a method of a tensor, that the forward calls."""
        if step.target not in CALLS:
            found = f"{getattr(step.target, '__name__', step.target)} is not supported"
            raise UnsupportedError(where, found, "layers, flatten, + or add, and cat", "Make it a layer.")
        node, inputs = CALLS[step.target](step, where)
        self.add(step, step.name, node, inputs, where)

    def add(self, step: fx.Node, name: str, node: Node, inputs: list[Any], where: str) -> None:
        if not all(isinstance(source, fx.Node) for source in inputs):
            raise UnsupportedError(where, "an input that is no output of a layer", "outputs of layers")
        if name in self.nodes:
            found = "is called twice" if step.op == "call_module" else f"a second node named {name!r}"
            raise UnsupportedError(where, found, "each layer once, with a name that is not input or output")
        if len(set(inputs)) < len(inputs):
            raise UnsupportedError(where, "takes the same output twice", "different inputs")
        self.nodes[name], self.made_by[step] = node, name
        self.edges += [(self.made_by[source], name) for source in inputs]


def _options(step: fx.Node, *names: str) -> dict[str, Any]:
    """{name: value} of what ``step`` is called with, whose first arguments are called ``names``."""
    return dict(zip(names, step.args, strict=False)) | step.kwargs


def _flatten(step: fx.Node, where: str) -> tuple[Node, list[Any]]:
    options = _options(step, "input", "start_dim", "end_dim")
    require_whole_map(options.get("start_dim", 0), options.get("end_dim", -1), where)
    return Flatten(), [options["input"]]


def _sum(step: fx.Node, where: str) -> tuple[Node, list[Any]]:
    options = _options(step, "input", "other")
    if options.keys() != {"input", "other"}:
        raise UnsupportedError(where, f"add with {', '.join(options)}", "two inputs")
    return Add(), [options["input"], options["other"]]


def _join(step: fx.Node, where: str) -> tuple[Node, list[Any]]:
    options = _options(step, "tensors", "dim")
    if (axis := options.get("dim", 0)) not in (1, -3):
        raise UnsupportedError(where, f"cat along axis {axis}", "the axis of the features: 1")
    return Concat(), list(options["tensors"])


CALLS: Final[Mapping[Any, Callable[[fx.Node, str], tuple[Node, list[Any]]]]] = MappingProxyType(
    {
        torch.flatten: _flatten,
        "flatten": _flatten,
        torch.cat: _join,
        operator.add: _sum,
        operator.iadd: _sum,
        torch.add: _sum,
        "add": _sum,
    }
)
"""The functions and methods of tensors that a forward may call: (node, what it takes)."""
