"""The harness sees every outcome as what it is."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import Tally, cases_of, run
from tests.fuzz.outcome import Case, Result
from tests.fuzz.worker import Limits

ENDS = {
    "refused": "refused",
    "taken": "taken",
    "traceback": "traceback",
    "panic": "traceback",
    "memory": "memory",
    "hidden-memory": "memory",
    "busy": "unfinished",
    "busy-in-c": "unfinished",
    "asleep": "unfinished",
    "killed": "crashed",
    "left": "crashed",
    "two-lines": "message",
    "escape": "message",
    "empty": "message",
    "long": "message",
    "warning": "message",
    "no-sentence": "message",
}


def results(names: list[str], number: int, jobs: int = 1, seconds: float = 0.3) -> list[Result]:
    cases = cases_of(names, number, seed=5)
    return list(run(cases, jobs, Limits(seconds=seconds), module="tests.fuzz.hostile"))


@pytest.fixture(scope="module")
def ended() -> list[Result]:
    return results(list(ENDS), len(ENDS))


def test_each_outcome_is_seen(ended: list[Result]) -> None:
    assert {result.case.family: result.outcome for result in ended} == ENDS


def test_a_fault_says_where(ended: list[Result]) -> None:
    found = {result.case.family: result for result in ended}
    assert "in fuzz/hostile.py" in found["traceback"].kind
    assert "ValueError: a bug" in found["traceback"].detail
    assert "in _in_c" in found["busy-in-c"].kind
    assert "SIGSEGV" in found["killed"].detail
    assert "in _killed" in found["killed"].kind
    assert "exit code 3" in found["left"].detail
    assert "1,001 characters" in found["long"].detail
    assert found["warning"].kind == "UserWarning in fuzz/hostile.py"
    assert "a library is not sure" in found["warning"].detail


def test_a_death_costs_one_case() -> None:
    """Two processes, and every third case kills the one that runs it."""
    found = results(["taken", "killed", "refused"], 12, jobs=2)
    assert sorted((result.case.seed, result.outcome) for result in found) == [
        (5 + index, outcome) for index in range(4) for outcome in ("crashed", "refused", "taken")
    ]


def test_equal_seeds_give_equal_inputs() -> None:
    first, second = ({result.case: result.digest for result in results(["taken", "refused"], 8)} for _ in range(2))
    assert first == second
    assert len(set(first.values())) == 8


def test_the_table_and_the_list_of_faults(ended: list[Result]) -> None:
    tally = Tally()
    for result in [*ended, Result(Case("traceback", 6), "traceback", kind="other", seconds=0.5)]:
        tally.add(result)
    assert (tally.tried, tally.faults) == (len(ENDS) + 1, len(ENDS) - 1)
    head, *rows = tally.table().splitlines()
    assert head.split()[:4] == ["family", "tried", "refused", "taken"]
    row = next(row.split() for row in rows if row.startswith("traceback"))
    assert row[:7] == ["traceback", "2", "0", "0", "2", "0", "0"]
    assert "python -m tests.fuzz killed --seed 5" in tally.fault_list()
    assert "refused --seed" not in tally.fault_list()


def test_cases_are_divided_evenly() -> None:
    assert list(cases_of(["a", "b"], 3, 7)) == [Case("a", 7), Case("b", 7), Case("a", 8)]
