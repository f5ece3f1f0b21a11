"""The self-test on the emulator, on a stand-in that answers as assumed, and on stand-ins that answer otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from helpers.boards import StandIn
from helpers.samna_api import Samna
from helpers.samna_chip import Traits

from deploytool.base.errors import UsageError
from deploytool.ir.self_test import Answer, SelfTest
from deploytool.run.selftest.known import CASES
from deploytool.run.selftest.questions import QUESTIONS
from deploytool.run.selftest.run import OVERLOAD, SENSOR, SPREAD, TESTS, Device, run_selftest
from deploytool.run.targets.options import OnBoard
from deploytool.run.targets.table import make_target


def on_standin(
    monkeypatch: pytest.MonkeyPatch, traits: Traits, tests: Sequence[str], cores: Sequence[int] = (8,)
) -> SelfTest:
    standin = StandIn(monkeypatch, Samna(traits))
    device = Device("speck2edevkit:0", "speck2e", standin.board(), standin.board(OnBoard(None)))
    return run_selftest(device, cores, tests)


def answered(result: SelfTest) -> dict[tuple[str, int], str | None]:
    return {(answer.id, answer.core): answer.found for answer in result.answers}


def test_the_emulator_answers_as_assumed_and_has_no_sensor() -> None:
    emulator = make_target("emulator")
    result = run_selftest(Device("emulator", "speck2e", emulator, emulator), [0, 8])
    assert result.passed
    assert [case.core for case in result.cases] == [0] * len(CASES) + [8] * len(CASES)
    assert all(case.spikes for case in result.cases)
    assert {answer.id for answer in result.answers} == {*QUESTIONS, SENSOR, OVERLOAD}
    assert [answer.id for answer in result.answers if answer.as_assumed is None] == [SENSOR]
    assert result.spread_percent == 0
    assert all(speed.synops_per_s > 0 for speed in result.speeds)
    assert result.sentence == (
        f"{2 * len(CASES)} known answers, every spike equals the emulator's; 12 questions answered, "
        "0 otherwise than assumed; 1 not run"
    )


def test_a_standin_that_is_as_assumed_passes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    result = on_standin(monkeypatch, Traits(synops_per_s=2e7), TESTS)
    assert result.passed, [case.says for case in result.cases] + [a.found for a in result.answers]
    assert result.spread_percent == 0
    (speed,) = result.speeds
    assert speed.synops_per_s == pytest.approx(2e7, rel=0.2)


OTHERWISE: dict[str, tuple[Traits, str, str]] = {
    "firing": (Traits(fires=">"), "firing", "at V > threshold"),
    "wrapping": (Traits(overflow="wraps"), "overflow", "V wraps to negative values"),
    "wider": (Traits(overflow="is wider"), "overflow", "V has more bits"),
    "features first": (
        Traits(order="features first"),
        "core-order",
        "features ascend, columns ascend, rows ascend, row by row, feature by feature",
    ),
    "reversed": (
        Traits(order="reversed"),
        "core-order",
        "features descend, columns descend, rows descend, column by column, feature by feature",
    ),
    "random": (Traits(random_order=4), "core-order", "varies from run to run"),
    "merge": (Traits(merge="late first"), "merge-order", "its second destination first"),
    "monitor": (
        Traits(monitored="reversed"),
        "monitor-order",
        f"(feature, y, x) = {[(c, y, x) for y in (1, 0) for x in (1, 0) for c in (1, 0)]}",
    ),
    "no leak": (Traits(leaks=False), "leak", "no leak, or no neuron fires at a tick"),
    "crop": (Traits(crop="before pooling"), SENSOR, "it crops first"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_chip_that_answers_otherwise_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    traits, question, says = OTHERWISE[name]
    result = on_standin(monkeypatch, traits, [question])
    assert answered(result) == {(question, 8): says}
    assert [answer.id for answer in result.otherwise] == [question]
    assert not result.passed
    assert "1 questions answered, 1 otherwise than assumed" in result.sentence


def test_cores_with_lanes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    result = on_standin(monkeypatch, Traits(lanes={0: "features first"}), ["core-order"], cores=(0, 1))
    assert [(answer.core, answer.as_assumed) for answer in result.answers] == [(0, False), (1, True)]


def test_a_lost_event_is_found_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    result = on_standin(monkeypatch, Traits(loses_every=5), ["threshold", OVERLOAD])
    (case,) = result.cases
    assert case.says == (
        "layer on core 8: after input event 4 neuron (feature 0, y 0, x 0) fires 0 times, the emulator's 1 times"
    )
    (answer,) = result.answers
    assert answer.found is not None
    assert answer.found.startswith("spike counts differ by ")
    assert not result.passed


def test_another_address_of_neurons_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = on_standin(monkeypatch, Traits(row_shift="y bits"), ["start"]).cases
    assert "do not hold their initial value" in case.says
    assert on_standin(monkeypatch, Traits(row_shift="y bits"), ["zero"]).passed


def test_a_pulled_cable_is_a_wrong_case(monkeypatch: pytest.MonkeyPatch) -> None:
    standin = StandIn(monkeypatch)
    device = Device("speck2edevkit:0", "speck2e", standin.board(), standin.board(OnBoard(None)))
    standin.samna.unplugged = True
    result = run_selftest(device, [8], ["zero", "firing", SENSOR, OVERLOAD, SPREAD])
    assert not result.passed
    assert result.spread_percent is None
    assert "samna reports: no device found" in result.cases[0].says
    assert all("samna reports" in str(answer.found) for answer in result.answers)
    assert len(result.otherwise) == 3


def test_an_unknown_test_is_named() -> None:
    emulator = make_target("emulator")
    with pytest.raises(UsageError, match="--only: no test 'leaks'; need one of weights, threshold"):
        run_selftest(Device("emulator", "speck2e", emulator, emulator), [8], ["leaks"])


def test_as_assumed_needs_an_answer() -> None:
    assert Answer("firing", 0, "", "a", None).as_assumed is None
    assert SPREAD in TESTS
