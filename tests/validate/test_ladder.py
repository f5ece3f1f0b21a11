"""The verdict: missing rungs read "not run", every check is asked once."""

from __future__ import annotations

import numpy as np
import pytest

from deploytool.base.errors import InputError
from deploytool.ir.recording import RUNGS, Recording, RungName
from deploytool.ir.verdict import Rung, Verdict
from deploytool.recipe import ValidateSection
from deploytool.validate.ladder import judge
from deploytool.validate.requirements import REQUIREMENTS

NOTHING = ValidateSection()
ALL = ValidateSection(min_accuracy=75, max_accuracy_drop=25, max_spike_difference=20, max_synops=100)


def recording(rung: RungName, answers: list[list[int]], labels: list[int] | None = None, synops: int = 80) -> Recording:
    counts = np.array(answers)
    samples = len(counts)
    return Recording(
        rung=rung,
        samples=tuple(f"s{i}" for i in range(samples)),
        labels=np.array(labels or [0, 0, 1, 1]),
        outputs=("fc1",),
        counts={"conv1": counts.reshape(samples, 1, 1, -1) * 2, "fc1": counts[..., None, None]},
        synops=np.full(samples, synops),
        spikes={},
        aliases={},
    )


TORCH = recording("torch", [[5, 0], [5, 0], [0, 5], [0, 5]])
SIMULATOR = recording("simulator", [[5, 0], [4, 0], [0, 5], [0, 5]])
EMULATOR = recording("emulator", [[5, 0], [5, 0], [0, 5], [1, 0]])


def rungs(verdict: Verdict) -> dict[str, Rung]:
    return {rung.name: rung for rung in verdict.rungs}


def checks(verdict: Verdict) -> dict[str, bool | None]:
    return {check.id: check.passed for check in verdict.checks}


def test_every_rung_is_listed_in_order_and_a_missing_one_reads_not_run() -> None:
    found = rungs(judge([EMULATOR, TORCH], NOTHING))
    assert list(found) == list(RUNGS)
    assert {name for name, rung in found.items() if rung.status == "run"} == {"torch", "emulator"}
    assert found["board"] == Rung.not_run("board")
    assert found["board"].accuracy is None


def test_accuracy_difference_and_synops_are_what_the_recordings_say() -> None:
    verdict = judge([TORCH, SIMULATOR, EMULATOR], NOTHING)
    assert rungs(verdict)["torch"].accuracy == 100
    assert rungs(verdict)["emulator"].accuracy == 75
    assert {name: rung.synops for name, rung in verdict.ran.items()} == {"torch": 80, "simulator": 80, "emulator": 80}
    pairs = {(pair.reference, pair.test): pair for pair in verdict.differences}
    assert list(pairs) == [("emulator", "simulator"), ("emulator", "torch"), ("simulator", "torch")]
    output = pairs["emulator", "simulator"].output
    assert output.pooled == pytest.approx(100 * (1 + 6) / 16)
    assert output.mean == pytest.approx(100 * (1 / 5 + 6 / 1) / 4)
    layers = {layer.layer: layer for layer in pairs["emulator", "simulator"].layers}
    assert list(layers) == ["conv1", "fc1"]
    assert layers["fc1"].pooled == output.pooled
    assert layers["fc1"].exact_neurons == 0


def test_all_checks_pass_or_fail_by_their_limits() -> None:
    made = [TORCH, recording("simulator", [[5, 0], [5, 0], [0, 5], [1, 0]]), EMULATOR]
    verdict = judge(made, ALL)
    assert checks(verdict) == dict.fromkeys([r.id for r in REQUIREMENTS], True)
    assert verdict.passed is True
    assert not verdict.negative
    assert verdict.sentence == "All 4 checks passed."
    strict = ALL.model_copy(update={"min_accuracy": 75.1, "max_synops": 79})
    verdict = judge(made, strict)
    assert checks(verdict) == {
        "min_accuracy": False,
        "max_accuracy_drop": True,
        "max_spike_difference": True,
        "max_synops": False,
    }
    assert verdict.passed is False
    assert verdict.negative
    assert verdict.sentence == "Of 4 checks, 2 failed."


def test_a_drop_of_exactly_the_limit_holds() -> None:
    labels = [0] * 500
    trained = recording("torch", [[1, 0]] * 486 + [[0, 1]] * 14, labels)
    deployed = recording("emulator", [[1, 0]] * 481 + [[0, 1]] * 19, labels)
    assert judge([trained, deployed], ValidateSection(max_accuracy_drop=1)).passed is True


def test_every_key_of_the_recipe_has_a_requirement() -> None:
    assert {requirement.id for requirement in REQUIREMENTS} == set(ValidateSection.model_fields)


def test_a_check_without_its_rung_is_not_run_and_not_passed() -> None:
    verdict = judge([TORCH, EMULATOR], ALL)
    assert checks(verdict)["max_spike_difference"] is None
    assert "not run, no recording of simulator" in verdict.checks[2].says
    assert verdict.passed is None
    assert verdict.negative
    assert verdict.sentence == "Of 4 checks, 1 not run."


def test_accuracy_without_labels_is_not_run() -> None:
    verdict = judge([recording("emulator", [[1, 0]], labels=[-1])], ValidateSection(min_accuracy=1))
    assert verdict.checks[0].passed is None
    assert verdict.negative


def test_nothing_asked_is_neither_passed_nor_negative() -> None:
    verdict = judge([TORCH], NOTHING)
    assert verdict.passed is None
    assert not verdict.negative
    assert verdict.sentence == "No checks were requested."
    assert verdict.checks == ()


def test_against_compares_everything_with_one_recording_of_any_rung() -> None:
    repeated = recording("emulator", [[5, 0], [5, 0], [0, 5], [2, 0]])
    verdict = judge([SIMULATOR, EMULATOR], ALL, against=repeated)
    pairs = [(pair.reference, pair.test) for pair in verdict.differences]
    assert pairs == [("emulator 2", "simulator"), ("emulator 2", "emulator")]
    assert verdict.differences[1].output.pooled == pytest.approx(100 * 1 / 17, abs=1e-4)
    assert list(rungs(verdict)) == [*RUNGS, "emulator 2"]


def test_against_one_of_the_recordings_does_not_list_it_twice() -> None:
    verdict = judge([SIMULATOR, EMULATOR], NOTHING, against=EMULATOR)
    assert list(rungs(verdict)) == list(RUNGS)
    assert len(verdict.differences) == 1


def test_a_repeated_run_is_compared_with_the_first() -> None:
    again = recording("emulator", [[5, 0], [5, 0], [0, 5], [1, 0]])
    pairs = [(pair.reference, pair.test) for pair in judge([EMULATOR, again], NOTHING).differences]
    assert pairs == [("emulator", "emulator 2")]


def test_layers_that_only_one_recorded_are_named() -> None:
    watched = Recording(
        "torch", TORCH.samples, TORCH.labels, TORCH.outputs, {"fc1": TORCH.counts["fc1"]}, TORCH.synops, {}, {}
    )
    (pair,) = judge([watched, EMULATOR], NOTHING).differences
    assert [layer.layer for layer in pair.layers] == ["fc1"]
    assert pair.not_compared == ("conv1",)


def test_recordings_of_other_data_are_refused_with_every_pair() -> None:
    other = recording("torch", [[1, 0]], labels=[0])
    with pytest.raises(InputError) as caught:
        judge([other, SIMULATOR, EMULATOR], NOTHING)
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="no recording"):
        judge([], NOTHING)
