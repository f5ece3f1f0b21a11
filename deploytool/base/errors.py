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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Self

from deploytool.base.printable import printable, shortened

SENTENCE_MAX: Final = 1000
"""The maximum length of a sentence. Of a longer one, the longest parts are cut, which come from files and libraries."""

SHOWN_MAX: Final = 10
"""The number of problems that are shown; of the others only the number."""


class DeployError(Exception):
    """One or more problems, each a sentence ``<where>: <found>; need <allowed>. <what to do next>``.

    A sentence has one line of at most `SENTENCE_MAX` printable characters. ``advice`` says what solves all problems.
    """

    exit_code = 1
    problems: tuple[str, ...]
    advice: str

    def __init__(self, where: str, found: str, need: str = "", todo: str = "") -> None:
        where, found, need, todo = _fitting((where, found, need, todo))
        sentence = f"{where}: {found}" + (f"; need {need}" if need else "")
        sentence = sentence if sentence.endswith((".", "!", "?")) else sentence + "."
        super().__init__()
        self._state((sentence + (f" {todo}" if todo else ""),))

    def _state(self, problems: Iterable[str], advice: str = "") -> None:
        self.problems = tuple(_line(problem) for problem in problems)
        self.advice = _line(advice)
        self.args = (str(self),)

    @classmethod
    def together(cls, errors: Iterable[DeployError]) -> Self:
        """One error of this class with the problems of all ``errors``, in their order, each once."""
        return cls.of_problems(dict.fromkeys(problem for error in errors for problem in error.problems))

    @classmethod
    def of_problems(cls, problems: Iterable[str], advice: str = "") -> Self:
        """An error of this class with ``problems``, each a whole sentence, and ``advice`` that solves them."""
        error = cls("", "")
        error._state(problems, advice)
        return error

    def reworded(self, change: Callable[[str], str]) -> Self:
        """The same error with ``change`` applied to every sentence."""
        return type(self).of_problems(map(change, self.problems), change(self.advice) if self.advice else "")

    @property
    def sentences(self) -> tuple[str, ...]:
        """All problems, and the advice."""
        return (*self.problems, *filter(None, (self.advice,)))

    @property
    def shown(self) -> tuple[str, ...]:
        """The sentences for a person: the first `SHOWN_MAX` problems, the number of the others, and the advice."""
        rest = len(self.problems) - SHOWN_MAX
        more = f"{rest:,} more {'problem' if rest == 1 else 'problems'}." if rest > 0 else ""
        return (*self.problems[:SHOWN_MAX], *filter(None, (more, self.advice)))

    def __str__(self) -> str:
        return "\n".join(self.shown)

    def __reduce__(self) -> tuple[Callable[..., DeployError], tuple[type[DeployError], tuple[str, ...], str]]:
        """Pickling support, so that an error can pass between processes."""
        return _of_problems, (type(self), self.problems, self.advice)


def _fitting(parts: Sequence[str]) -> list[str]:
    """The ``parts`` of a sentence, printable, the longest cut so that all of them fit."""
    room = SENTENCE_MAX - len(": ; need . ")
    parts = [printable(part[:room]) + "…" * (len(part) > room) for part in parts]
    if sum(map(len, parts)) > room:
        limit = next(limit for limit in range(room, 0, -1) if sum(min(len(part), limit) for part in parts) <= room)
        parts = [shortened(part, limit) for part in parts]
    return parts


def _line(sentence: str) -> str:
    return shortened(printable(sentence[: SENTENCE_MAX + 1]), SENTENCE_MAX)


def _of_problems(kind: type[DeployError], problems: tuple[str, ...], advice: str) -> DeployError:
    return kind.of_problems(problems, advice)


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
