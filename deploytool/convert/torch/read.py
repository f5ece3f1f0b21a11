"""The recorded calls of a forward to a Graph, call by call."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from deploytool.base.arrays import Shape
from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.convert.torch.calls import CALLS, HINTS
from deploytool.convert.torch.kinds import SUPPORTED, is_layer
from deploytool.convert.torch.network import OUTPUT, Call, Network, Signal
from deploytool.convert.torch.trace import Step, Trace, Value, leaves
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Input, Output, Spike


@dataclass(frozen=True)
class Reading:
    """The ``graph`` read from a trace, and how it corresponds to the module."""

    graph: Graph
    neurons: dict[str, Step]
    """{node: the step of its neuron layer, which is a module}."""
    output: int
    """Index of the output among the tensors that the forward returns."""
    end: Value | None
    """That tensor, where it is what the Output gets; None where something behind it was left out."""
    notes: tuple[str, ...]


def read(trace: Trace, name: str, module: nn.Module, shape: Shape, relu: Spike | None) -> Reading:
    """The network in ``trace``. Raises UnsupportedError or InputError naming every problem."""
    returned = list(leaves(trace.output))
    output = next((index for index, item in enumerate(returned) if isinstance(item, Value)), None)
    if output is None:
        found = f"its forward returns {_kind(trace.output)} without any output of its layers"
        raise UnsupportedError(name, found, "a forward that returns only the output")
    end = returned[output]
    needed = _needed(trace, end)
    steps = [step for step in trace.steps if step in needed]
    network = Network(
        name,
        math.prod(trace.start.shape) // math.prod(shape),
        relu,
        Counter(value for step in steps for value in step.takes) + Counter([end]),
        frozenset(path for path, part in module.named_modules() if is_layer(part)),
    )
    network.start(trace.start, shape)
    problems: dict[tuple[str, str], DeployError] = {}
    for step in steps:
        try:
            _take(network, step)
        except (InputError, UnsupportedError) as error:
            place = (step.layer.path, step.function) if step.layer.sensor is None else (step.layer.sensor, "")
            problems.setdefault(place, error)
            _stand_in(network, step)
    if problems:
        ill_formed = any(isinstance(problem, InputError) for problem in problems.values())
        raise (InputError if ill_formed else UnsupportedError).together(problems.values())
    signal = _finish(network, end)
    graph = Graph({**network.nodes, OUTPUT: Output()}, (*network.edges, (signal.node, OUTPUT)), name=name)
    notes = (*trace.notes, *network.notes, *_sensors(steps), *_unused(trace, needed), *_several(trace.output, name))
    return Reading(graph, network.neurons, output, None if signal.left_out else end, notes)


def _needed(trace: Trace, end: Value) -> set[Step]:
    """The steps that ``end`` depends on."""
    makers = {value: step for step in trace.steps for value in step.results}
    needed: set[Step] = set()
    waiting = [end]
    while waiting:
        step = makers.get(waiting.pop())
        if step is not None and step not in needed:
            needed.add(step)
            waiting += step.takes
    return needed


def _take(network: Network, step: Step) -> None:
    """Adds ``step`` to ``network``. Raises UnsupportedError or InputError, saying what the user can do about it."""
    try:
        if step.problem is not None:
            raise step.problem
        if step.function not in CALLS:
            raise _unknown(step)
        if not all(value in network.signals for value in step.takes):
            return  # its input was refused already
        known = CALLS[step.function]
        signal = known.read(network, Call(step, known.names))
    except (InputError, UnsupportedError) as error:
        raise _in_context(step, error) from None
    for value in step.results:
        network.signals[value] = signal
    if step.in_hook and not step.keeps:
        network.notes.append(f"{step.where}: its hook ({step.function.strip('_')}) is folded into the weights")


def _unknown(step: Step) -> UnsupportedError:
    hint = HINTS.get(step.function, "")
    if is_layer(step.layer.module):
        return UnsupportedError(step.where, f"{step.what} is not supported", SUPPORTED, hint)
    need = "layers, and functions that only reshape, scale, add or concatenate their outputs"
    todo = hint or "Use sinabs's IAFSqueeze for spiking neurons, and move everything else after the network."
    return UnsupportedError(step.where, f"{step.what} is not supported", need, todo)


def _in_context(step: Step, error: DeployError) -> DeployError:
    """``error``, or a more specific one if ``step`` is in a hook or in sinabs's sensor layer."""
    if step.layer.sensor is not None:
        where, found = f"module {step.layer.sensor!r}", "a DVSLayer that crops, flips or merges polarities"
        todo = "Remove the layer: [map.dvs] of a recipe sets the sensor."
        return UnsupportedError(where, found, "one that only pools", todo)
    if step.in_hook:
        by = "" if step.change is None else f", by up to {step.change:.3g}"
        found = f"a hook changes its input or output ({step.function.strip('_')}{by})"
        return UnsupportedError(step.where, found, "a layer without hooks", "Remove the hook: handle.remove().")
    return error


def _stand_in(network: Network, step: Step) -> None:
    """Adds placeholder nodes for the results of a refused ``step``, so that later steps can be checked too."""
    for value in step.results:
        try:
            body = value.shape[network.leading(value) :]
        except ValueError:
            continue
        if len(body) in (1, 3) and min(body) > 0:
            name = f"refused {len(network.nodes)}"
            shape = (body[0], 1, 1) if len(body) == 1 else (body[0], body[1], body[2])
            network.nodes[name], network.shapes[name], network.signals[value] = Input(shape), shape, Signal(name)


def _finish(network: Network, end: Value) -> Signal:
    """The signal of the output."""
    signal = network.signals[end]
    if signal.scale != 1 or signal.padding != (0, 0):
        found = "an output that is multiplied or padded after the last layer"
        raise UnsupportedError(network.name, found, "the output of the last layer")
    if isinstance(network.nodes[signal.node], Input):
        raise InputError(network.name, "a network without layers", "at least one")
    if signal.left_out:
        network.notes.append(f"ignored {signal.left_out} at the end: the prediction is the class with the most spikes")
    return signal


def _sensors(steps: Sequence[Step]) -> Iterator[str]:
    """Notes about sinabs's sensor layers."""
    for path in dict.fromkeys(step.layer.sensor for step in steps if step.layer.sensor is not None):
        yield f"module {path!r}: only the pooling of the DVSLayer is converted; [map.dvs] of a recipe sets the sensor"


def _unused(trace: Trace, needed: set[Step]) -> Iterator[str]:
    """Notes about layers whose output is not used."""
    layers = ("conv2d", "linear", "neurons")
    for step in trace.steps:
        if step not in needed and step.function in layers:
            yield f"{step.where}: ignored, because the output of the network does not depend on it"


def _several(returned: Any, name: str) -> Iterator[str]:
    """Notes about a forward that returns more than one tensor."""
    if not isinstance(returned, Value):
        yield f"{name}: its forward returns {_kind(returned)}; the first tensor in it is the output"


def _kind(returned: Any) -> str:
    return f"a {type(returned).__name__}"
