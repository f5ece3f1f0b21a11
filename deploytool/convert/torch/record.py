"""What a forward does: it runs once on real maps, and every call that such a map goes through is written down.

The forward runs as it always does, with its hooks, asserts and branches, on tensors with values. So a layer is known
by the call that it makes (conv2d with the weight that it really uses), whatever its attributes say. Tracing with
symbols (torch.fx) knows no shapes and sees no hooks or effective weights; torch.export sees them, but takes sinabs's
neurons apart and needs seconds for its first call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deploytool.base.errors import DeployError, InputError, UnsupportedError
from deploytool.convert.torch.kinds import foreign_package, foreign_refusal, is_layer, is_neurons, kind_of, refusal_of
from deploytool.convert.torch.neurons import probe, read_neurons
from deploytool.convert.torch.source import line_of, user_line
from deploytool.convert.torch.trace import Layer, Step, Trace, Value, leaves


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


METADATA: Final = _names(
    "size dim ndimension numel nelement is_floating_point is_complex is_signed is_contiguous stride storage_offset "
    "element_size get_device has_names data_ptr untyped_storage is_pinned is_inference is_shared is_conj is_neg "
    "is_same_size type dim_order result_type can_cast __len__ __repr__ __str__ __format__ __hash__ __dir__ "
    "register_hook retain_grad backward is_storage is_tensor set_requires_grad set_grad"
)
"""Functions and methods whose result does not depend on the values of a tensor."""

CONSTANTS: Final = _names(
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like "
    "new_zeros new_ones new_full new_empty new_tensor"
)
"""Functions and methods that use only the shape of a tensor."""

DROPOUTS: Final = frozenset(
    f"{name}{end}"
    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout")
    for end in ("", "_")
)

ALWAYS_ON: Final = "dropout that is always on"


class ForwardFailsError(InputError):
    """The forward of a module raises an exception on maps of one shape."""


def record(module: nn.Module, maps: Tensor) -> Trace:
    """The trace of the forward of ``module`` on ``maps``; every layer of neurons is tested in the process.

    Raises ForwardFailsError if the forward raises an exception, InputError if it reads values of a map
    (``if x.sum() > 0``) or draws random numbers, UnsupportedError if it cannot be traced.
    """
    recorder = _Recorder(dict(reversed([(id(part), path) for path, part in module.named_modules()])), sys._getframe())
    start = recorder.tag(maps)
    before = torch.get_rng_state()
    try:
        with recorder.calls_seen(), recorder:
            output = run(module, maps)
    except ForwardFailsError:
        if not recorder.refusals:
            raise
    if recorder.refusals:
        raise UnsupportedError.together(recorder.refusals)
    if not torch.equal(before, torch.get_rng_state()):
        need = "one that gives the same outputs for the same inputs"
        raise UnsupportedError(kind_of(module), "its forward draws random numbers, even after eval()", need)
    return recorder.trace(start, output)


def run(module: nn.Module, maps: Tensor) -> Any:
    """The result of the forward of ``module`` on ``maps``. Raises ForwardFailsError if it raises an exception."""
    base = sys._getframe()
    try:
        with torch.no_grad():
            return module(maps)
    except DeployError:
        raise
    except Exception as error:
        line = line_of(error, base)
        raised = (str(error).strip() or "no message").splitlines()[0]
        found = f"its forward raises {type(error).__name__}{f' at {line}' if line else ''} ({raised})"
        where = f"{kind_of(module)} on a tensor of {tuple(maps.shape)}"
        raise ForwardFailsError(where, found, "a forward that accepts it", "Check --shape.") from error


@dataclass(eq=False)
class _Recorder(TorchFunctionMode):
    """Records calls of torch functions and of modules."""

    paths: dict[int, str]
    base: Any
    steps: list[Step] = field(default_factory=list)
    known: dict[int, tuple[Tensor, Value]] = field(default_factory=dict)
    """{id: (the tensor, kept alive so that its id stays its own, its value)}"""
    stack: list[nn.Module] = field(default_factory=list)
    currents: dict[Step, Tensor] = field(default_factory=dict)
    spikes: dict[Step, Tensor] = field(default_factory=dict)
    refused: list[DeployError] = field(default_factory=list)
    foreign: dict[str, list[str]] = field(default_factory=dict)
    """{package of spiking neurons: where its layers are called}"""
    notes: list[str] = field(default_factory=list)
    quiet: int = 0
    """Nesting depth inside a module that is converted as a whole."""

    def __post_init__(self) -> None:
        super().__init__()
        self.draws = torch.Generator().manual_seed(1)

    def tag(self, tensor: Tensor) -> Value:
        value = Value(tuple(tensor.shape))
        self.known[id(tensor)] = (tensor, value)
        return value

    def value(self, item: Any) -> Any:
        """``item``, or its value where it is a tensor that depends on the input."""
        found = self.known.get(id(item)) if isinstance(item, Tensor) else None
        return item if found is None else found[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [item for item in leaves((args, kwargs)) if isinstance(item, Tensor) and id(item) in self.known]
        name = _name_of(func)
        if self.quiet or not given or name in CONSTANTS:
            return func(*args, **kwargs)
        if name in DROPOUTS and _is_training(args, kwargs):
            return self._left_out(args, kwargs)
        before = given[0].detach().clone() if name.endswith("_") else given[0].detach()
        answer = func(*args, **kwargs)
        if name == "__setitem__":
            answer = args[0]
        made = [item for item in leaves(answer) if isinstance(item, Tensor)]
        if not made:
            if name not in METADATA and name != "__get__":
                self._refuse_values(name)
            return answer
        taken = _replaced(args, self.value), _replaced(kwargs, self.value)
        self._note(name, taken, made, keeps=_keeps(before, answer), change=_change(before, answer))
        return answer

    def _note(self, name: str, taken: tuple[Any, Any], made: list[Tensor], **more: Any) -> Step:
        line, in_hook = self._place()
        results = tuple(self.tag(tensor) for tensor in made)
        step = Step(name, self._layer(), line, in_hook, *taken, results, **more)
        self.steps.append(step)
        return step

    def _place(self) -> tuple[str, bool]:
        """(``net.py:12``, whether that is in a hook of a layer of torch or sinabs)."""
        line, inside = user_line(self.base, _Recorder.call.__code__)
        return line, inside and is_layer(self.stack[-1]) and self._layer().is_hooked

    def _layer(self) -> Layer:
        path = self.paths.get(id(self.stack[-1]), "")
        around = (self.paths.get(id(module)) for module in self.stack if kind_of(module) == "sinabs.DVSLayer")
        return Layer(path, self.stack[-1], next(around, None))

    def _where(self) -> str:
        line, in_hook = self._place()
        return Step("", self._layer(), line, in_hook, (), {}, ()).where

    def _refuse_values(self, name: str) -> None:
        """Raises InputError, except where a hook only reads values: its changes show in the proof with other values."""
        if self._place()[1] and name != "__bool__":
            return
        found = f"reads values of a map ({name.strip('_')})"
        todo = "Remove code that depends on them: if, assert, item()."
        raise InputError(self._where(), found, "a forward that makes the same calls for all values", todo)

    def _left_out(self, args: Any, kwargs: Any) -> Any:
        """The unchanged input of a dropout that is active outside training."""
        given = [*args, *kwargs.values()][0]
        made = given.clone()
        taken = _replaced(args, self.value), _replaced(kwargs, self.value)
        step = self._note("dropout", taken, [made], keeps=True)
        self.notes.append(f"{step.where}: {ALWAYS_ON} is ignored; pass training=self.training to it")
        return made

    @contextmanager
    def calls_seen(self) -> Iterator[None]:
        """Inside the context every call of a module goes through ``call``."""
        original = nn.Module.__call__

        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return self.call(original, module, args, kwargs)

        nn.Module.__call__ = call  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__call__ = original  # type: ignore[method-assign]

    def call(self, original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """The output of ``module``. A layer of neurons is recorded as a whole, anything else call by call."""
        if self.quiet:
            return original(module, *args, **kwargs)
        self.stack.append(module)
        try:
            given = [item for item in leaves((args, kwargs)) if isinstance(item, Tensor) and id(item) in self.known]
            if given and self._must_refuse(module):
                return self._opaque(original, module, args, kwargs)
            if given and is_neurons(module):
                return self._fire(original, module, given[0])
            return original(module, *args, **kwargs)
        finally:
            self.stack.pop()

    def _must_refuse(self, module: nn.Module) -> bool:
        """Whether ``module`` cannot be traced; if so, it is added to `refusals`."""
        where = self._where()
        if (package := foreign_package(module)) is not None:
            places = self.foreign.setdefault(package, [])
            places += [] if where in places else [where]
            return True
        if (problem := refusal_of(module, where)) is None:
            return False
        if str(problem) not in map(str, self.refused):
            self.refused.append(problem)
        return True

    @property
    def refusals(self) -> list[DeployError]:
        """The errors for modules that cannot be traced, once each."""
        return [*(foreign_refusal(*item) for item in self.foreign.items()), *self.refused]

    def _opaque(self, original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """The output of a refused ``module``, recorded as if it were known, so that later calls are checked too."""
        with self._silent():
            answer = original(module, *args, **kwargs)
        for item in leaves(answer):
            if isinstance(item, Tensor):
                self.tag(item)
        return answer

    def _fire(self, original: Callable[..., Any], module: nn.Module, given: Tensor) -> Tensor:
        """The output assigned to a layer of neurons for ``given``, after the layer was tested alone."""
        neurons, problem = None, None
        where = self._where()
        try:
            neurons = read_neurons(module, tuple(given.shape), where)
        except (InputError, UnsupportedError) as error:
            problem = error
        if neurons is not None:
            with self._silent():
                problem = probe(neurons, module, lambda currents: original(module, currents), given, where)
        with self._silent():
            current = given.detach().clone()
            spikes = torch.rand(current.shape, generator=self.draws).to(current)
            made = spikes.clone()
        step = self._note("neurons", ((self.value(given),), {}), [made], neurons=neurons, problem=problem)
        self.currents[step], self.spikes[step] = current, spikes
        return made

    @contextmanager
    def _silent(self) -> Iterator[None]:
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    def trace(self, start: Value, output: Any) -> Trace:
        """The complete trace of a forward that returned ``output``."""
        answer = {self.value(item): item.detach().clone() for item in leaves(output) if id(item) in self.known}
        return Trace(
            start,
            tuple(self.steps),
            _replaced(output, self.value),
            self.currents,
            self.spikes,
            answer,
            tuple(dict.fromkeys(self.notes)),
        )


def _name_of(func: Any) -> str:
    """``conv2d``, ``add``, ``__getitem__``: the name of ``func`` without its class or module."""
    if func is torch.batch_norm:
        return "torch.batch_norm"
    name = str(getattr(func, "__name__", func)).partition(".")[0]
    attribute = str(getattr(getattr(func, "__self__", None), "__name__", None))
    if name == "__set__":
        return f"set_{attribute}"
    return attribute if name == "__get__" and attribute in ("data", "T", "mT") else name


def _is_training(args: Any, kwargs: Any) -> bool:
    default = args[2] if len(args) > 2 else True
    return bool(kwargs.get("training", kwargs.get("train", default))) and kwargs.get("p", (*args, 0.5)[1]) != 0


def _replaced(item: Any, value: Callable[[Any], Any]) -> Any:
    """``item`` with ``value(part)`` in place of every part that is not a list, tuple or dict."""
    if isinstance(item, dict):
        return {key: _replaced(part, value) for key, part in item.items()}
    if isinstance(item, list | tuple):
        parts = [_replaced(part, value) for part in item]
        return type(item)(parts) if type(item) is list else tuple(parts)
    return value(item)


def _keeps(given: Tensor, answer: Any) -> bool:
    """Whether ``answer`` has the values of ``given`` in their order, rounded if its dtype is coarser."""
    if not isinstance(answer, Tensor) or answer.numel() != given.numel() or not answer.is_floating_point():
        return False
    old, new = given.reshape(-1), answer.detach().reshape(-1)
    if answer.dtype == given.dtype:
        return torch.equal(old, new)
    old, new = old.to(torch.float64), new.to(torch.float64)
    if not given.is_floating_point():
        return torch.equal(old, new)
    step = max(torch.finfo(answer.dtype).eps, torch.finfo(given.dtype).eps)
    return torch.allclose(old, new, rtol=step, atol=step)


def _change(given: Tensor, answer: Any) -> float | None:
    if not isinstance(answer, Tensor) or answer.shape != given.shape or not given.numel():
        return None
    return float((answer.detach().to(torch.float64) - given.to(torch.float64)).abs().max())
