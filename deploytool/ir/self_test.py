"""What a self-test found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

VERSION: Final = 1
"""Format version of the file."""


@dataclass(frozen=True)
class Case:
    """A known answer: ``id`` on ``core`` says what it ``tests``; ``says`` is the first difference, "" if it passed."""

    id: str
    core: int
    tests: str
    passed: bool
    says: str
    spikes: int


@dataclass(frozen=True)
class Answer:
    """The answer to an open question: ``found`` on ``core``; None where the device could not be asked."""

    id: str
    core: int
    asks: str
    assumed: str
    found: str | None

    @property
    def as_assumed(self) -> bool | None:
        return None if self.found is None else self.found == self.assumed


@dataclass(frozen=True)
class Speed:
    """Events and synaptic updates per second that ``core`` takes from the host."""

    core: int
    events: int
    synops: int
    seconds: float

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def synops_per_s(self) -> float:
        return self.synops / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class SelfTest:
    """All results on ``device``. ``spread_percent`` is the largest difference of spike counts between equal runs.

    It is relative to their mean, over all neurons; None if it was not measured.
    """

    device: str
    chip: str
    cases: tuple[Case, ...]
    answers: tuple[Answer, ...]
    speeds: tuple[Speed, ...]
    spread_percent: float | None

    @property
    def passed(self) -> bool:
        """Whether every known answer came out, and no question was answered otherwise than assumed."""
        return all(case.passed for case in self.cases) and not self.otherwise

    @property
    def otherwise(self) -> tuple[Answer, ...]:
        """The answers that contradict what deploytool assumes."""
        return tuple(answer for answer in self.answers if answer.as_assumed is False)

    @property
    def sentence(self) -> str:
        wrong = [case for case in self.cases if not case.passed]
        parts = [
            f"{len(wrong)} of {len(self.cases)} known answers are wrong"
            if wrong
            else f"{len(self.cases)} known answers, every spike equals the emulator's"
        ]
        settled = [answer for answer in self.answers if answer.found is not None]
        parts.append(f"{len(settled)} questions answered, {len(self.otherwise)} otherwise than assumed")
        if open_ := len(self.answers) - len(settled):
            parts.append(f"{open_} not run")
        return "; ".join(parts)


def as_json(result: SelfTest) -> dict[str, Any]:
    """All of ``result`` as JSON values: also whether it passed, its sentence, and the rates of each core."""
    rates = [
        asdict(speed) | {"events_per_s": speed.events_per_s, "synops_per_s": speed.synops_per_s}
        for speed in result.speeds
    ]
    answers = [asdict(answer) | {"as_assumed": answer.as_assumed} for answer in result.answers]
    return {
        "version": VERSION,
        "device": result.device,
        "chip": result.chip,
        "selftest": result.sentence,
        "passed": result.passed,
        "cases": [asdict(case) for case in result.cases],
        "questions": answers,
        "speeds": rates,
        "spread_percent": result.spread_percent,
    }
