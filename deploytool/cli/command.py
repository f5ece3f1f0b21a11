"""What a command is: a function of an invocation and its options, with the common options and exit codes added."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from deploytool.base.interrupts import exit_code, number_of, sentence
from deploytool.cli.completion import CompletedCommand, completion_of
from deploytool.cli.options import CommonOptions
from deploytool.cli.process import interruptible, interruption, interruption_is_told, require_working_directory
from deploytool.cli.streams import ResultError

if TYPE_CHECKING:
    from deploytool.cli.invocation import Invocation

Function: TypeAlias = Callable[..., int | None]
"""``f(invocation, ...)`` whose parameters Typer knows, or are dataclasses of such; it returns the exit code."""


def command(example: str, name: str | None = None) -> Callable[[Function], TyperCommand]:
    """Makes a function a command, called ``name`` or as the function is, with ``example`` in its help.

    Parameters that are dataclasses become one option for each of their fields. The errors of the function become
    sentences and exit codes.
    """

    def make(function: Function) -> TyperCommand:
        @functools.wraps(function)
        def run(**values: Any) -> None:
            from deploytool.base.memory import memory_bound
            from deploytool.cli.invocation import Invocation

            common = _gathered(CommonOptions, values)
            invocation = Invocation(common.store, as_json=common.json, quiet=common.quiet)
            arguments = {name: _argument(parameter, values) for name, parameter in parameters.items()}

            def call() -> int | None:
                with memory_bound(common.max_memory, called):
                    return function(invocation, **arguments)

            raise typer.Exit(_exit_code(invocation, called, call))

        called = name or function.__name__.replace("_", "-")
        signature = inspect.signature(function, eval_str=True, locals={"Invocation": object})
        parameters = dict(list(signature.parameters.items())[1:])
        options = [option for parameter in parameters.values() for option in _options(parameter)]
        options = [_completed(option) for option in [*options, *_fields(CommonOptions)]]
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        return _built(run, called, example)

    return make


def _built(run: Callable[..., None], name: str, example: str) -> TyperCommand:
    """The command ``name`` that calls ``run``, whose parameters Typer knows."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name, cls=CompletedCommand, epilog=f"Example: {example}")(run)
    built: Any = typer.main.get_command(alone)
    for parameter in built.params:
        parameter._runtime_param = _WhenNeeded()
    return cast("TyperCommand", built)


class _WhenNeeded:
    """Converts values as Typer does, which for every option builds a validator, also for those that are not given.

    Here it is built for a value that is not of its type yet: not for a text that stays one, nor for a default.
    """

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """``value`` as what ``param`` takes. Raises the errors of Typer."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if type(value) is param.type_descriptor.annotation:
            return value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _options(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    """The parameters of ``parameter`` for Typer: the fields of a dataclass, or itself."""
    if dataclasses.is_dataclass(parameter.annotation):
        yield from _fields(parameter.annotation)
    else:
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _fields(options: Any) -> Iterator[inspect.Parameter]:
    """The fields of the dataclass ``options`` as parameters."""
    hints = get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )


def _completed(parameter: inspect.Parameter) -> inspect.Parameter:
    """``parameter`` with what a shell completes it with; files if its values are files."""
    complete = completion_of(parameter.name)
    if complete is None:
        return parameter
    kind, info = get_args(parameter.annotation)
    if (info.metavar or "").startswith("FILE"):
        return parameter
    info = copy.copy(info)
    info.autocompletion = complete
    return parameter.replace(annotation=Annotated[kind, info])


def _argument(parameter: inspect.Parameter, values: Mapping[str, Any]) -> Any:
    """The argument for ``parameter``, from ``values`` {option: value}."""
    if dataclasses.is_dataclass(parameter.annotation):
        return _gathered(parameter.annotation, values)
    return values[parameter.name]


def _gathered(options: Any, values: Mapping[str, Any]) -> Any:
    """The dataclass ``options`` with its fields of ``values``."""
    return options(**{field.name: values[field.name] for field in dataclasses.fields(options)})


def _exit_code(invocation: Invocation, name: str, call: Callable[[], int | None]) -> int:
    """The exit code of ``call``, the command ``name``; an error is shown as its kind asks for."""
    from deploytool.base.messages import warnings_to

    messages = invocation.cache.messages
    try:
        with interruptible(), warnings_to(messages.display.say), messages.doing("working", name):
            require_working_directory()
            return call() or 0
    except KeyboardInterrupt as error:
        return _interrupted(invocation, number_of(error))
    except Exception as error:
        number = interruption()
        return _failed(invocation, name, error) if number is None else _interrupted(invocation, number)


def _interrupted(invocation: Invocation, number: int) -> int:
    """The exit code of a command that signal ``number`` interrupted, which is told if somebody can read it."""
    interruption_is_told()
    with contextlib.suppress(OSError):
        invocation.fail((sentence(number),), exit_code(number))
    return exit_code(number)


def _failed(invocation: Invocation, name: str, error: Exception) -> int:
    """The exit code for ``error``, which is shown: a bug with its traceback."""
    from deploytool.base.errors import DeployError
    from deploytool.base.extras import missing
    from deploytool.base.printable import printable

    if isinstance(error, DeployError):
        invocation.fail(error.shown, error.exit_code, error.sentences)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, ResultError):
        raise error
    module = error.name if isinstance(error, ModuleNotFoundError) else None
    if lacking := missing(name, module):
        invocation.fail(lacking.shown, lacking.exit_code)
        return lacking.exit_code
    invocation.cache.messages.pause()
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(printable(line), file=sys.stderr)
    bug = f"This is a bug in deploytool ({type(error).__name__}); please report it with the lines above."
    invocation.fail((bug,), 1)
    return 1
