"""Lines and progress on stderr: nothing when quiet or at once done, a line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploytool.base import display
from deploytool.base.display import Activity, duration, line, plain_line
from deploytool.base.messages import Messages, warn, warnings_to


class Clock:
    """A clock that stands still until it is moved, for a display that is refreshed by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    moved = Clock()
    monkeypatch.setattr(display, "time", moved)
    monkeypatch.setattr(display.Display, "_watch", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "80")
    return moved


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_redraws", lambda _: True)


def after(messages: Messages, clock: Clock, seconds: float) -> None:
    clock.now_s += seconds
    messages.display.refresh()


def screen(written: str) -> list[str]:
    """The lines that are on a terminal after ``written``."""
    lines = [re.split(r"\r\x1b\[2K", each)[-1].rstrip("\r") for each in written.split("\n")]
    return [each for each in lines if each]


def test_quiet_messages_say_nothing(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    messages = Messages(quiet=True)
    with messages.doing("reading"), messages.progress("run", "sample") as tick:
        after(messages, clock, 5)
        tick(1, 2, "half")
        after(messages, clock, 5)
    messages.say("made")
    assert capsys.readouterr() == ("", "")


def test_a_line_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Messages().say("made")
    assert capsys.readouterr() == ("", "made\n")


def test_what_is_done_within_a_second_never_shows(capsys: pytest.CaptureFixture[str]) -> None:
    with Messages().progress("run", "sample") as tick:
        tick(2, 2, "")
    assert capsys.readouterr().err == ""


def test_without_any_tick_there_is_a_line_after_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """With the thread and the clock that there are."""
    with Messages().doing("reading net.nir", "check"):
        time.sleep(1.5)
    assert re.fullmatch(r"check: reading net\.nir  1 s\n", capsys.readouterr().err)


def test_plain_lines_have_rate_and_time_left(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    messages = Messages()
    with messages.progress("run", "sample") as tick:
        tick(0, 40, "compiling loops")
        after(messages, clock, 1)
        after(messages, clock, 19)
        for done in range(1, 41):
            clock.now_s += 4
            tick(done, 40, "note")
            if done % 10 == 0:
                messages.display.refresh()
    assert capsys.readouterr().err.splitlines() == [
        "run: compiling loops  1 s",
        "run: 10/40  4.0 s/sample  2:00 min left  note",
        "run: 20/40  4.0 s/sample  80 s left  note",
        "run: 30/40  4.0 s/sample  40 s left  note",
        "run: 40/40  4.0 s/sample  note",
    ]


def test_plain_lines_say_now_and_then_that_work_goes_on(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    messages = Messages()
    with messages.doing("reading", "map"):
        for _ in range(70):
            after(messages, clock, 1)
    assert capsys.readouterr().err.splitlines() == [f"map: reading  {seconds} s" for seconds in (1, 31, 61)]


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_one_line_is_redrawn_and_said_lines_stay(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    messages = Messages()
    shown = ""
    with messages.doing("working", "train"):
        after(messages, clock, 0.5)
        assert capsys.readouterr().err == ""
        after(messages, clock, 0.5)
        shown += capsys.readouterr().err
        assert screen(shown) == ["train  working  1 s"]
        with messages.progress("", "step") as tick:
            tick(0, 0, "reading the data")
            after(messages, clock, 3)
            shown += capsys.readouterr().err
            assert screen(shown) == ["train  reading the data  3 s"]
            for done in range(1, 31):
                clock.now_s += 0.5
                tick(done, 60, "epoch 1/2  loss 2.304")
            messages.say("epoch 1/2  val 34.72 %")
            after(messages, clock, 0.25)
            shown += capsys.readouterr().err
            expected = "train  ━━━━━━╸       30/60  2.0 steps/s  15 s left  epoch 1/2  loss 2.304"
            assert screen(shown) == ["epoch 1/2  val 34.72 %", expected]
        messages.pause()
        print("result")
    shown += capsys.readouterr().err
    assert screen(shown) == ["epoch 1/2  val 34.72 %"]


def activity(**known: Any) -> Activity:
    known = {"title": "train", "unit": "step", "noted_s": 0.0, **known}
    made = Activity(**known)
    for number in range(1, 21):
        made.report(number * 0.1, 1000 + number, 2000, "epoch 12/25  loss 0.437  85.53 % correct")
    return made


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (120, "train  ━━━━━━╸       1,020/2,000  10 steps/s  98 s left  epoch 12/25  loss 0.437  85.53 % correct"),
        (80, "train  ━━━━━━╸       1,020/2,000  10 steps/s  98 s left  epoch 12/25  loss 0.437"),
        (60, "train  ━━━╸    1,020/2,000  10 steps/s  98 s left"),
        (30, "train  ━━━╸    1,020/2,000"),
        (3, "tra"),
    ],
)
def test_a_line_has_the_parts_that_fit_and_no_part_is_cut(width: int, expected: str) -> None:
    shown = line(activity(), 2.0, width)
    assert shown == expected
    assert len(shown) <= width


def test_a_fast_rate_has_no_decimals_and_a_slow_one_is_a_time() -> None:
    assert "10 steps/s" in plain_line(activity(), 2.0)
    slow = Activity("run", "sample", 0.0)
    for number in range(1, 5):
        slow.report(number * 2.5, number, 8, "")
    assert plain_line(slow, 10.0) == "run: 4/8  2.5 s/sample  10 s left"


def test_a_part_of_the_only_sample_shows() -> None:
    long = Activity("run", "sample", 0.0)
    for number in range(1, 5):
        long.report(number * 1.0, number / 8, 1, "")
    assert plain_line(long, 4.0) == "run: 0.5/1  8.0 s/sample  4 s left"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99.4, "99 s"), (146, "2:26 min"), (5999, "99:59 min"), (6000, "1:40 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_thread_ends_with_the_work() -> None:
    before = threading.active_count()
    with Messages().doing("working", "run"):
        assert threading.active_count() == before + 1
    time.sleep(0.6)
    assert threading.active_count() == before
    assert sys.stderr is not None


@pytest.mark.usefixtures("terminal")
def test_a_line_is_one_line_that_a_terminal_only_shows(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    messages = Messages()
    messages.say("graph a\x1b[2J\nb is there")
    with messages.doing("reading a\x07\nb", "run"), messages.progress("c\nd", "sample") as tick:
        tick(1, 2, "e\u202ef")
        after(messages, clock, 5)
    written = capsys.readouterr().err
    assert written.startswith("graph a\\x1b[2J\\nb is there\n")
    assert r"e\u202ef" in written
    assert r"c\nd" in written
    assert written.replace(display.CLEAR, "").replace("\n", "").replace("\r", "").isprintable()


def test_warnings_are_logged_and_go_where_a_command_asks(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with warnings_to(said.append):
        warn("net\x1b.nir: 100% guessed")
    warn("another")
    assert said == [r"net\x1b.nir: 100% guessed"]
    assert caplog.messages == [*said, "another"]


@pytest.mark.usefixtures("terminal")
def test_an_announcement_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    display.announce("running\nyour code")
    assert capsys.readouterr().err == f"{display.CLEAR}running\\nyour code\n"
