"""Errors in the words of Python."""

from __future__ import annotations

import pytest

from deploytool.api.words import in_python, speaks_python
from deploytool.base.errors import DeployError, FitError, UsageError

SENTENCES = {
    "unsaid; need --reset subtract|zero. NIR cannot.": 'unsaid; need reset="subtract" or "zero". NIR cannot.',
    "need --dt-ms MS. Give it.": "need dt_ms=MS. Give it.",
    "--shape 2,3: not three; need C,H,W, as in --shape 2,3,4.": "shape=2,3: not three; need C,H,W, as in shape=2,3,4.",
    "given with a module; need --shape with a module.": "given with a module; need shape= with a module.",
    "--pin, --no-split: given": "pins=, split=False: given",
    "no program. Run: deploytool map m --target simulator": "no program. Run: deploytool map m --target simulator",
    "command line: slow_clock_hz: found 1.": "slow_clock_hz: found 1.",
    "nothing -- to see -- here": "nothing -- to see -- here",
}


@pytest.mark.parametrize(("before", "after"), SENTENCES.items())
def test_options_become_arguments(before: str, after: str) -> None:
    assert in_python(before) == after


def test_an_error_stays_of_its_kind_with_all_its_problems() -> None:
    @speaks_python
    def fails() -> None:
        """Says two things."""
        raise FitError.together([UsageError("a", "b", "--pin"), UsageError("c", "d")])

    with pytest.raises(FitError) as refused:
        fails()
    assert refused.value.problems == ("a: b; need pins=.", "c: d.")
    assert str(refused.value) == "a: b; need pins=.\nc: d."
    assert isinstance(refused.value, DeployError)
    assert fails.__doc__ == "Says two things."
