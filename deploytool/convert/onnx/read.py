"""An ONNX file to a Graph: operator by operator, in the order of the file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from deploytool.base.arrays import Shape
from deploytool.base.errors import InputError, UnsupportedError, UsageError
from deploytool.base.progress import Tell, silent
from deploytool.convert.onnx.constants import compute
from deploytool.convert.onnx.file import OnnxFile, Operator, read_file
from deploytool.convert.onnx.network import Network, Tensor
from deploytool.convert.onnx.operators import ANSWERS, IN_PLACE_OF, OPERATORS, shape_of
from deploytool.ir.graph import Graph
from deploytool.ir.neurons import Reset
from deploytool.ir.nodes import Input, Output, Spike

INPUT, OUTPUT = "input", "output"


def read_onnx(
    path: Path,
    threshold: float = 1.0,
    reset: Reset = "subtract",
    floor: float | None = None,
    tell: Tell = silent,
) -> Graph:
    """The spiking network of the ONNX file ``path``, with a neuron of ``threshold`` for every ReLU.

    Operators on stored arrays and shape arithmetic are computed while the file is read, for the batch size that the
    file declares, or one sample. A softmax or argmax at the end is left out. If the last layer has no ReLU, neurons are
    added at the end, because a chip sends out only spikes. Both are reported to ``tell``.

    Raises UsageError if the onnx package is missing or ``floor`` is above 0, InputError for a file that is missing,
    damaged or has no fixed input shape, UnsupportedError naming every node that is not supported.
    """
    if floor is not None and not floor <= 0:
        raise UsageError("--floor", f"found {floor}", "a number of at most 0")
    file = read_file(path)
    shape, axes = _input_shape(file)
    network = Network(
        file,
        Spike(threshold, floor, reset),
        dict(file.constants),
        {file.input: Tensor(INPUT, shape, axes)},
        Counter(name for operator in file.operators for name in operator.inputs) + Counter(file.outputs),
    )
    network.nodes[INPUT] = Input(shape)
    operators = _network_operators(file)
    _refuse_unknown(file, operators)
    for operator in operators:
        _read(network, operator)
    _end(network)
    for note in network.notes:
        tell(f"{file.name}: {note}")
    return Graph(network.nodes, tuple(network.edges), name=file.name)


def _input_shape(file: OnnxFile) -> tuple[Shape, int]:
    """((C, H, W), axes) of the input; its first axis is the batch."""
    match file.sizes:
        case (n,) if n > 0:
            return (n, 1, 1), 2
        case (c, h, w) if min(c, h, w) > 0:
            return (c, h, w), 4
    raise InputError(
        file.name,
        f"input {file.input!r} has the sizes {list(file.sizes)} (0: not fixed)",
        "(batch, C, H, W) or (batch, N)",
        "Export it again with only the batch axis dynamic.",
    )


def _network_operators(file: OnnxFile) -> list[Operator]:
    """The operators that lead from the input to the outputs, including those on stored arrays."""
    makers = {name: operator for operator in file.operators for name in operator.outputs}
    needed: set[int] = set()
    waiting = list(file.outputs)
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is not None and id(maker) not in needed:
            needed.add(id(maker))
            waiting += maker.inputs
    return [operator for operator in file.operators if id(operator) in needed]


def _refuse_unknown(file: OnnxFile, operators: list[Operator]) -> None:
    """Raises UnsupportedError for every operator on computed tensors that is not in `OPERATORS`."""
    stored = {*file.constants, ""}
    unknown = []
    for operator in operators:
        if (operator.type != "Shape" and all(name in stored for name in operator.inputs)) or operator.type == "Shape":
            stored.update(operator.outputs)
        elif operator.type not in OPERATORS and not _is_answer(file, operator):
            unknown.append(operator)
    if unknown:
        need = f"one of {', '.join(OPERATORS)}"
        raise UnsupportedError.together(
            UnsupportedError(
                operator.where, f"{operator.type} is not supported", need, IN_PLACE_OF.get(operator.type, "")
            )
            for operator in unknown
        )


def _is_answer(file: OnnxFile, operator: Operator) -> bool:
    """Whether ``operator`` only turns the last layer's values into an answer, such as a softmax or an argmax."""
    return operator.type in ANSWERS and set(operator.outputs) & set(file.outputs) != set()


def _read(network: Network, operator: Operator) -> None:
    """Adds ``operator`` to ``network``."""
    given = [name for name in operator.inputs if name]
    if operator.type == "Shape" and given and given[0] in network.tensors:
        network.constants[operator.output] = shape_of(network, operator)
    elif all(name in network.constants for name in given):
        made = compute(operator, [network.constants[name] for name in given], network.file.opsets)
        network.constants.update(zip(operator.outputs, made, strict=False))
    elif _is_answer(network.file, operator):
        network.notes.append(
            f"ignored the {operator.type} at the end: the prediction is the class with the most spikes"
        )
        network.keep(operator, network.tensor(operator))
    else:
        OPERATORS[operator.type](network, operator)


def _end(network: Network) -> None:
    """Adds the output, and neurons before it if the last layer has none."""
    file = network.file
    if len(file.outputs) != 1 or file.outputs[0] not in network.tensors:
        made = ", ".join(file.outputs) or "none"
        raise UnsupportedError(
            file.name, f"the outputs {made}", "one output, which the network computes from its input"
        )
    last = network.tensors[file.outputs[0]]
    if last.node == INPUT:
        raise InputError(file.name, "a network without layers", "at least one")
    end = last.node
    if not isinstance(network.nodes[end], Spike):
        end = f"{last.node}.spike"
        network.nodes[end] = network.spike
        network.edges.append((last.node, end))
        network.notes.append("the last layer has no ReLU: neurons are added, because a chip outputs only spikes")
    network.nodes[OUTPUT] = Output()
    network.edges.append((end, OUTPUT))
