"""2,000 hostile inputs, divided over all families, end in a refusal or are taken. `make fuzz` runs more."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fuzz.harness import FAMILIES, Tally, cases_of, run
from tests.fuzz.outcome import Result
from tests.fuzz.worker import families_of

CASES: Final = 2000


@pytest.fixture(scope="module")
def names() -> list[str]:
    return list(families_of(FAMILIES))


@pytest.fixture(scope="module")
def results(names: list[str]) -> list[Result]:
    return list(run(cases_of(names, CASES, seed=0)))


@pytest.mark.timeout(1200)
def test_every_reader_refuses_or_takes(results: list[Result]) -> None:
    tally = Tally()
    for result in results:
        tally.add(result)
    assert tally.tried == CASES
    assert not tally.faults, f"{tally.fault_list()}\n\n{tally.table()}"


def test_equal_seeds_give_equal_inputs(names: list[str], results: list[Result]) -> None:
    """In another process, where sets have another order."""
    again = list(run(cases_of(names, 3 * len(names), seed=0)))
    found = {result.case: result.digest for result in results}
    assert {result.case: result.digest for result in again} == {result.case: found[result.case] for result in again}
