"""Rate and time left: right without the slow first steps, unknown before, and true with bursts and pauses."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.pace import MARKS_MAX, Pace


def after(steps_s: Iterable[float], pace: Pace | None = None, done: int = 0) -> tuple[Pace, float]:
    """(the pace, the time) after steps of one unit that took ``steps_s``."""
    pace, t_s = pace or Pace(), 0.0
    for number, step_s in enumerate(steps_s, start=1):
        t_s += step_s
        pace.at(t_s, done + number)
    return pace, t_s


@pytest.mark.parametrize("slow_s", [[20], [20, 5], [20, 0.1, 6], [20, 5, 5, 5]])
@pytest.mark.parametrize("steps", [12, 50, 500])
def test_slow_first_steps_are_left_out(slow_s: list[float], steps: int) -> None:
    pace, now_s = after([*slow_s, *[0.1] * steps])
    left = 1000 - len(slow_s) - steps
    assert pace.left_s(1000, now_s) == pytest.approx(left * 0.1, rel=0.1)


def test_nothing_is_known_before_the_third_report() -> None:
    pace = Pace()
    for t_s, done in [(20, 1), (25, 2)]:
        pace.at(t_s, done)
        assert pace.unit_s() is None
        assert pace.left_s(10, t_s) is None
    pace.at(30, 3)
    assert pace.left_s(10, 30) == 35


def test_time_left_goes_down_between_two_reports() -> None:
    pace, now_s = after([10.0] * 5)
    assert [pace.left_s(8, now_s + wait_s) for wait_s in (0, 4, 100)] == [30, 26, 0]


def test_a_resumed_work_does_not_count_what_was_done_before() -> None:
    pace, now_s = after([3.0, *[0.5] * 20], done=900)
    assert pace.left_s(1000, now_s) == pytest.approx((1000 - 921) * 0.5)


@given(burst=st.integers(2, 300), every_s=st.floats(0.3, 5), bursts=st.integers(5, 40))
def test_results_that_arrive_together(burst: int, every_s: float, bursts: int) -> None:
    pace = Pace()
    for number in range(1, bursts + 1):
        for each in range(burst):
            pace.at(number * every_s + each * 1e-5, (number - 1) * burst + each + 1)
    assert pace.unit_s() == pytest.approx(every_s / burst, rel=0.02)


def test_validation_after_every_epoch_belongs_to_the_time_left() -> None:
    steps_s = [15.0, *[0.1] * 39, *[3.1, *[0.1] * 39] * 9]
    pace, now_s = after(steps_s)
    assert pace.left_s(800, now_s) == pytest.approx(10 * (3 + 40 * 0.1), rel=0.1)


def test_a_change_of_pace_is_noticed() -> None:
    pace, now_s = after([*[0.1] * 600, *[1.0] * 60])
    assert pace.left_s(760, now_s) == pytest.approx(100, rel=0.1)


def test_parts_of_a_unit_count() -> None:
    pace = Pace()
    for part in range(1, 11):
        pace.at(part * 1.0, part / 20)
    assert pace.left_s(1, 10.0) == pytest.approx(10)


def test_work_that_begins_again_is_measured_anew() -> None:
    pace, _ = after([5.0] * 10)
    pace, _ = after([1.0] * 5, pace)
    assert pace.unit_s() == pytest.approx(1)


def test_a_long_work_takes_no_more_memory() -> None:
    pace, now_s = after([0.1] * (3 * MARKS_MAX))
    assert len(pace._done) <= MARKS_MAX
    assert pace.left_s(3 * MARKS_MAX + 100, now_s) == pytest.approx(10, rel=0.01)
