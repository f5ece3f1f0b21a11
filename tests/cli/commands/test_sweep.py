"""The lists of numbers of a sweep's options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import UsageError
from deploytool.cli.commands.sweep import SweepOptions, VariedOptions, asked, numbers
from deploytool.validate.early_exit import POLICIES


@pytest.mark.parametrize(
    ("text", "unit", "values"),
    [
        ("4", "", (4,)),
        ("1, 2,40", "", (1, 2, 40)),
        ("0.5,1e-3,.25", "", (0.5, 0.001, 0.25)),
        ("0,1%,2.5 %", "%", (0, 1, 2.5)),
        ("8us,16", "us", (8, 16)),
        ("1,2,4,...,64", "", (1, 2, 4, 8, 16, 32, 64)),
        ("5,10,15,...,30", "", (5, 10, 15, 20, 25, 30)),
        ("1,4,8,12,...,20", "", (1, 4, 8, 12, 16, 20)),
        ("0.1,0.2,0.3,...,0.6", "", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        ("1,3,9,...,81", "", (1, 3, 9, 27, 81)),
        ("1,2,3,...,3", "", (1, 2, 3)),
    ],
)
def test_numbers(text: str, unit: str, values: tuple[float, ...]) -> None:
    found = numbers("--x", text, unit)
    assert found == values
    assert [type(each) for each in found] == [type(each) for each in values]


@pytest.mark.parametrize("text", ["", "a", "1,,2", "-1", "1ms", "nan", "inf", "1e999", "0x10", "1_0", "٣", "9" * 5000])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="--x"):
        numbers("--x", text)


@pytest.mark.parametrize(
    "text", ["1,2,...,8", "1,2,4,...,65", "1,2,4,...", "1,2,5,...,9", "4,2,1,...,0", "1,1,1,...,5"]
)
def test_a_series_that_is_not_clear(text: str) -> None:
    with pytest.raises(UsageError, match="the series is not clear"):
        numbers("--x", text)


@given(st.text("0123456789.,e+-% ", max_size=20))
def test_any_text_is_numbers_or_a_sentence(text: str) -> None:
    try:
        found = numbers("--x", text, "%")
    except UsageError:
        return
    assert len(found) == text.count(",") + 1 or "..." in text


def test_policies_have_thresholds_of_their_own() -> None:
    found = asked(VariedOptions(early_exit=["margin=1,2", "spikes"]), SweepOptions())
    assert found.exits == {"margin": (1, 2), "spikes": POLICIES["spikes"].thresholds}
    assert found.quantity is None


def test_a_perturbation_is_one_model() -> None:
    found = asked(VariedOptions(perturb="order=0,8us,16us"), SweepOptions(repeats=2))
    assert (found.quantity, found.values, found.repeats) == ("order", (0, 8, 16), 2)
    with pytest.raises(UsageError, match="twice"):
        asked(VariedOptions(early_exit=["margin", "margin=1"]), SweepOptions())
