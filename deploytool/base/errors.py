"""Every error deploytool raises on purpose, and the exit code the command line gives it.

    DeployError                 what is shown to a person: one sentence per problem
    ├── UsageError          2   options missing, or contradicting each other
    ├── RecipeError         3   a recipe with a syntax error, an unknown key, a value out of range
    ├── ArtifactError       4   an artifact that is missing, corrupt, too new, or cannot be written
    ├── InputError          5   an ill-formed graph, or ill-formed input data
    ├── UnsupportedError    6   well-formed, but something deploytool or the target cannot do
    ├── FitError            7   does not fit the chip
    └── TargetError         8   no board, a timeout, events lost

Exit code 9 (a negative verdict) is a result and not an error; 1 is a bug of ours; 130, 143 and 129 are
interruptions, of which `deploytool.base.interrupts` knows.
Errors of other libraries are translated once, in the file that owns the library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Self


class DeployError(Exception):
    """One or more problems, each a sentence ``<where>: <found>; need <allowed>. <what to do next>``."""

    exit_code = 1

    def __init__(self, where: str, found: str, need: str = "", todo: str = "") -> None:
        where, found, need = _printable(where), _printable(found), _printable(need)
        sentence = f"{where}: {found}" + (f"; need {need}" if need else "")
        sentence = sentence if sentence.endswith((".", "!", "?")) else sentence + "."
        self.problems: tuple[str, ...] = (sentence + (f" {todo}" if todo else ""),)
        super().__init__(self.problems[0])

    @classmethod
    def together(cls, errors: Iterable[DeployError]) -> Self:
        """One error of this class with the problems of all ``errors``, in their order, each once."""
        return cls.of_problems(dict.fromkeys(problem for error in errors for problem in error.problems))

    @classmethod
    def of_problems(cls, problems: Iterable[str]) -> Self:
        """An error of this class with ``problems``, each a whole sentence."""
        error = cls("", "")
        error.problems = tuple(problems)
        error.args = ("\n".join(error.problems),)
        return error

    def reworded(self, change: Callable[[str], str]) -> Self:
        """The same error with ``change`` applied to every sentence."""
        other = type(self)("", "")
        other.problems = tuple(change(problem) for problem in self.problems)
        other.args = ("\n".join(other.problems),)
        return other

    def __str__(self) -> str:
        return "\n".join(self.problems)

    def __reduce__(self) -> tuple[Callable[..., DeployError], tuple[type[DeployError], tuple[str, ...]]]:
        """Pickling support, so that an error can pass between processes."""
        return _of_problems, (type(self), self.problems)


PART_MAX = 600
"""The maximum length of a part of a sentence; longer texts from files and libraries are cut."""


def _printable(text: str) -> str:
    """``text``, which may come from a file, on one line of at most `PART_MAX` characters, control codes escaped."""
    text = text if len(text) <= PART_MAX else f"{text[: PART_MAX - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _of_problems(kind: type[DeployError], problems: tuple[str, ...]) -> DeployError:
    return kind.of_problems(problems)


class UsageError(DeployError):
    exit_code = 2


class RecipeError(DeployError):
    """A problem of a recipe; each of ``ways`` {"train.average": 0} are values of keys that would solve it."""

    exit_code = 3

    def __init__(
        self, where: str, found: str, need: str = "", todo: str = "", ways: Iterable[Mapping[str, object]] = ()
    ) -> None:
        super().__init__(where, found, need, todo)
        self.ways = tuple(ways)


class ArtifactError(DeployError):
    exit_code = 4


class InputError(DeployError):
    exit_code = 5


class UnsupportedError(DeployError):
    exit_code = 6


class FitError(DeployError):
    exit_code = 7


class TargetError(DeployError):
    exit_code = 8


NEGATIVE_VERDICT = 9
