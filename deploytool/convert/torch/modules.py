"""A user's torch or sinabs module to a Graph: its forward is recorded, read, and compared with what was read."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from deploytool.base.arrays import Shape
from deploytool.base.errors import UnsupportedError
from deploytool.base.messages import warn
from deploytool.convert.torch.arrays import require_values
from deploytool.convert.torch.kinds import is_layer, kind_of
from deploytool.convert.torch.neurons import forget
from deploytool.convert.torch.proof import require_same_layers, require_same_spikes
from deploytool.convert.torch.read import Reading, read
from deploytool.convert.torch.record import ALWAYS_ON, ForwardFailsError, record
from deploytool.convert.torch.trained import as_trained
from deploytool.convert.torch.wrappers import unwrap
from deploytool.ir.graph import Graph
from deploytool.ir.nodes import Spike

BATCH, STEPS = 2, 2
"""Samples and time steps of the inputs that trace a module; more than one of each, so that mixing them is detected."""

TIMED: Final = ("sinabs.IAF", "sinabs.FlattenTime", "sinabs.Repeat")
"""Modules that expect a time axis after the sample axis."""


def from_module(
    module: nn.Module, input_shape: Shape, relu: Spike | None = None, tell: Callable[[str], None] = warn
) -> Graph:
    """The network that ``module`` computes on maps of ``input_shape`` (C, H, W) in eval mode.

    The forward runs once in eval mode, on random maps, and every torch call in it is read: convolutions and linear
    layers with the weights that they are called with (so weight norm, pruning and other parametrizations count), batch
    norm and constant factors folded into them, pooling, reshapes that flatten a map, sums and joins of branches. Layers
    are named as in torch ("0", "features.conv1"), calls of functions after the function. Dropout, casts, and a softmax
    or a mean over time at the end are left out; ``tell`` gets a note for each change that a user may not expect.
    sinabs's IAF and IAFSqueeze become neurons; a ReLU is refused, or becomes the neurons ``relu``.

    Then the module is compared with the network: every layer on random values, every layer of neurons alone, and the
    whole network on one sample, time step by time step. The module is left unchanged.

    Raises UnsupportedError naming, with the line of user code, everything that is not supported or that computes
    something else than the network; InputError for a forward that raises an error or asks for values of a map, for
    weights that are not finite, or shapes that do not match.
    """
    notes: list[str] = []
    module = unwrap(module, notes.append)
    if is_layer(module):
        module = nn.Sequential(OrderedDict(module=module))
    require_values(module)
    _require_one_input(module)
    failures: list[ForwardFailsError] = []
    for trial in _trials(module, input_shape):
        try:
            reading = _try(module, trial, input_shape, relu)
        except ForwardFailsError as error:
            failures.append(error)
            continue
        for note in dict.fromkeys([*notes, *_mode_notes(module), *reading.notes]):
            tell(note)
        return reading.graph
    raise failures[0]


@dataclass(frozen=True)
class _Trial:
    """An input of ``shape``, whose first axes are those of ``clock``: samples and time steps, one axis for both, or
    none."""

    clock: tuple[int, ...]
    shape: tuple[int, ...]


def _trials(module: nn.Module, shape: Shape) -> Iterator[_Trial]:
    """Inputs that a forward may accept, the most likely first."""
    timed = any(kind_of(part) in TIMED for part in module.modules())
    clocks: list[tuple[int, ...]] = [(BATCH, STEPS), (BATCH * STEPS,)]
    for clock in (*(clocks if timed else clocks[::-1]), (1,), (1, 1), ()):
        yield _Trial(clock, (*clock, *shape))
        if shape[1:] == (1, 1):
            yield _Trial(clock, (*clock, shape[0]))
        elif shape[0] == 1:
            yield _Trial(clock, (*clock, *shape[1:]))


def _try(module: nn.Module, trial: _Trial, shape: Shape, relu: Spike | None) -> Reading:
    """The network read from the forward on the input of ``trial``, after the comparison with the module."""
    parameter = next((part for part in module.parameters() if part.is_floating_point()), torch.zeros(1))
    random = torch.Generator().manual_seed(0)
    kind = torch.promote_types(parameter.dtype, torch.float32)
    values = torch.randn(trial.shape, generator=random).to(parameter.device, kind)
    spikes = torch.randint(0, 3, trial.shape, generator=random).to(parameter.device, kind)
    with as_trained(module, trial.clock):
        trace = record(module, values.clone())
    reading = read(trace, kind_of(module), module, shape, relu)
    require_same_layers(reading, trace, values)
    if not any(ALWAYS_ON in note for note in reading.notes):
        with as_trained(module, trial.clock):
            forget(module)
            require_same_spikes(reading, module, spikes, trial.clock)
    return reading


def _require_one_input(module: nn.Module) -> None:
    """Raises UnsupportedError for a forward that needs a second input."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.kind in kinds and parameter.default is inspect.Parameter.empty
    ]
    if len(needed) > 1:
        raise UnsupportedError.together(
            UnsupportedError(f"forward: {name}", "a second input", "one input", "Give it a default value.")
            for name in needed[1:]
        )


def _mode_notes(module: nn.Module) -> Iterator[str]:
    """Notes about batch norms and dropouts that are in training mode."""
    kinds = sorted({type(part).__name__ for part in module.modules() if part.training and _changes_by_mode(part)})
    if kinds:
        yield f"{kind_of(module)} is in training mode; it is converted in eval mode ({', '.join(kinds)})"


def _changes_by_mode(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
