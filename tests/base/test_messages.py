"""Lines and progress on stderr: nothing when quiet, nothing in the first second, plain lines without a terminal."""

from __future__ import annotations

import itertools

import pytest

from deploytool.base import progress
from deploytool.base.messages import Messages


class Clock:
    """A clock that goes on by ``step_s`` each time it is read."""

    def __init__(self, step_s: float) -> None:
        self.times = itertools.count()
        self.step_s = step_s

    def monotonic(self) -> float:
        return next(self.times) * self.step_s


def test_quiet_messages_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Messages(quiet=True).progress("run", "sample") as tick:
        tick(1, 2, "half")
    Messages(quiet=True).say("made")
    assert capsys.readouterr() == ("", "")


def test_a_line_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Messages().say("made")
    assert capsys.readouterr() == ("", "made\n")


def test_what_is_done_within_a_second_never_shows(capsys: pytest.CaptureFixture[str]) -> None:
    with Messages().progress("run", "sample") as tick:
        tick(2, 2, "")
    assert capsys.readouterr().err == ""


def test_plain_lines_have_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "time", Clock(step_s=4))
    with Messages().progress("run", "sample") as tick:
        for done in range(1, 5):
            tick(done, 4, "note")
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["run: 2/4  4.0 s/sample, 8 s left  note", "run: 4/4  4.0 s/sample  note"]
