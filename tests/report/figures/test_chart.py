"""Scales: ticks are round and inside, and places are linear."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from deploytool.report.figures import svg
from deploytool.report.figures.chart import Frame, rounded_scale, scale

NUMBERS = st.integers(-10_000_000, 10_000_000).map(lambda number: number / 100)


@given(NUMBERS, NUMBERS)
def test_ticks_are_inside(a: float, b: float) -> None:
    assume(abs(a - b) > 1e-3)
    low, high = min(a, b), max(a, b)
    found = scale(low, high)
    assert found.ticks
    assert all(-1e-6 <= share <= 1 + 1e-6 for share in found.shares(found.ticks))
    assert found.share(low) == 0
    assert found.share(high) == 1


@given(NUMBERS, NUMBERS)
def test_a_rounded_scale_holds_its_values(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    found = rounded_scale(low, high)
    assert found.low <= low
    assert high <= found.high
    assert found.low < found.high


def test_a_frame_draws_high_values_at_the_top() -> None:
    frame = Frame(scale(0, 10), scale(0, 4), height=100)
    assert frame.heights([0, 1, 4]).tolist() == [100, 75, 0]
    assert 'd="M0 100L500 75L1000 0"' in frame.line([0, 5, 10], [0, 1, 4], "line")
    assert 'd="M0 100H500V75H1000V0"' in frame.steps([0, 5, 10], [0, 1, 4], "line")
    assert 'd="M0 100V75H500V0H1000V100Z"' in frame.bars([0, 5, 10], [1, 4], "area")


def test_text_and_attributes_are_escaped() -> None:
    assert svg.label("<b>", 0, 0) == '<text x="0" y="0">&lt;b&gt;</text>'
    assert svg.element("g", data_name='"><script>') == '<g data-name="&#34;&gt;&lt;script&gt;"/>'


def test_marks_at_one_place_are_drawn_once() -> None:
    assert svg.ticks([0.5, 0.5, 0.25], [3, 3, 1], 2) == ["M250 1v2", "M500 3v2"]
