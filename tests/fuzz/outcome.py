"""How a case ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from deploytool.base.printable import printable

Outcome: TypeAlias = Literal["refused", "taken", "traceback", "memory", "unfinished", "crashed", "message"]
"""refused     a DeployError whose sentences are fit to be shown
taken       read without an error
traceback   any other exception
memory      memory was refused, whatever became of that error
unfinished  the time per case ran out
crashed     the process died
message     a DeployError with a sentence that is empty, too long, or not one printable line; or a warning of a library,
            which Python prints between the lines of a command"""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
GOOD: Final = ("refused", "taken")
SENTENCE_MAX: Final = 1000
"""The maximum number of characters in a sentence."""
_NO_MEMORY: Final = ("Cannot allocate memory", "can't allocate memory", "not enough memory", "bad_alloc")
"""What libraries say where Python says MemoryError."""


@dataclass(frozen=True)
class Case:
    """One input: that of ``family`` for ``seed``."""

    family: str
    seed: int


@dataclass(frozen=True)
class Result:
    """How ``case`` ended, after ``seconds`` of process time: ``detail`` is the refusal, the traceback or what the
    process left behind, ``kind`` what cases of one fault have in common, ``digest`` that of the input."""

    case: Case
    outcome: Outcome
    detail: str = ""
    kind: str = ""
    digest: str = ""
    seconds: float = 0.0

    @property
    def is_fault(self) -> bool:
        return self.outcome not in GOOD


def objection(problems: Sequence[str]) -> str | None:
    """What is wrong with the sentences of a refusal; None if nothing is."""
    if not problems:
        return "no sentence"
    for problem in problems:
        if not problem.strip():
            return "an empty sentence"
        if problem != printable(problem):
            return "a sentence with a line break or a control character"
        if len(problem) > SENTENCE_MAX:
            return f"a sentence of {len(problem):,} characters"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused, in ``error`` or in one that it took the place of."""
    return any(isinstance(each, MemoryError) or says_no_memory(str(each)) for each in _chain(error))


def says_no_memory(text: str) -> bool:
    """Whether a library says in ``text`` that memory was refused."""
    return any(words in text for words in _NO_MEMORY)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
