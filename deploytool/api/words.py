"""The sentences of errors in the words of Python: an argument where the command line has an option."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from deploytool.base.errors import DeployError
from deploytool.base.extras import missing

P = ParamSpec("P")
T = TypeVar("T")

ARGUMENTS: Final[Mapping[str, str]] = {
    "--reset subtract|zero": 'reset="subtract" or "zero"',
    "--shape C,H,W": "shape=(C, H, W)",
    "--pin": "pins=",
    "--no-split": "split=False",
    "--slow-clock": "slow_clock_hz=",
    "--target": "chip=",
    "--sample": "explain=",
    "--data": "events=",
    "--quantise calibrated": "calibration=",
    "--calibration-samples": "calibration=",
}
"""{option: argument} of those that are called otherwise."""
_COMMAND: Final = re.compile(r"deploytool [a-z-]+ .*")
_OPTION: Final = re.compile("|".join([*map(re.escape, ARGUMENTS), r"--[a-z][a-z-]*(?: (?=[A-Z\d]))?"]))


def in_python(sentence: str) -> str:
    """``sentence`` with every option as an argument: ``--dt-ms MS`` becomes ``dt_ms=MS``. Command lines stay."""
    sentence = sentence.removeprefix("command line: ")
    command = _COMMAND.search(sentence)
    end = command.start() if command else len(sentence)
    return _OPTION.sub(_argument, sentence[:end]) + sentence[end:]


def _argument(option: re.Match[str]) -> str:
    return ARGUMENTS.get(option[0], option[0].removeprefix("--").rstrip().replace("-", "_") + "=")


def speaks_python(function: Callable[P, T]) -> Callable[P, T]:
    """``function`` with its errors in the words of Python; one for an optional package that is missing."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except DeployError as error:
            raise error.reworded(in_python) from error.__cause__
        except ModuleNotFoundError as error:
            if (problem := missing(f"dt.{function.__name__}", error.name)) is None:
                raise
            raise problem from None

    return call
